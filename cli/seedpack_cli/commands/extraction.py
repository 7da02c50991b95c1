"""``seedpack extract``."""

from __future__ import annotations

import functools
import math
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedpack_cli import options, output
from seedpack_cli.commands import delta_training, layouts, students, training
from seedpack_cli.commands.extracted import print_extracted

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.extract import ExtractReport
    from seedpack.extract.publication import PublicationOptions
    from seedpack.seed.contents import Contents


class CodecId(StrEnum):
    """Codecs that can be asked for; spec/codecs/ has a page for each."""

    RAW = "raw"
    Q8 = "q8"
    BF16 = "bf16"
    ECQ = "ecq"
    TCQ = "tcq"
    LOWRANK = "lowrank"
    SPARSE = "sparse"
    CONST = "const"
    INIT = "init"
    PCA = "pca"
    MOMENTS = "moments"
    HASH = "hash"
    FASTFOOD = "fastfood"


_TRAINED = {CodecId.HASH, CodecId.FASTFOOD}
_SCATTERED = {None, CodecId.RAW, CodecId.ECQ}  # EXT-66


class PresetId(StrEnum):
    """Sizes by name; spec/extract.md says what each was measured to keep."""

    LOSSLESS = "lossless"
    NEAR_LOSSLESS = "near-lossless"
    BALANCED = "balanced"
    SMALL = "small"
    TINY = "tiny"


class DigestId(StrEnum):
    """Digest algorithms of the format."""

    BLAKE3 = "blake3-256"
    SHA2 = "sha2-256"


