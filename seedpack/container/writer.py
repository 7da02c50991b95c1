"""A container's bytes, in order (spec: section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seedpack import limits
from seedpack.container.preamble import Preamble, encode_preamble
from seedpack.container.signature_area import SignatureRecord, encode_signature_area

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO


class Header(NamedTuple):
    """All that stands before the payload."""

    manifest: bytes
    seed_id: bytes  # (32,)
    records: list[SignatureRecord]
    presence: bytes  # empty = complete
    payload_nbytes: int


def encode_header(header: Header) -> bytes:
    """Return preamble, signature area, manifest and presence bitmap.

    Raises:
        FormatError: SIG-2 or SIG-7.
    """
    reserve = header.payload_nbytes > limits.RESERVE_THRESHOLD_NBYTES  # SIG-1
    area = encode_signature_area(header.records, reserve=reserve)
    preamble = Preamble(
        len(area), len(header.manifest), len(header.presence), header.payload_nbytes, header.seed_id
    )
    return encode_preamble(preamble) + area + header.manifest + header.presence


def write_container(out: BinaryIO, header: Header, payload: Iterable[bytes | memoryview]) -> None:
    """Write a whole container.

    Raises:
        ValueError: The payload is not as long as the header says (programming error).
    """
    out.write(encode_header(header))
    written = sum(out.write(piece) for piece in payload)
    if written != header.payload_nbytes:
        raise ValueError(f"payload of {written} bytes, the header says {header.payload_nbytes}")
