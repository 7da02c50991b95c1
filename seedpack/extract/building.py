"""From a plan to the bytes of a seed: layers, attachments, parity, manifest, signature."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from seedpack import limits
from seedpack.codecs import CODEC_IDS
from seedpack.container.manifest import Manifest, decode_manifest, encode_manifest
from seedpack.container.rules import validate_manifest
from seedpack.container.writer import Header, encode_header
from seedpack.errors import ExtractError, FormatError
from seedpack.extract.files import encode_file
from seedpack.extract.layers import EncodedLayer, encode_layers
from seedpack.extract.redundancy import add_parity
from seedpack.extract.report import ExtractReport, LayerReport
from seedpack.extract.scattering import carry_copies, inner_codec
from seedpack.seed.signing import make_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from seedpack.container.manifest import Attachment
    from seedpack.crypto.keys import PrivateKey
    from seedpack.extract.coding import Coding, Storage
    from seedpack.extract.spill import Spill
    from seedpack.frameworks import AttachedFile, ModelSource


_WAITING_NBYTES: Final = 16 * limits.MIB


class Plan(NamedTuple):
    """Everything that was decided before the first tensor is read."""

    source: ModelSource
    storage: Storage
    draft: Manifest  # without layers, attachments and parity
    parity_percent: int | None
    key: PrivateKey | None


class Built(NamedTuple):
    """A whole seed, but for writing it."""

    header: Header
    report: ExtractReport


def build_seed(
    plan: Plan,
    coding: Coding,
    spill: Spill,
    progress: Callable[[int, int], None] | None,
) -> Built:
    """Encode everything into ``spill``, which is empty, and sign the manifest of it.

    Raises:
        ExtractError: EXT-6, EXT-14.
    """
    with ThreadPoolExecutor(1) as pool:  # text at zstd's level 19 takes as long as many layers
        encode_all = pool.map if _are_small(plan.source.files) else map
        files = encode_all(encode_file, plan.source.files, repeat(plan.storage))
        layers = _spill_layers(plan, coding, spill, progress)
        scattering = plan.storage.scattering
        if scattering is not None and scattering.top_bits:
            layers = carry_copies(layers, spill)
        attachments = _spill_files(files, spill)
    data_nbytes = spill.nbytes
    manifest = _complete(plan, layers, attachments, spill)
    encoded = checked_bytes(manifest)
    records = [] if plan.key is None else [make_record(encoded, plan.key)]
    seed_id = hashlib.sha256(encoded).digest()
    header = Header(encoded, seed_id, records, b"", spill.nbytes)
    layer_reports = tuple(_report_layer(layer) for layer in layers)
    report = ExtractReport(
        seed_id=seed_id.hex(),
        codec=coding.codec,
        layers=layer_reports,
        attachments=tuple(attachment.name for attachment in attachments),
        attachments_nbytes=data_nbytes - sum(layer.stored_nbytes for layer in layer_reports),
        parity_nbytes=spill.nbytes - data_nbytes,
        file_nbytes=len(encode_header(header)) + spill.nbytes,
        left_out=plan.source.left_out,
        unused=plan.source.unused,
    )
    return Built(header, report)


def _complete(
    plan: Plan, layers: list[EncodedLayer], attachments: list[Attachment], spill: Spill
) -> Manifest:
    """Return the manifest of what is in ``spill``, to which it appends the parity."""
    manifest = msgspec.structs.replace(
        plan.draft,
        layers=[encoded.layer for encoded in layers],
        attachments=attachments,
        decoded_nbytes=sum(encoded.raw_nbytes for encoded in layers)
        + sum(attachment.nbytes for attachment in attachments),
    )
    if plan.parity_percent is None:
        return manifest
    chunks, algorithm = manifest.data_chunks, plan.storage.digest_algorithm
    wide = plan.storage.scattering is not None
    parity = add_parity(chunks, spill, plan.parity_percent, algorithm, wide=wide)
    return msgspec.structs.replace(manifest, parity=parity)


def _spill_layers(
    plan: Plan, coding: Coding, spill: Spill, progress: Callable[[int, int], None] | None
) -> list[EncodedLayer]:
    """Encode all tensors; the bytes go to ``spill``, only the records stay in memory."""
    total = sum(info.nbytes for info in plan.source.infos())
    done = 0
    layers = []
    for encoded in encode_layers(plan.source.tensors(), coding, plan.storage):
        spill.append(encoded.layer.chunks, encoded.stored)
        layers.append(encoded._replace(stored=[]))
        done += encoded.raw_nbytes
        if progress is not None:
            progress(done, total)
    return layers


def _are_small(files: Sequence[AttachedFile]) -> bool:
    """Return whether all files can wait in memory until the layers are written."""
    nbytes = sum(file.path.stat().st_size for file in files if file.path.is_file())
    return nbytes <= _WAITING_NBYTES


def _spill_files(files: Iterable[tuple[Attachment, list[bytes]]], spill: Spill) -> list[Attachment]:
    attachments = []
    for attachment, stored in files:
        spill.append(attachment.chunks, stored)
        attachments.append(attachment)
    return attachments


def checked_bytes(manifest: Manifest) -> bytes:
    """Return the manifest's bytes, which the reader's own checks have passed (EXT-14).

    Raises:
        ExtractError: EXT-14 as the rule that they break.
    """
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
        codec=inner_codec(layer),
        raw_nbytes=encoded.raw_nbytes,
        stored_nbytes=sum(chunk.stored_nbytes for chunk in layer.chunks),
    )
