"""Vectors of section 3: the preamble."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .writer import Draft

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector

GOOD = Draft().build()
MAGIC = GOOD[:8]


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield accepted("preamble/good", GOOD, "one signature, one layer, one chunk")
    yield from _magic()
    yield from _fields()
    yield from _sizes()


def _magic() -> Iterator[Vector]:
    yield refused("preamble/empty", b"", "PRE-1", "an empty file", attack=(7,))
    yield refused("preamble/63-bytes", GOOD[:63], "PRE-1", "one byte short of a preamble")
    yield refused("preamble/magic-only", MAGIC, "PRE-1", "nothing behind the magic")
    for i in range(8):
        changed = bytearray(GOOD)
        changed[i] ^= 0x20
        about = f"byte {i} of the magic changed"
        yield refused(f"preamble/magic-byte-{i}", bytes(changed), "PRE-2", about, attack=(1, 2))
    cases = {
        "crlf-to-lf": (GOOD.replace(b"\r\n", b"\n"), "CR LF became LF, as in a text transfer", 3),
        "lf-to-crlf": (GOOD.replace(b"\n", b"\r\n"), "LF became CR LF, as in a text transfer", 3),
        "seven-bit": (bytes(b & 0x7F for b in GOOD), "the high bit of every byte is lost", 4),
        "bytes-before": (b"#!" + GOOD, "two bytes stand before the magic", 10),
        "zip": (b"PK\x03\x04" + GOOD, "a ZIP file's first bytes stand before the magic", 10),
    }
    for name, (data, about, attack) in cases.items():
        yield refused(f"preamble/{name}", data, "PRE-2", about, attack=(attack,))


def _fields() -> Iterator[Vector]:
    for version in (0, 2, 256, 0xFFFF):
        data = Draft().build(version=version)
        about = f"container version {version}"
        yield refused(f"preamble/version-{version}", data, "PRE-3", about, attack=(5,))
    for bit in (0, 7, 8, 15):
        data = Draft().build(flags=1 << bit)
        about = f"reserved flag {bit} is set"
        yield refused(f"preamble/flag-{bit}", data, "PRE-4", about, attack=(6,))
    cases = [
        ("signatures_nbytes", 129, "PRE-5", "signature area of no multiple of 64", ()),
        ("signatures_nbytes", 65_536, "PRE-5", "signature area above its limit", ()),
        ("signatures_nbytes", 2**32 - 64, "PRE-5", "signature area of 4 GiB", (11, 13)),
        ("manifest_nbytes", 0, "PRE-6", "no manifest", (21,)),
        ("manifest_nbytes", 2**24 + 1, "PRE-6", "manifest of one byte above its limit", (13,)),
        ("manifest_nbytes", 2**32 - 1, "PRE-6", "manifest of 4 GiB", (11, 42)),
        ("presence_nbytes", 65_537, "PRE-7", "presence of one byte above its limit", (13,)),
        ("presence_nbytes", 2**32 - 1, "PRE-7", "presence of 4 GiB", (11,)),
        ("payload_nbytes", 2**42 + 1, "PRE-8", "payload of one byte above its limit", (13,)),
        ("payload_nbytes", 2**64 - 1, "PRE-8", "payload of 2^64 - 1 bytes", (11, 19)),
    ]
    for field, value, rule, about, attack in cases:
        data = Draft().build(**{field: value})
        yield refused(f"preamble/{field}-{value}", data, rule, about, attack=attack)


def _sizes() -> Iterator[Vector]:
    manifest_nbytes = int.from_bytes(GOOD[16:20], "little")
    cases = {
        "appended-byte": (GOOD + b"\0", "one byte behind the end", (9,)),
        "appended-zip": (GOOD + b"PK\x05\x06" + bytes(18), "an empty ZIP behind the end", (9,)),
        "appended-seed": (GOOD + GOOD, "another seed behind the end", (9, 18)),
        "cut-by-one": (GOOD[:-1], "the last byte is missing", (8, 12, 20)),
        "cut-in-manifest": (GOOD[:300], "ends inside the manifest", (8, 20)),
        "cut-in-signatures": (GOOD[:100], "ends inside the signature area", (8, 20)),
        "cut-behind-preamble": (GOOD[:64], "ends behind the preamble", (8, 20)),
        "byte-inserted-before-payload": (GOOD[:-8] + b"\0" + GOOD[-8:], "a gap", (16,)),
        "payload-one-too-long": (Draft().build(payload_nbytes=9), "payload beyond the end", (12,)),
        "payload-one-too-short": (Draft().build(payload_nbytes=7), "payload ends before", (16,)),
        "payload-4-tib": (Draft().build(payload_nbytes=2**42), "the largest payload", (23, 52)),
        "presence-unbacked": (Draft().build(presence_nbytes=1), "presence beyond the end", (12,)),
        "signatures-unbacked": (Draft().build(signatures_nbytes=192), "sizes overlap", (15,)),
    }
    for name, (data, about, attack) in cases.items():
        yield refused(f"preamble/{name}", data, "PRE-9", about, attack=attack)
    wrong = bytes([GOOD[32] ^ 1]) + GOOD[33:64]
    longer = manifest_nbytes + 1
    more = {
        "seed-id-bit": (Draft().build(seed_id=wrong), "one bit of the seed id changed", (102,)),
        "seed-id-zero": (Draft().build(seed_id=bytes(32)), "the seed id is all zero", ()),
        "manifest-bit": (_flip(GOOD, 64 + 128 + 40), "one bit of the manifest changed", (100,)),
        "manifest-takes-payload-byte": (
            Draft().build(manifest_nbytes=longer, payload_nbytes=7),
            "the border between manifest and payload is moved",
            (15, 101),
        ),
        "sections-swapped": (
            Draft().build()[: 64 + 128] + GOOD[-8:] + GOOD[64 + 128 : -8],
            "the payload stands before the manifest",
            (17,),
        ),
    }
    for name, (data, about, attack) in more.items():
        yield refused(f"preamble/{name}", data, "PRE-10", about, attack=attack)


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
