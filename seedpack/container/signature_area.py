"""Signature records: fixed sizes, fixed places, nothing but zero between (spec: SIG).

    file offset 64                       4096                     8192
    | record | record | 0 0 0 ...        | record (would have     | ...
    |  128   |  128   | (too small)      |  crossed the page)     |

A record's place follows from the records before it, so the area has one encoding.
No record crosses a page, so that one write inside a page adds it (OUT-1).
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from seedpack import limits
from seedpack.errors import FormatError

ED25519: Final = 1  # SIG-3
ML_DSA_65: Final = 2  # SIG-3

_HEAD: Final = struct.Struct("<HHIQ32s")
_CRC_AT: Final = 4
_SIGNATURE_NBYTES: Final = {ED25519: 64, ML_DSA_65: 3309}  # RFC 8032, FIPS 204
_RECORD_NBYTES: Final = {ED25519: 128, ML_DSA_65: 3456}  # SIG-4


class SignatureRecord(NamedTuple):
    """One signature as stored, checked for form but NOT verified."""

    algorithm: int
    expires: int  # seconds since 1970; 0 = never
    key_id: bytes  # (32,) a hint for the look-up, never a proof
    signature: bytes


def encode_record(record: SignatureRecord) -> bytes:
    """Return the 128 or 3,456 bytes of ``record``."""
    head = _HEAD.pack(record.algorithm, 0, 0, record.expires, record.key_id)
    body = (head + record.signature).ljust(_RECORD_NBYTES[record.algorithm], b"\0")
    return body[:_CRC_AT] + struct.pack("<I", zlib.crc32(body)) + body[_CRC_AT + 4 :]


def place_record(cursor: int, algorithm: int) -> int:
    """Return the file offset of a record that follows ``cursor`` (SIG-4)."""
    room = limits.PAGE_NBYTES - cursor % limits.PAGE_NBYTES
    return cursor if _RECORD_NBYTES[algorithm] <= room else cursor + room


def encode_signature_area(records: list[SignatureRecord], *, reserve: bool) -> bytes:
    """Return the area that holds ``records``, with room for more where ``reserve``.

    Raises:
        FormatError: SIG-2 or SIG-7, more records than allowed or one key twice.
    """
    _check_set(records)
    area = bytearray()
    for record in records:
        start = place_record(limits.PREAMBLE_NBYTES + len(area), record.algorithm)
        area = area.ljust(start - limits.PREAMBLE_NBYTES, b"\0") + encode_record(record)
    return bytes(area.ljust(limits.MAX_SIGNATURES_NBYTES, b"\0") if reserve else area)


def parse_signature_area(area: bytes) -> list[SignatureRecord]:
    """Split the signature area into its records.

    Args:
        area: All of it; it starts at file offset 64.

    Raises:
        FormatError: SIG-1 to SIG-8.
    """
    records: list[SignatureRecord] = []
    cursor = limits.PREAMBLE_NBYTES
    while (start := _next_record(area, cursor)) is not None:
        records.append(_parse_record(area, start))
        cursor = start + _RECORD_NBYTES[records[-1].algorithm]
        _check_set(records)
    end = limits.PREAMBLE_NBYTES + len(area)
    if any(area[cursor - limits.PREAMBLE_NBYTES :]):
        raise _refusal("SIG-5", cursor, "bytes outside the signature records are not zero")
    if cursor != end and len(area) != limits.MAX_SIGNATURES_NBYTES:
        raise _refusal("SIG-1", cursor, "signature area is neither minimal nor the full reserve")
    return records


def _next_record(area: bytes, cursor: int) -> int | None:
    """Return where the next record starts, or None where only zero bytes can follow."""
    if _algorithm_at(area, cursor):
        return cursor
    page = cursor + limits.PAGE_NBYTES - cursor % limits.PAGE_NBYTES
    algorithm = _algorithm_at(area, page)
    if not algorithm:
        return None
    if algorithm in _RECORD_NBYTES and place_record(cursor, algorithm) != page:
        raise _refusal("SIG-4", page, "signature record is not at the lowest place")
    if any(area[cursor - limits.PREAMBLE_NBYTES : page - limits.PREAMBLE_NBYTES]):
        raise _refusal("SIG-5", cursor, "bytes between signature records are not zero")
    return page


def _algorithm_at(area: bytes, offset: int) -> int:
    at = offset - limits.PREAMBLE_NBYTES
    return int.from_bytes(area[at : at + 2], "little")


def _parse_record(area: bytes, start: int) -> SignatureRecord:
    algorithm = _algorithm_at(area, start)
    if algorithm not in _RECORD_NBYTES:
        raise _refusal("SIG-3", start, f"unknown signature algorithm {algorithm}")
    at = start - limits.PREAMBLE_NBYTES
    body = area[at : at + _RECORD_NBYTES[algorithm]]
    if len(body) < _RECORD_NBYTES[algorithm]:
        raise _refusal("SIG-1", start, "signature record ends outside the area")
    if place_record(start, algorithm) != start:
        raise _refusal("SIG-4", start, "signature record crosses a page")
    _, flags, crc, expires, key_id = _HEAD.unpack_from(body)
    if flags:
        raise _refusal("SIG-3", start + 2, f"reserved flags set: {flags:#06x}")
    end = _HEAD.size + _SIGNATURE_NBYTES[algorithm]
    if any(body[end:]):
        raise _refusal("SIG-5", start + end, "bytes behind a signature are not zero")
    if zlib.crc32(body[:_CRC_AT] + bytes(4) + body[_CRC_AT + 4 :]) != crc:
        raise _refusal("SIG-6", start, "signature record is damaged")
    if expires > limits.MAX_TIME:
        raise _refusal("SIG-8", start + 8, f"signature expires at {expires}")
    return SignatureRecord(algorithm, expires, key_id, body[_HEAD.size : end])


def _check_set(records: list[SignatureRecord]) -> None:
    if len(records) > limits.MAX_SIGNATURES:
        raise _refusal(
            "SIG-2", limits.PREAMBLE_NBYTES, f"more than {limits.MAX_SIGNATURES} signatures"
        )
    if len({record.key_id for record in records}) < len(records):
        raise _refusal("SIG-7", limits.PREAMBLE_NBYTES, "two signatures by one key")


def _refusal(rule: str, offset: int, message: str) -> FormatError:
    return FormatError(message, rule=rule, where=f"byte {offset}", hint="fetch the file again")
