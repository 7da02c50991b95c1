"""Steps 0 to 2: all that may be touched before a signature holds (spec: PRE-11)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from seedpack import limits
from seedpack.container.preamble import Preamble, check_file_size, parse_preamble
from seedpack.container.signature_area import SignatureRecord, parse_signature_area
from seedpack.errors import FormatError

if TYPE_CHECKING:
    from seedpack.files import InputFile


class RawHeader(NamedTuple):
    """All that stands before the payload: exact in form, and vouched for by nobody."""

    preamble: Preamble
    records: list[SignatureRecord]
    manifest_bytes: bytes
    presence: bytes


def read_header(file: InputFile, *, damaged: bool = False) -> RawHeader:
    """Read preamble, signature area, manifest bytes and presence bitmap.

    Args:
        file: Open container.
        damaged: Accept a payload that is shorter or longer than the preamble says.

    Raises:
        FormatError: PRE or SIG.
        IntegrityError: FIL-2, the file shrank meanwhile.
    """
    preamble = parse_preamble(file.read(0, min(file.nbytes, limits.PREAMBLE_NBYTES)))
    if not damaged or file.nbytes < preamble.payload_offset:
        check_file_size(preamble, file.nbytes)
    area = file.read(limits.PREAMBLE_NBYTES, preamble.signatures_nbytes)
    manifest_bytes = file.read(preamble.manifest_offset, preamble.manifest_nbytes)
    presence_offset = preamble.payload_offset - preamble.presence_nbytes
    presence = file.read(presence_offset, preamble.presence_nbytes)
    if hashlib.sha256(manifest_bytes).digest() != preamble.seed_id:
        raise FormatError(
            "manifest does not have the seed id that the preamble gives",
            rule="PRE-10",
            where="byte 32",
            hint="the file was damaged or changed; fetch it again",
        )
    return RawHeader(preamble, parse_signature_area(area), manifest_bytes, presence)
