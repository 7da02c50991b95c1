"""What is read before any signature: preamble, sizes, signature area (spec: PRE, SIG)."""

from __future__ import annotations

import hashlib
import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from fuzz.drafts import with_crc, write_container
from fuzz.harness import Target, reference, same_verdict
from fuzz.samples import ALICE, BOB, CAROL, container, drafts
from fuzz.trees import edit_bytes, edit_number
from seedpack.container.preamble import check_file_size, encode_preamble, parse_preamble
from seedpack.container.signature_area import encode_signature_area, parse_signature_area
from seedpack.crypto.keys import Algorithm, private_key_from_secret
from seedpack.limits import MAX_SIGNATURES_NBYTES, PAGE_NBYTES, PREAMBLE_NBYTES

if TYPE_CHECKING:
    from random import Random

_LAYOUT: Final = struct.Struct("<8sHHIIIQ32s")
_BITS: Final = (16, 16, 32, 32, 32, 64)  # of the numbers between magic and seed id
_RECORD_NBYTES: Final = {1: 128, 2: 3456}


def _check(data: bytes) -> None:
    data = _with_seed_id(data)
    with same_verdict(lambda: _read_independently(data)):
        preamble = parse_preamble(data)
        check_file_size(preamble, len(data))
        area = data[PREAMBLE_NBYTES : preamble.manifest_offset]
        records = parse_signature_area(area)
        assert encode_preamble(preamble) == data[:PREAMBLE_NBYTES]
        assert any(encode_signature_area(records, reserve=r) == area for r in (False, True))


def _read_independently(data: bytes) -> None:
    front, *_ = reference().split_file(data)
    reference().split_area(front)


def _with_seed_id(data: bytes) -> bytes:
    """Fill in the hash that no mutation finds; nothing else depends on it here."""
    if len(data) < PREAMBLE_NBYTES:
        return data
    *_, area_nbytes, manifest_nbytes, _, _, _ = _LAYOUT.unpack_from(data)
    start = PREAMBLE_NBYTES + area_nbytes
    seed_id = hashlib.sha256(data[start : start + manifest_nbytes]).digest()
    return data[: PREAMBLE_NBYTES - len(seed_id)] + seed_id + data[PREAMBLE_NBYTES:]


@cache
def _starts() -> dict[str, bytes]:
    draft = drafts()["small"]
    small = container("small")
    bare = write_container(draft, [])
    many = [private_key_from_secret(Algorithm.ED25519, bytes([n]) * 32) for n in range(16)]
    room = struct.pack("<I", MAX_SIGNATURES_NBYTES)
    return {
        "one-signature": small,
        "no-signature": bare,
        "sixteen-signatures": write_container(draft, many),
        "three-signatures": write_container(draft, [ALICE, CAROL, BOB]),
        "reserve": bare[:12] + room + bare[16:64] + bytes(MAX_SIGNATURES_NBYTES) + bare[64:],
    }


def _mutate(data: bytes, random: Random) -> bytes:
    if len(data) < PREAMBLE_NBYTES:
        return random.choice(list(_starts().values()))
    magic, *numbers, seed_id = _LAYOUT.unpack_from(data)
    start = PREAMBLE_NBYTES + numbers[2]
    area, rest = data[PREAMBLE_NBYTES:start], data[start:]
    match random.randrange(4):
        case 0:
            field = random.randrange(len(numbers))
            numbers[field] = edit_number(numbers[field], random) % (1 << _BITS[field])
        case 1:
            area = edit_bytes(area, random)
        case _:
            area = _edit_records(area, random)
    if random.random() < 0.8:  # noqa: PLR2004 -- the rest stays with sizes that do not add up
        numbers[2] = len(area)
        numbers[5] = max(len(rest) - numbers[3] - numbers[4], 0)
    return _LAYOUT.pack(magic, *numbers, seed_id) + area + rest


def _edit_records(area: bytes, random: Random) -> bytes:
    """Change, repeat, drop or reorder records, and lay them out again, mostly by the rules."""
    records = _cut_records(area)
    fresh = random.choice([1, 1, 2])
    match random.randrange(5):
        case 0 if records:
            at = random.randrange(len(records))
            records[at] = edit_bytes(records[at], random)
        case 1 if records:
            records.insert(0, random.choice(records))
        case 2 if records:
            records.pop(random.randrange(len(records)))
        case 3:
            random.shuffle(records)
        case _:
            body = struct.pack("<HHIQ", fresh, 0, 0, edit_number(0, random) % (1 << 64))
            records.append((body + random.randbytes(96)).ljust(_RECORD_NBYTES[fresh], b"\0"))
    laid = bytearray()
    for record in records:
        room = -(PREAMBLE_NBYTES + len(laid)) % PAGE_NBYTES
        misplaced = random.random() < 0.05  # noqa: PLR2004 -- SIG-4
        if (len(record) > room > 0) != misplaced:
            laid += bytes(room)
        laid += with_crc(record) if random.random() < 0.95 else record  # noqa: PLR2004 -- SIG-6
    reserve = random.random() < 0.1  # noqa: PLR2004 -- SIG-1
    return bytes(laid.ljust(MAX_SIGNATURES_NBYTES, b"\0") if reserve else laid)


def _cut_records(area: bytes) -> list[bytes]:
    records, at = [], 0
    while at < len(area):
        nbytes = _RECORD_NBYTES.get(int.from_bytes(area[at : at + 2], "little"))
        if nbytes is None:
            at += -(PREAMBLE_NBYTES + at) % PAGE_NBYTES or PAGE_NBYTES
        else:
            records.append(area[at : at + nbytes])
            at += nbytes
    return records


TARGET: Final = Target(_check, _starts, _mutate, max_input_nbytes=80_000)
