"""From a path to a signed container (spec: extract.md)."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from seedpack import __version__
from seedpack.codecs import CODEC_IDS
from seedpack.container.manifest import Manifest, decode_manifest, encode_manifest
from seedpack.container.rules import SCHEMA, validate_manifest
from seedpack.container.writer import Header, encode_header, write_container
from seedpack.errors import ExtractError, FormatError
from seedpack.extract.files import encode_file
from seedpack.extract.layers import Coding, EncodedLayer, encode_layers
from seedpack.extract.redundancy import add_parity, check_percent, default_chunk_nbytes
from seedpack.extract.report import ExtractReport, LayerReport
from seedpack.extract.spill import Spill
from seedpack.files import atomic_output
from seedpack.frameworks import open_model
from seedpack.seed.signing import make_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from seedpack.container.manifest import Attachment, Claim
    from seedpack.crypto.keys import PrivateKey
    from seedpack.frameworks import ModelSource


class _Plan(NamedTuple):
    """Everything that was decided before the first tensor is read."""

    source: ModelSource
    coding: Coding
    draft: Manifest  # without layers, attachments and parity
    parity_percent: int | None


def extract(  # noqa: PLR0913 -- each is an option of the command
    model: Path,
    output: Path,
    *,
    name: str,
    version: int = 1,
    codec: str = "raw",
    created: int | None = None,
    expires: int | None = None,
    digest_algorithm: str = "blake3-256",
    chunk_nbytes: int | None = None,
    parity_percent: int | None = None,
    claims: Sequence[Claim] = (),
    key: PrivateKey | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExtractReport:
    """Write the seed of ``model``, signed by ``key`` if there is one.

    Args:
        model: A transformers folder, a ``.safetensors`` file or a state dict.
        output: The container; it appears when it is complete.
        name: Seed name (MAN-11).
        version: Counted up by the publisher.
        codec: For float tensors of two and more dimensions; all others are stored ``raw``.
        created: Seconds since 1970; default: ``SOURCE_DATE_EPOCH``, else the clock.
        expires: Seconds since 1970 from which the seed is no longer valid.
        digest_algorithm: ``blake3-256`` or ``sha2-256``.
        chunk_nbytes: Raw bytes per chunk, 16 to 4 MiB; default: 1 MiB, less with parity for
            a small model, so that there are at least 128 chunks where 1 KiB allows it.
        parity_percent: Parity chunks per hundred data chunks, 1 to 1000.
        claims: The publisher's figures.
        key: The publisher's.
        overwrite: Replace an existing file.
        progress: Called with bytes done and bytes in all.

    Returns:
        Sizes, and what the seed does not carry.

    Raises:
        ExtractError: EXT; another rule where no reader would accept the result.
        StoreError: OUT, the output cannot be written; FIL, an input cannot be read.
        ValueError: No such codec, chunk size or parity (wrong call).
    """
    if codec not in CODEC_IDS:
        raise ValueError(f"unknown codec {codec!r}, known are {sorted(CODEC_IDS)}")
    if parity_percent is not None:
        check_percent(parity_percent)
    source = open_model(model)
    coding = Coding(
        codec,
        chunk_nbytes or default_chunk_nbytes(source.infos(), parity_percent),
        digest_algorithm,
    )
    draft = Manifest(
        architecture=source.architecture,
        attachments=[],
        base=None,
        claims=list(claims),
        created=_default_created() if created is None else created,
        decoded_nbytes=0,
        digest_algorithm=digest_algorithm,
        expires=expires,
        layers=[],
        name=name,
        parity=None,
        producer=f"seedpack {__version__}",
        recipe={**source.describe(), "codec": codec},
        schema=SCHEMA,
        version=version,
    )
    _checked_bytes(draft)  # a wrong name is refused now, not after an hour of encoding
    plan = _Plan(source, coding, draft, parity_percent)
    with (
        atomic_output(output, overwrite=overwrite) as out,
        tempfile.TemporaryFile(dir=output.parent) as temporary,
    ):
        return _write(plan, out, Spill(cast("BinaryIO", temporary)), key, progress)


def _write(
    plan: _Plan,
    out: BinaryIO,
    spill: Spill,
    key: PrivateKey | None,
    progress: Callable[[int, int], None] | None,
) -> ExtractReport:
    layers = _spill_layers(plan, spill, progress)
    attachments = _spill_files(plan, spill)
    data_nbytes = spill.nbytes
    manifest = msgspec.structs.replace(
        plan.draft,
        layers=[encoded.layer for encoded in layers],
        attachments=attachments,
        decoded_nbytes=sum(encoded.raw_nbytes for encoded in layers)
        + sum(attachment.nbytes for attachment in attachments),
    )
    if plan.parity_percent is not None:
        chunks, algorithm = manifest.data_chunks, plan.coding.digest_algorithm
        parity = add_parity(chunks, spill, plan.parity_percent, algorithm)
        manifest = msgspec.structs.replace(manifest, parity=parity)
    encoded = _checked_bytes(manifest)
    records = [] if key is None else [make_record(encoded, key)]
    seed_id = hashlib.sha256(encoded).digest()
    header = Header(encoded, seed_id, records, b"", spill.nbytes)
    write_container(out, header, spill.pieces())
    layer_reports = tuple(_report_layer(layer) for layer in layers)
    return ExtractReport(
        seed_id=seed_id.hex(),
        codec=plan.coding.codec,
        layers=layer_reports,
        attachments=tuple(attachment.name for attachment in attachments),
        attachments_nbytes=data_nbytes - sum(layer.stored_nbytes for layer in layer_reports),
        parity_nbytes=spill.nbytes - data_nbytes,
        file_nbytes=len(encode_header(header)) + spill.nbytes,
        left_out=plan.source.left_out,
        unused=plan.source.unused,
    )


def _spill_layers(
    plan: _Plan, spill: Spill, progress: Callable[[int, int], None] | None
) -> list[EncodedLayer]:
    """Encode all tensors; the bytes go to ``spill``, only the records stay in memory."""
    total = sum(info.nbytes for info in plan.source.infos())
    done = 0
    layers = []
    for encoded in encode_layers(plan.source.tensors(), plan.coding):
        spill.append(encoded.layer.chunks, encoded.stored)
        layers.append(encoded._replace(stored=[]))
        done += encoded.raw_nbytes
        if progress is not None:
            progress(done, total)
    return layers


def _spill_files(plan: _Plan, spill: Spill) -> list[Attachment]:
    attachments = []
    for file in plan.source.files:
        attachment, stored = encode_file(file, plan.coding)
        spill.append(attachment.chunks, stored)
        attachments.append(attachment)
    return attachments


def _checked_bytes(manifest: Manifest) -> bytes:
    """Return the manifest's bytes, which the reader's own checks have passed (EXT-14)."""
    try:
        encoded = encode_manifest(manifest)
    except OverflowError as error:  # beyond 64 bits msgpack has no form at all
        raise ExtractError("integer too large", rule="MAN-5", where="manifest") from error
    try:
        validate_manifest(decode_manifest(encoded), codecs=CODEC_IDS)
    except FormatError as error:
        raise ExtractError(
            f"no reader would accept it: {error.message}",
            rule=error.rule,
            where=error.where,
            hint=error.hint,
        ) from error
    return encoded


def _report_layer(encoded: EncodedLayer) -> LayerReport:
    layer = encoded.layer
    return LayerReport(
        name=layer.name,
        dtype=layer.dtype,
        shape=tuple(layer.shape),
        codec=layer.codec,
        raw_nbytes=encoded.raw_nbytes,
        stored_nbytes=sum(chunk.stored_nbytes for chunk in layer.chunks),
    )


def _default_created() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return int(time.time())
    if not text.isascii() or not text.isdigit():
        raise ExtractError(
            f"SOURCE_DATE_EPOCH is {text[:40]!a}, not a number of seconds",
            rule="EXT-15",
            where="environment",
        )
    return int(text)
