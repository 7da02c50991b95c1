"""Add a signature to a container without touching its payload (spec: OUT-1, SIG).

room in the reserve, and no other name for the file --> one write inside one page
otherwise --> the whole file anew: temporary, fsync, rename
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.container.preamble import VERSION
from seedpack.container.signature_area import (
    SignatureRecord,
    encode_record,
    encode_signature_area,
)
from seedpack.container.writer import Header, write_container
from seedpack.crypto.messages import signed_message
from seedpack.files import atomic_output
from seedpack.seed.opening import UnverifiedContents, open_unverified

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from seedpack.crypto.keys import PrivateKey

_COPY_NBYTES: Final = 8 * limits.MIB


def make_record(manifest: bytes, key: PrivateKey, *, expires: int = 0) -> SignatureRecord:
    """Sign ``manifest``.

    Args:
        manifest: Manifest bytes.
        key: The signer's.
        expires: Time from which the signature no longer counts; 0 = never.
    """
    public = key.public
    message = signed_message(
        version=VERSION,
        algorithm=public.algorithm,
        expires=expires,
        key_id=public.key_id,
        manifest=manifest,
    )
    return SignatureRecord(int(public.algorithm), expires, public.key_id, key.sign(message))


def sign_seed(path: Path, key: PrivateKey, *, expires: int = 0) -> SignatureRecord:
    """Add a signature by ``key`` to the container at ``path``.

    What is signed is the manifest, which carries the digest of all else; the payload
    is not read, so check it with ``verify_seed`` first where others wrote it.

    Raises:
        FormatError: The container breaks the format; SIG-2 or SIG-7, there are 16
            signatures, or one by this key already.
        StoreError: OUT-1 or OUT-2, the file cannot be written; OUT-3, somebody else
            is signing it.
    """
    with open_unverified(path, exclusive=True) as contents:
        record = make_record(contents.header.manifest_bytes, key, expires=expires)
        records = [*contents.header.records, record]
        used = encode_signature_area(records, reserve=False)
        start = limits.PREAMBLE_NBYTES + len(used) - len(encode_record(record))
        if _has_room(contents, len(used)) and path.stat().st_nlink == 1:
            contents.file.overwrite(start, encode_record(record))  # inside one page: SIG-4
        else:
            _rewrite(path, contents, records)
    return record


def _has_room(contents: UnverifiedContents, used_nbytes: int) -> bool:
    reserved = contents.header.preamble.signatures_nbytes
    return used_nbytes <= reserved == limits.MAX_SIGNATURES_NBYTES


def _rewrite(path: Path, contents: UnverifiedContents, records: list[SignatureRecord]) -> None:
    old = contents.header
    new = Header(
        old.manifest_bytes,
        old.preamble.seed_id,
        records,
        old.presence,
        old.preamble.payload_nbytes,
    )
    mode = path.stat().st_mode & 0o777
    with atomic_output(path, mode=mode, overwrite=True) as out:
        write_container(out, new, _payload(contents))
        contents.file.check_unchanged()


def _payload(contents: UnverifiedContents) -> Iterator[bytes]:
    preamble = contents.header.preamble
    for offset in range(preamble.payload_offset, preamble.file_nbytes, _COPY_NBYTES):
        yield contents.file.read(offset, min(_COPY_NBYTES, preamble.file_nbytes - offset))