def extract(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A transformers folder, a .safetensors file, or a .pt/.pth/.bin state dict.",
        ),
    ],
    out: options.OutputPath,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the seed, as acme/minilm. Default: from MODEL."),
    ] = None,
    version: Annotated[
        int,
        typer.Option("--version", min=0, help="Counted up by you; consumers refuse older ones."),
    ] = 1,
    codec: Annotated[
        CodecId | None,
        typer.Option(
            "--codec",
            help="raw: lossless. bf16: rounded, 3x. q8: 8-bit groups, 4x smaller than float32. "
            "ecq: entropy-coded grid, about 7x, or any size. tcq: the same with less error, "
            "slower. lowrank: factors and a residual. sparse: for pruned models, exact. init: "
            "values of seedpack's own random numbers, exact. pca, moments: for comparisons "
            "only, they keep nothing of what a model knows. Vectors stay raw, constant "
            "tensors are const with any of these. hash, fastfood: how the numbers of --train "
            "make weights.",
            show_default="raw; with --ratio or --max-bytes: tcq, interleaved: ecq, --train: hash",
        ),
    ] = None,
    ratio: Annotated[
        float | None,
        typer.Option(
            "--ratio",
            metavar="R",
            min=1,
            help="Bytes of all tensors over bytes of the file, hit within 2 %.",
        ),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option("--max-bytes", metavar="N", min=1, help="The file is never larger."),
    ] = None,
    train: training.Train = None,
    task: training.Task = None,
    evaluation: training.Evaluation = None,
    factory: training.Factory = None,
    steps: training.Steps = None,
    trainings: training.Trainings = None,
    checkpoint: training.Checkpoint = None,
    base: Annotated[
        Path | None,
        typer.Option(
            "--base",
            metavar="BASE",
            help="Store differences from this model only: a folder or file of weights, or a seed.",
        ),
    ] = None,
    trust: options.TrustPath = None,
    student: students.Student = None,
    epochs: students.Epochs = None,
    seed: students.Seed = None,
    preset: Annotated[
        PresetId | None,
        typer.Option(
            "--preset",
            help="A size by name: near-lossless about 4.6x below float32, balanced 7x (fast), "
            "small 11x, tiny 15x.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration",
            metavar="FILE",
            help="Texts that show which errors matter, one per line (.txt) or in the first "
            "column (.tsv); with a size to hit.",
        ),
    ] = None,
    parity: Annotated[
        int | None,
        typer.Option("--parity", metavar="PCT", min=1, max=1000, help="Add repair parity, in %."),
    ] = None,
    interleave: layouts.Interleave = False,
    protect_top_bits: layouts.ProtectTopBits = False,
    key: Annotated[Path | None, typer.Option("--key", help="Private key: sign, too.")] = None,
    expires: options.Expires = None,
    digest: Annotated[
        DigestId, typer.Option("--digest", help="sha2-256 where rules ask for it; slower.")
    ] = DigestId.BLAKE3,
    force: options.Force = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Make a seed of MODEL: weights, architecture as data, tokenizer and card.

    With --base the seed holds what MODEL differs in from that model, and whoever assembles it needs
    the same. With --train the seed's few numbers are trained to make the model answer as it did,
    with --base over that model, and every figure is printed beside its controls. With --student a
    smaller model that learned from MODEL is stored in its place.

    No code is taken from MODEL and none can be put into a seed. The same model, options and key
    give the same file, bit for bit, where SOURCE_DATE_EPOCH fixes the time.
    """
    from seedpack.crypto.keyfiles import load_private_key  # noqa: PLC0415
    from seedpack.extract import Publication, extract_delta  # noqa: PLC0415
    from seedpack.extract import extract as extract_model  # noqa: PLC0415

    del output_format  # read through output.settings
    _check_target(codec, ratio, max_bytes)
    wish = students.Wish(student, train, checkpoint, epochs, seed, ratio, max_bytes)
    wish.check(others=(codec, base, task, evaluation, factory, steps, trainings))
    alone = (None, None) if student else (training.only_one(train), checkpoint)
    trained = codec.value if codec in _TRAINED else None
    given = training.Options(
        alone[0], task, evaluation, factory, steps, trainings, alone[1], trained
    )
    given.check(
        model, ratio=ratio, max_bytes=max_bytes, base=base is not None, codec=trained != codec
    )
    _check_preset(preset, calibration, codec or ratio or max_bytes, ratio or max_bytes)
    layouts.check(
        others=bool(base or train or student) or codec not in _SCATTERED,
        exact=codec is CodecId.RAW or preset is PresetId.LOSSLESS,
        wished=(interleave, protect_top_bits),
    )
    if protect_top_bits and not (codec or preset or ratio or max_bytes):
        codec = CodecId.ECQ
    private = load_private_key(key, lambda: options.ask_passphrase(key)) if key else None
    if (preset or calibration) and (base or train or student):
        raise typer.BadParameter(
            "--preset and --calibration serve none of --base, --train, --student"
        )
    if base is not None and (codec is not None or factory is not None):
        raise typer.BadParameter("--base has a codec of its own; leave out --codec and --factory")
    named = name or _name_of(model)
    published: PublicationOptions = {
        "version": version,
        "expires": options.parse_date(expires),
        "digest_algorithm": digest.value,
        "parity_percent": parity,
        "interleave": interleave,
        "protect_top_bits": protect_top_bits,
        "key": private,
        "overwrite": force,
    }
    if student is not None:
        learned = students.extract(model, out, wish, name=named, publication=published)
        print_extracted(out, learned.seed, signed=private is not None, student=learned)
        return
    publication = Publication(name=named, **published)
    if train is not None and base is None and ratio is not None:
        training.extract_trained(model, out, publication, given, ratio)
        return
    make: Callable[..., ExtractReport]
    make = functools.partial(
        extract_model,
        codec=codec.value if codec else None,
        factory=factory,
        preset=preset.value if preset else None,
        calibration=calibration,
    )
    with options.open_base(base, functools.partial(_open_trusted, trust)) as tensors:
        if tensors is not None and train is not None:
            size = delta_training.Size(ratio, max_bytes)
            delta_training.extract_trained(model, out, publication, given, tensors, size)
            return
        if tensors is not None:
            make = functools.partial(extract_delta, base=tensors)
        bar = output.progress_bar(f"extracting {model.name}")
        more = functools.partial(make, ratio=ratio, max_nbytes=max_bytes, progress=bar)
        report = more(model, out, name=named, **published)
    print_extracted(out, report, signed=private is not None)


def _open_trusted(trust: Path | None, path: Path) -> Contents:
    """Open a base that is a seed: what is built on must be trusted, too (BAS-6)."""
    return options.open_trusted(path, lambda: options.Trust(trust, None, None), insecure=False)


def _check_target(codec: CodecId | None, ratio: float | None, max_bytes: int | None) -> None:
    if ratio is None and max_bytes is None:
        return
    if ratio is not None and max_bytes is not None:
        raise typer.BadParameter("give either --ratio or --max-bytes")
    if ratio is not None and not math.isfinite(ratio):
        raise typer.BadParameter("--ratio is a number")
    if codec not in {None, CodecId.ECQ, CodecId.TCQ, *_TRAINED}:
        raise typer.BadParameter(
            f"codec {codec} has one size; --ratio and --max-bytes need tcq or ecq"
        )


def _check_preset(
    preset: PresetId | None, calibration: Path | None, other: object, size: object
) -> None:
    if preset is not None and other is not None:
        raise typer.BadParameter("--preset stands for --codec and --ratio or --max-bytes")
    has_size = size is not None or preset in {
        PresetId.NEAR_LOSSLESS,
        PresetId.SMALL,
        PresetId.TINY,
    }
    if calibration is not None and not has_size:
        raise typer.BadParameter(
            "--calibration serves --ratio, --max-bytes, or the presets near-lossless, small, tiny"
        )


def _name_of(model: Path) -> str:
    """Return a valid seed name made of the last part of the path (MAN-11)."""
    stem = model.resolve().name.lower()
    for ending in (".safetensors", ".pth", ".pt", ".bin"):
        stem = stem.removesuffix(ending)
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._") or "model"
