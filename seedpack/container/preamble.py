"""The 64 bytes that are read before anything is known (spec: PRE).

Nothing here allocates by a length found in the file, loops over input, or imports
a decoder: with ``signature_area`` this is the whole pre-verification attack surface.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from seedpack import limits
from seedpack.errors import FormatError

MAGIC: Final = b"\x89SEED\r\n\x1a"  # PRE-2: PNG's idea, catches text-mode transfers
VERSION: Final = 1

_LAYOUT: Final = struct.Struct("<8sHHIIIQ32s")
_ALIGNMENT: Final = 64  # PRE-5


class Preamble(NamedTuple):
    """Fixed-size fields, checked but NOT authenticated."""

    signatures_nbytes: int
    manifest_nbytes: int
    presence_nbytes: int
    payload_nbytes: int
    seed_id: bytes  # (32,) SHA-256 that the manifest bytes must have (PRE-10)

    @property
    def manifest_offset(self) -> int:
        """Where the manifest starts, in bytes from the file start."""
        return limits.PREAMBLE_NBYTES + self.signatures_nbytes

    @property
    def payload_offset(self) -> int:
        """Where the payload starts, in bytes from the file start."""
        return self.manifest_offset + self.manifest_nbytes + self.presence_nbytes

    @property
    def file_nbytes(self) -> int:
        """Size that the whole file must have (PRE-9)."""
        return self.payload_offset + self.payload_nbytes


def encode_preamble(preamble: Preamble) -> bytes:
    """Return the 64 bytes of ``preamble``."""
    return _LAYOUT.pack(
        MAGIC,
        VERSION,
        0,
        preamble.signatures_nbytes,
        preamble.manifest_nbytes,
        preamble.presence_nbytes,
        preamble.payload_nbytes,
        preamble.seed_id,
    )


def parse_preamble(head: bytes) -> Preamble:
    """Split the first 64 bytes of a container into its fields.

    Args:
        head: The start of the file; bytes behind the preamble are ignored.

    Returns:
        The fields, attacker-controlled until a signature over the manifest holds.

    Raises:
        FormatError: PRE-1 to PRE-8.
    """
    if len(head) < limits.PREAMBLE_NBYTES:
        raise _refusal("PRE-1", len(head), "file ends inside the preamble", "fetch it again")
    magic, version, flags, *sizes, seed_id = _LAYOUT.unpack_from(head)
    if magic != MAGIC:
        raise _refusal("PRE-2", 0, "not a seed container", "check that this is a .seed file")
    if version != VERSION:
        raise _refusal("PRE-3", 8, f"unsupported version {version}", "update seedpack")
    if flags:
        raise _refusal("PRE-4", 10, f"reserved flags set: {flags:#06x}")
    preamble = Preamble._make((*sizes, seed_id))
    _check_sizes(preamble)
    return preamble


def _check_sizes(preamble: Preamble) -> None:
    nbytes = preamble.signatures_nbytes
    if nbytes % _ALIGNMENT or nbytes > limits.MAX_SIGNATURES_NBYTES:
        raise _refusal("PRE-5", 12, f"signature area of {nbytes} bytes")
    if not 1 <= preamble.manifest_nbytes <= limits.MAX_MANIFEST_NBYTES:
        raise _refusal("PRE-6", 16, f"manifest of {preamble.manifest_nbytes} bytes")
    if preamble.presence_nbytes > limits.MAX_PRESENCE_NBYTES:
        raise _refusal("PRE-7", 20, f"presence bitmap of {preamble.presence_nbytes} bytes")
    if preamble.payload_nbytes > limits.MAX_PAYLOAD_NBYTES:
        raise _refusal("PRE-8", 24, f"payload of {preamble.payload_nbytes} bytes")


def check_file_size(preamble: Preamble, file_nbytes: int) -> None:
    """Account for the file to its last byte.

    Raises:
        FormatError: PRE-9.
    """
    if preamble.file_nbytes != file_nbytes:
        message = f"file of {file_nbytes} bytes, its preamble says {preamble.file_nbytes}"
        hint = "it was cut or something was appended; fetch it again"
        if file_nbytes < preamble.file_nbytes:
            hint += ", or try `seedpack repair` if it carries parity"
        raise _refusal("PRE-9", min(file_nbytes, preamble.file_nbytes), message, hint)


def _refusal(rule: str, offset: int, message: str, hint: str = "") -> FormatError:
    return FormatError(message, rule=rule, where=f"byte {offset}", hint=hint)
