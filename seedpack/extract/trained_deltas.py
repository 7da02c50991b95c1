"""A delta seed of layers that training has encoded already (spec: delta.md).

MODEL as training left it ─┬─ tensors that were encoded ──> as they are
BASE                       ├─ tensors that are the base's > same
└─ all others ─────────────────> raw, or const
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from seedpack.codecs.delta.encoding import encode_same
from seedpack.container.manifest import Base
from seedpack.extract.coding import Coding
from seedpack.extract.deltas import DELTA, find_origin, leave_files
from seedpack.extract.publication import Publication
from seedpack.extract.publishing import publish
from seedpack.frameworks import open_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seedpack.codecs.base import BaseTensors, Encoded
    from seedpack.codecs.delta.encoding import Origin
    from seedpack.extract.publication import PublicationOptions
    from seedpack.extract.report import ExtractReport
    from seedpack.frameworks import ModelSource, NamedTensor
    from seedpack.seed.base import Base as BaseModel

TRAINED: Final = "low-rank factors, quantised in the loop"  # of a recipe


def extract_trained_delta(
    model: Path,
    output: Path,
    *,
    base: BaseModel,
    layers: Mapping[str, Encoded],
    name: str,
    **options: Unpack[PublicationOptions],
) -> ExtractReport:
    """Write a delta seed whose changed matrices were trained as integers.

    Args:
        model: The model as training left it, saved; values of ``layers`` are not looked at.
        output: The container; it appears when it is complete.
        base: What training began with.
        layers: What ``LowRankTuning.finish`` returned.
        name: Seed name (MAN-11).
        options: How it is published: see ``Publication``.

    Raises:
        ExtractError: EXT; EXT-40, nothing of the model comes from the base.
        StoreError: OUT, the output cannot be written; FIL, an input cannot be read.
    """
    publication = Publication(name=name, **options)
    source, recipe = leave_files(open_model(model), base, publication.digest_algorithm)
    return publish(
        source,
        output,
        publication,
        code_trained(source, base, find_origin(source, base), layers),
        recipe={**recipe, "trained": TRAINED},
        base=Base(digest=base.digest(publication.digest_algorithm), name=base.name),
    )


def code_trained(
    source: ModelSource, base: BaseTensors, origin: Origin, layers: Mapping[str, Encoded]
) -> Coding:
    """Return how ``source`` is coded: ``layers`` as they are, what is the base's as that."""
    same = {
        tensor.name: encode_same(origin)
        for tensor in source.tensors()
        if tensor.name not in layers and _is_same(tensor, base, origin)
    }
    return Coding(DELTA, {**same, **layers}, base)


def _is_same(tensor: NamedTensor, base: BaseTensors, origin: Origin) -> bool:
    name = origin.name(tensor.name)
    if base.describe(name) != (tensor.dtype, tensor.shape):
        return False
    return base.read(name).tobytes() == bytes(tensor.data)
