"""Vectors of section 4: the signature area."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .keys import ALICE, BOB, ED25519, ML_DSA_65, STRANGER, STRANGER_PQ
from .writer import Draft, assemble, pack, place, record, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector

DRAFT = Draft()
MANIFEST = pack(DRAFT.manifest())
TRUE = sign(ALICE, MANIFEST)
MAX_TIME = 253_402_300_799


def around(area: bytes) -> bytes:
    """Return a good file with this signature area."""
    return assemble(area, MANIFEST, b"", DRAFT.payload())


def strange(n: int) -> list[bytes]:
    """Return n records by different unknown signers."""
    return [record(ED25519, bytes([i, 1] * 16), bytes([i + 1] * 64)) for i in range(n)]


def strange_pq(n: int) -> list[bytes]:
    """Return n ML-DSA records by different unknown signers; nobody can verify them."""
    return [record(ML_DSA_65, bytes([i, 2] * 16), bytes([i + 1] * 3309)) for i in range(n)]


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _extent()
    yield from _records()
    yield from _zeros()


def _accepted() -> Iterator[Vector]:
    cases = {
        "sixteen-records": ([*strange(15), TRUE], "SIG-2", "the most records, ours the last"),
        "unknown-before-known": ([*strange(1), TRUE], "SIG-6", "an unknown signer comes first"),
        "unknown-after-known": ([TRUE, *strange(1)], "SIG-6", "an unknown signer comes second"),
        "unknown-ml-dsa": ([TRUE, *strange_pq(1)], "SIG-4", "a large record by an unknown signer"),
        "page-crossing": (
            [*strange_pq(1), *strange(4), TRUE],
            "SIG-4",
            "the last record would cross a page and so starts at the next",
        ),
        "page-filled-exactly": (
            [*strange_pq(2), *strange(5), TRUE],
            "SIG-4",
            "records fill the second page to its last byte",
        ),
        "three-pages": ([*strange_pq(3), TRUE], "SIG-4", "one ML-DSA record to a page"),
    }
    for name, (records, rule, about) in cases.items():
        yield accepted(f"signatures/{name}", around(place(records)), about, shows=(rule,))
    area = place([TRUE], reserve=True)
    yield accepted(
        "signatures/reserve", around(area), "the area has its full size", shows=("SIG-1",)
    )
    latest = place([sign(ALICE, MANIFEST, expires=MAX_TIME)])
    yield accepted("signatures/expires-latest", around(latest), "the latest time", shows=("SIG-8",))
    both = place([sign(ALICE, MANIFEST), sign(BOB, MANIFEST)])
    yield accepted("signatures/two-known", around(both), "two known signers, one is enough")


def _extent() -> Iterator[Vector]:
    short = TRUE[:64]
    cases = {
        "trailing-64": (TRUE + bytes(64), "SIG-1", "zero bytes behind the last record", (14,)),
        "trailing-page": (TRUE.ljust(4032, b"\0"), "SIG-1", "zero bytes to the end of a page", ()),
        "only-zero-64": (bytes(64), "SIG-1", "an area of zero bytes without a record", ()),
        "half-record": (TRUE + strange(1)[0][:64], "SIG-1", "a record that the area cuts off", ()),
        "first-half-only": (short, "SIG-1", "the only record is cut off", (21,)),
        "seventeen": (place([TRUE, *strange(16)]), "SIG-2", "one record too many", ()),
        "seventeen-ours-last": (place([*strange(16), TRUE]), "SIG-2", "the 17th is ours", (101,)),
    }
    for name, (area, rule, about, attack) in cases.items():
        yield refused(f"signatures/{name}", around(area), rule, about, attack=attack)


def _records() -> Iterator[Vector]:
    for algorithm in (3, 256, 0xFFFF):
        bad = record(algorithm, STRANGER.id, bytes(64))
        about = f"a record of algorithm {algorithm}"
        data = around(TRUE + bad)
        yield refused(f"signatures/algorithm-{algorithm}", data, "SIG-3", about, attack=(99,))
    alone = around(record(3, ALICE.id, bytes(64)))
    about = "the only record is of an unknown algorithm"
    yield refused("signatures/algorithm-3-alone", alone, "SIG-3", about, attack=(99,))
    for bit in (0, 15):
        bad = record(ED25519, STRANGER.id, bytes(64), flags=1 << bit)
        about = f"flag {bit} of a record is set"
        yield refused(f"signatures/record-flag-{bit}", around(TRUE + bad), "SIG-3", about)
    second_page = bytes(4032)
    pq = strange_pq(1)[0]
    cases = {
        "late-first": (second_page + TRUE, "a record stands at a later page than it needs", (16,)),
        "late-second": (TRUE + bytes(4096 - 192) + strange(1)[0], "the second stands late", (16,)),
        "across-page": (pq + b"".join(strange(4)) + TRUE, "a record crosses a page", ()),
        "across-page-large": (TRUE + pq + strange_pq(2)[1], "a large one crosses", ()),
    }
    for name, (area, about, attack) in cases.items():
        yield refused(f"signatures/{name}", around(area), "SIG-4", about, attack=attack)
    yield from _crc()
    twice = {
        "same-twice": (TRUE + TRUE, "one signature stands twice", "default", (91,)),
        "same-twice-threshold-2": (TRUE + TRUE, "one signature counts as two", "two", (91,)),
        "same-key-two-times": (
            TRUE + sign(ALICE, MANIFEST, expires=MAX_TIME),
            "one key signed twice, with another expiry",
            "two",
            (91,),
        ),
        "unknown-twice": (strange(1)[0] + TRUE + strange(1)[0], "an unknown twice", "default", ()),
    }
    for name, (area, about, trust, attack) in twice.items():
        data = around(place([area[i : i + 128] for i in range(0, len(area), 128)]))
        yield refused(f"signatures/{name}", data, "SIG-7", about, attack=attack, trust=trust)
    for expires in (MAX_TIME + 1, 2**64 - 1):
        area = TRUE + record(ED25519, STRANGER.id, bytes(64), expires=expires)
        about = f"a signature expires at {expires}"
        yield refused(f"signatures/expires-{expires}", around(area), "SIG-8", about, attack=(43,))


def _crc() -> Iterator[Vector]:
    damaged = bytearray(strange(1)[0])
    damaged[60] ^= 4
    about = "one bit of an unknown signer's signature changed"
    yield refused("signatures/crc-unknown", around(TRUE + damaged), "SIG-6", about, attack=(102,))
    zero = TRUE[:4] + bytes(4) + TRUE[8:]
    yield refused("signatures/crc-zero", around(zero), "SIG-6", "no CRC at all")
    own = bytearray(TRUE)
    own[48] ^= 1
    about = "one bit of a known signer's signature changed"
    yield refused("signatures/crc-known", around(bytes(own)), "SIG-6", about, attack=(84,))
    shifted = strange(1)[0]
    key_bit = shifted[:16] + bytes([shifted[16] ^ 1]) + shifted[17:]
    about = "one bit of an unknown signer's key id changed"
    yield refused("signatures/crc-key-id", around(TRUE + key_bit), "SIG-6", about, attack=(102,))
    (crc,) = struct.unpack_from("<I", strange(1)[0], 4)
    swapped = strange(1)[0][:4] + struct.pack(">I", crc) + strange(1)[0][8:]
    about = "the CRC stands with its highest byte first"
    yield refused("signatures/crc-big-endian", around(TRUE + swapped), "SIG-6", about)


def _zeros() -> Iterator[Vector]:
    tail = record(ED25519, STRANGER.id, bytes(64), tail=b"hidden")
    tail_known = record(ED25519, ALICE.id, TRUE[48:112], tail=b"\1")
    tail_pq = record(ML_DSA_65, STRANGER_PQ.id, bytes(3309), tail=b"\1")
    last = bytearray(place([TRUE], reserve=True))
    last[-1] = 1
    gap = bytearray(place([*strange_pq(1), *strange(4), TRUE]))
    gap[4096 - 64 - 2] = 1
    cases = {
        "tail-unknown": (TRUE + tail, "text behind an unknown signer's signature", (14, 102)),
        "tail-known": (tail_known, "a bit behind a known signer's signature", (14, 102)),
        "tail-ml-dsa": (place([TRUE, tail_pq]), "a bit behind an ML-DSA signature", (14, 102)),
        "reserve-last-byte": (bytes(last), "the last byte of the reserve is used", (14, 102)),
        "skipped-bytes": (bytes(gap), "a byte before a page is used", (14, 102)),
    }
    for name, (area, about, attack) in cases.items():
        yield refused(f"signatures/{name}", around(area), "SIG-5", about, attack=attack)
