"""What types cannot say: names, sums, limits (spec: MAN, LAY, CHK, ATT, ARC, PAR).

    Manifest --validate_manifest--> the same Manifest, or a FormatError that names the rule

Every size is a Python int, so that no product or sum can wrap.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.container import names
from seedpack.container.architecture import check_architecture
from seedpack.container.stripes import stripe_layout
from seedpack.dtypes import DTYPES
from seedpack.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Collection, Sized

    from seedpack.container.manifest import Attachment, Chunk, Claim, Layer, Manifest, Parity

DIGEST_ALGORITHMS: Final = frozenset({"blake3-256", "sha2-256"})  # MAN-13
DIGEST_NBYTES: Final = 32  # MAN-12
SCHEMA: Final = 1  # MAN-8
ATTACHMENT_KINDS: Final = frozenset({"card", "config", "licence", "other", "tokenizer"})  # ATT-5
PARITY_SCHEME: Final = "rs-vandermonde-gf256"  # PAR-1
MAX_PARITY_PERCENT: Final = 1000  # PAR-2
_FIGURE: Final = re.compile(r"\A-?[0-9]{1,9}(\.[0-9]{1,9})?\Z")  # MAN-15
_MAX_RECIPE_ENTRIES: Final = 64  # MAN-9
_FIGURES: Final = (
    "chance",
    "control_value",
    "interval_high",
    "interval_low",
    "original",
    "value",
)


def validate_manifest(manifest: Manifest, *, codecs: Collection[str]) -> None:
    """Refuse a manifest that breaks a rule of sections 6 to 10.

    Args:
        manifest: Decoded and canonical.
        codecs: Ids of the codecs that this reader knows.

    Raises:
        FormatError: The rule and the place.
    """
    _check_counts(manifest)
    _check_header(manifest)
    for index, layer in enumerate(manifest.layers):
        _check_layer(layer, f"layers[{index}]", codecs)
    if len({layer.name for layer in manifest.layers}) < len(manifest.layers):
        raise _refusal("LAY-1", "layers", "two layers with one name")
    for index, attachment in enumerate(manifest.attachments):
        _check_attachment(attachment, f"attachments[{index}]")
    names.check_attachment_names([attachment.name for attachment in manifest.attachments])
    for index, claim in enumerate(manifest.claims):
        _check_claim(claim, f"claims[{index}]")
    if manifest.architecture is not None:
        check_architecture(manifest.architecture)
    if manifest.parity is not None:
        _check_parity(manifest.parity, manifest.data_chunks)
    _check_budget(manifest)


def layer_nbytes(layer: Layer) -> int:
    """Return the size of the decoded tensor, in bytes."""
    return math.prod(layer.shape) * DTYPES[layer.dtype].itemsize


def _check_counts(manifest: Manifest) -> None:
    counted: tuple[tuple[str, Sized, int], ...] = (
        ("layers", manifest.layers, limits.MAX_LAYERS),
        ("attachments", manifest.attachments, limits.MAX_ATTACHMENTS),
        ("claims", manifest.claims, limits.MAX_CLAIMS),
        ("recipe", manifest.recipe, _MAX_RECIPE_ENTRIES),
        ("chunks", manifest.chunks, limits.MAX_CHUNKS),
    )
    for where, items, limit in counted:
        if len(items) > limit:
            raise _refusal("MAN-9", where, f"{len(items)} {where}, at most {limit} are allowed")


def _check_header(manifest: Manifest) -> None:
    if manifest.schema != SCHEMA:
        raise _refusal("MAN-8", "schema", f"unknown manifest schema {manifest.schema}")
    if manifest.version > limits.MAX_VERSION:
        raise _refusal("MAN-8", "version", f"version {manifest.version}")
    if manifest.digest_algorithm not in DIGEST_ALGORITHMS:
        raise _refusal("MAN-13", "digest_algorithm", "unknown digest algorithm")
    _check_times(manifest)
    names.check_seed_name(manifest.name)
    names.check_text(manifest.producer, where="producer")
    for key, value in manifest.recipe.items():
        names.check_text(key, where="recipe")
        if isinstance(value, str):
            names.check_text(value, where=f"recipe[{key}]")
    if manifest.base is not None:
        _check_digest(manifest.base.digest, "base.digest")
        names.check_text(manifest.base.name, where="base.name")


def _check_times(manifest: Manifest) -> None:
    if manifest.created > limits.MAX_TIME:
        raise _refusal("MAN-7", "created", f"time {manifest.created}")
    expires = manifest.expires
    if expires is not None and not manifest.created < expires <= limits.MAX_TIME:
        raise _refusal("MAN-7", "expires", f"time {expires}, created {manifest.created}")


def _check_layer(layer: Layer, where: str, codecs: Collection[str]) -> None:
    names.check_layer_name(layer.name, where=f"{where}.name")
    if layer.dtype not in DTYPES:
        raise _refusal("LAY-2", f"{where}.dtype", f"unknown dtype {layer.dtype[:40]!a}")
    if len(layer.shape) > limits.MAX_DIMS:
        raise _refusal("LAY-3", f"{where}.shape", f"{len(layer.shape)} dimensions")
    # Zeros count as one: a shape is bounded even where the tensor is empty.
    bound = math.prod(max(size, 1) for size in layer.shape) * DTYPES[layer.dtype].itemsize
    if bound > limits.MAX_LAYER_NBYTES:
        raise _refusal("LAY-4", f"{where}.shape", f"tensor of {bound} bytes")
    if layer.codec not in codecs:
        hint = "a newer seedpack may know it"
        raise _refusal("LAY-5", f"{where}.codec", f"unknown codec {layer.codec[:40]!a}", hint)
    _check_params(layer, f"{where}.params")
    if not layer.finite and DTYPES[layer.dtype].kind != "float":
        raise _refusal("LAY-7", f"{where}.finite", f"{layer.dtype} is always finite")
    _check_digest(layer.digest, f"{where}.digest")
    _check_chunks(layer.chunks, f"{where}.chunks")


def _check_params(layer: Layer, where: str) -> None:
    if len(layer.params) > limits.MAX_PARAMS:
        raise _refusal("LAY-6", where, f"{len(layer.params)} params")
    for key, value in layer.params.items():
        names.check_text(key, where=where)
        if isinstance(value, str):
            names.check_text(value, where=where)
        if isinstance(value, bytes) and len(value) > limits.MAX_TEXT_NBYTES:
            raise _refusal("LAY-6", where, f"param of {len(value)} bytes")


def _check_attachment(attachment: Attachment, where: str) -> None:
    names.check_attachment_name(attachment.name, where=f"{where}.name")
    if attachment.kind not in ATTACHMENT_KINDS:
        raise _refusal("ATT-5", f"{where}.kind", "unknown kind of attachment")
    if attachment.nbytes > limits.MAX_ATTACHMENT_NBYTES:
        raise _refusal("ATT-3", f"{where}.nbytes", f"attachment of {attachment.nbytes} bytes")
    if not 1 <= attachment.chunk_nbytes <= limits.MAX_CHUNK_RAW_NBYTES:
        raise _refusal(
            "ATT-3", f"{where}.chunk_nbytes", f"pieces of {attachment.chunk_nbytes} bytes"
        )
    _check_digest(attachment.digest, f"{where}.digest")
    _check_chunks(attachment.chunks, f"{where}.chunks")
    if len(attachment.chunks) != -(-attachment.nbytes // attachment.chunk_nbytes):
        raise _refusal("ATT-3", f"{where}.chunks", f"{len(attachment.chunks)} chunks")
    sizes = attachment_piece_sizes(attachment)
    for chunk, raw_nbytes in zip(attachment.chunks, sizes, strict=True):
        if chunk.stored_nbytes > raw_nbytes:
            raise _refusal("ATT-3", f"{where}.chunks", "chunk is larger than its raw bytes")


def attachment_piece_sizes(attachment: Attachment) -> list[int]:
    """Return the raw size of each chunk of a validated ``attachment``, in bytes."""
    full, rest = divmod(attachment.nbytes, attachment.chunk_nbytes)
    return [attachment.chunk_nbytes] * full + [rest] * bool(rest)


def _check_claim(claim: Claim, where: str) -> None:
    for field in _FIGURES:
        if not _FIGURE.match(getattr(claim, field)):
            raise _refusal("MAN-15", f"{where}.{field}", "figure is not a decimal number")
    for field in ("control", "dataset", "metric"):
        names.check_text(getattr(claim, field), where=f"{where}.{field}")


def _check_parity(parity: Parity, data_chunks: list[Chunk]) -> None:
    if parity.scheme != PARITY_SCHEME:
        raise _refusal("PAR-1", "parity.scheme", "unknown parity scheme")
    nshards = parity.stripe_nchunks + -(-parity.stripe_nchunks * parity.percent // 100)
    in_range = parity.stripe_nchunks >= 1 and 1 <= parity.percent <= MAX_PARITY_PERCENT
    if not in_range or nshards > limits.MAX_SHARDS:
        message = f"stripes of {parity.stripe_nchunks} chunks with {parity.percent} % parity"
        raise _refusal("PAR-2", "parity", message)
    _check_chunks(parity.chunks, "parity.chunks")
    # Stripes only round up, so fewer chunks than this fit none: no layout for them in memory.
    is_enough = 100 * len(parity.chunks) >= parity.percent * len(data_chunks)
    expected = _parity_sizes(parity, data_chunks) if is_enough else []
    if not expected or [chunk.stored_nbytes for chunk in parity.chunks] != expected:
        raise _refusal("PAR-3", "parity.chunks", "parity chunks do not fit the stripes")


def _parity_sizes(parity: Parity, data_chunks: list[Chunk]) -> list[int]:
    stored = [chunk.stored_nbytes for chunk in data_chunks]
    stripes = stripe_layout(stored, parity.stripe_nchunks, parity.percent)
    return [stripe.shard_nbytes for stripe in stripes for _ in range(stripe.nparity)]


def _check_budget(manifest: Manifest) -> None:
    layers = sum(layer_nbytes(layer) for layer in manifest.layers)
    total = layers + sum(attachment.nbytes for attachment in manifest.attachments)
    if manifest.decoded_nbytes != total or total > limits.MAX_DECODED_NBYTES:
        message = f"budget of {manifest.decoded_nbytes} bytes, the parts have {total}"
        raise _refusal("MAN-10", "decoded_nbytes", message)


def _check_chunks(chunks: list[Chunk], where: str) -> None:
    for number, chunk in enumerate(chunks):
        if not 1 <= chunk.stored_nbytes <= limits.MAX_CHUNK_STORED_NBYTES:
            raise _refusal("CHK-1", f"{where}[{number}]", f"chunk of {chunk.stored_nbytes} bytes")
        _check_digest(chunk.digest, f"{where}[{number}].digest")


def _check_digest(digest: bytes, where: str) -> None:
    if len(digest) != DIGEST_NBYTES:
        raise _refusal("MAN-12", where, f"digest of {len(digest)} bytes")


def _refusal(rule: str, where: str, message: str, hint: str = "") -> FormatError:
    return FormatError(message, rule=rule, where=where, hint=hint)
