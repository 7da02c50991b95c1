"""From a path to a signed container (spec: extract.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from seedpack.codecs.registry import FALLBACK_ID
from seedpack.extract.coding import Coding
from seedpack.extract.publication import Publication
from seedpack.extract.publishing import publish, publish_as
from seedpack.extract.rounds import build_to_target
from seedpack.extract.targets import TARGET_CODEC, check_target, make_target
from seedpack.frameworks import open_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.extract.publication import PublicationOptions
    from seedpack.extract.report import ExtractReport


def extract(  # noqa: PLR0913 -- each is an option of the command
    model: Path,
    output: Path,
    *,
    name: str,
    codec: str | None = None,
    ratio: float | None = None,
    max_nbytes: int | None = None,
    factory: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Unpack[PublicationOptions],
) -> ExtractReport:
    """Write the seed of ``model``, signed by the key of ``options`` if there is one.

    Args:
        model: A transformers folder, a ``.safetensors`` file or a state dict.
        output: The container; it appears when it is complete.
        name: Seed name (MAN-11).
        codec: For float tensors of two and more dimensions; all others are stored ``raw``.
            Default: ``ecq`` with a target, else ``raw``.
        ratio: Bytes of all tensors over bytes of the file, hit within 2 %; for ``ecq``.
        max_nbytes: Size that the file never exceeds; for ``ecq``, and not with ``ratio``.
        factory: ``module:function`` or ``file.py:function`` of yours: the tensors of a file must
            be those of the module that it builds. Never part of the seed.
        progress: Called with bytes done and bytes in all; anew in each round where there is a
            target.
        options: How it is published: see ``Publication``.

    Returns:
        Sizes, and what the seed does not carry.

    Raises:
        ExtractError: EXT; another rule where no reader would accept the result.
        StoreError: OUT, the output cannot be written; FIL, an input cannot be read.
        ValueError: No such codec, chunk size, parity or target (wrong call).
    """
    has_target = ratio is not None or max_nbytes is not None
    coding = Coding(codec or (TARGET_CODEC if has_target else FALLBACK_ID))
    coding.check()
    check_target(coding.codec, ratio, max_nbytes)
    publication = Publication(name=name, **options)
    source = open_model(model, factory=factory)
    target = make_target(ratio, max_nbytes, sum(info.nbytes for info in source.infos()))
    if target is None:
        return publish(source, output, publication, coding, progress=progress)
    return publish_as(
        source,
        output,
        publication,
        lambda builder: build_to_target(builder, target),
        progress=progress,
    )
