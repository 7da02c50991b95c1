"""From a path to a signed container (spec: extract.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from seedpack.codecs.registry import FALLBACK_ID
from seedpack.errors import ExtractError
from seedpack.extract.calibration import read_texts
from seedpack.extract.coding import Coding
from seedpack.extract.presets import BITS, CODECS, Preset, preset_target
from seedpack.extract.publication import Publication
from seedpack.extract.publishing import publish, publish_as
from seedpack.extract.report import Expectation
from seedpack.extract.rounds import build_to_target
from seedpack.extract.targets import GRID_CODEC, TARGET_CODEC, check_target, make_target
from seedpack.frameworks import NamedTensor, open_model
from seedpack.frameworks.observing import run_model
from seedpack.seed.opening import open_unverified
from seedpack.seed.tensors import decode_layers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.extract.publication import PublicationOptions
    from seedpack.extract.report import ExtractReport
    from seedpack.frameworks.observing import RunningModel


def extract(  # noqa: PLR0913 -- each is an option of the command
    model: Path,
    output: Path,
    *,
    name: str,
    codec: str | None = None,
    ratio: float | None = None,
    max_nbytes: int | None = None,
    factory: str | None = None,
    preset: str | None = None,
    calibration: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Unpack[PublicationOptions],
) -> ExtractReport:
    """Write the seed of ``model``, signed by the key of ``options`` if there is one.

    Args:
        model: A transformers folder, a ``.safetensors`` file or a state dict.
        output: The container; it appears when it is complete.
        name: Seed name (MAN-11).
        codec: For float tensors of two and more dimensions; all others are stored ``raw``.
            Default with a target: ``tcq``, and ``ecq`` where that comes as near; ``ecq`` alone
            where chunks are interleaved. Without: ``raw``.
        ratio: Bytes of all tensors over bytes of the file, hit within 2 %; for ``tcq`` or ``ecq``.
        max_nbytes: Size that the file never exceeds; likewise, and not with ``ratio``.
        factory: ``module:function`` or ``file.py:function`` of yours: the tensors of a file must
            be those of the module that it builds. Never part of the seed.
        preset: Name of a size (EXT-62), instead of ``codec``, ``ratio`` and ``max_nbytes``.
        calibration: Texts of the kind that the model will read (EXT-61), for a target; without
            them the model is run on random tokens.
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
    wish = _check_wish(codec, ratio, max_nbytes, preset, calibration)
    publication = Publication(name=name, **options)
    if codec is None and wish == TARGET_CODEC and publication.is_scattered:
        wish = GRID_CODEC  # the one whose chunks can be
    texts = None if calibration is None else read_texts(calibration)
    source = open_model(model, factory=factory)
    infos = source.infos()
    target = make_target(ratio, max_nbytes, sum(info.nbytes for info in infos))
    if preset is not None:
        target = preset_target(Preset(preset), infos)
    if target is None:
        recipe = {} if preset is None else {"target": f"preset {preset}"}
        coding = Coding(wish)
        report = publish(source, output, publication, coding, recipe=recipe, progress=progress)
        return replace(report, target=recipe.get("target"))
    running = run_model(source, texts)
    if running is None and texts is not None:
        raise ExtractError(
            "only a transformers text model of at most 300 million parameters is run on text",
            rule="EXT-61",
            where="calibration",
        )
    report = publish_as(
        source,
        output,
        publication,
        lambda builder: build_to_target(builder, target, running, wish),
        progress=progress,
    )
    return report if running is None else replace(report, expected=_expect(running, output))


def _check_wish(
    codec: str | None,
    ratio: float | None,
    max_nbytes: int | None,
    preset: str | None,
    calibration: Path | None,
) -> str:
    """Return the codec; refuse a wrong call.

    Raises:
        ValueError: Options that exclude each other, or a name that does not exist.
    """
    has_target = ratio is not None or max_nbytes is not None
    if preset is not None:
        if has_target or codec is not None:
            raise ValueError("a preset stands for codec and ratio or size")
        codec = CODECS.get(Preset(preset), TARGET_CODEC)
        has_target = Preset(preset) in BITS
    codec = codec or (TARGET_CODEC if has_target else FALLBACK_ID)
    Coding(codec).check()
    check_target(codec, ratio, max_nbytes)
    if calibration is not None and not has_target:
        raise ValueError("calibration serves a ratio, a largest size or a preset with bits to give")
    return codec


def _expect(running: RunningModel, output: Path) -> Expectation:
    """Measure what the seed in ``output`` does on inputs that served nothing else (EXT-63)."""
    with open_unverified(output) as contents:  # our own, written a moment ago
        found = running.compare(
            NamedTensor(tensor.name, tensor.dtype, tensor.array.shape, tensor.array.tobytes())
            for tensor in decode_layers(contents)
        )
    count = sum(len(batch["input_ids"]) for batch in running.inputs.held_out)
    interval = (found.low, found.high)
    return Expectation(found.cosine, interval, found.control, running.inputs.kind, count)
