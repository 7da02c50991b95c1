"""``seedpack lab``: the experiments that the product's figures come from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from seedpack.memory import keep_freed_memory
from seedpack_cli import options, output
from seedpack_cli.benchmark import benchmark_row, benchmark_text

if TYPE_CHECKING:
    from collections.abc import Callable


app = typer.Typer(
    help="Repeat the experiments behind the audits' figures.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_QUICK: Final = {"clean": 6, "planted": 9, "twins": 5, "defence_samples": (200,)}


class Part(StrEnum):
    """Of the zoo."""

    DEVELOPMENT = "development"
    SEALED = "sealed"


@app.callback()
def _lab() -> None:
    """Keep ``backdoor`` a command of a group, with others to come."""


@app.command()
def backdoor(
    cache: Annotated[
        Path, typer.Option("--cache", help="Folder of models and results; a run goes on there.")
    ],
    part: Annotated[
        Part, typer.Option("--part", help="Of the zoo; nothing may be tuned on the sealed part.")
    ] = Part.DEVELOPMENT,
    families: Annotated[
        str | None,
        typer.Option(
            "--families",
            metavar="LIST",
            help="Such as mlp,cnn,vit,text,encoder; default: those of images.",
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts", help="Folder with train.tsv and dev.tsv, for the families text and encoder."
        ),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option("--encoder", help="Folder of a pretrained model, for the family encoder."),
    ] = None,
    clean: Annotated[int | None, typer.Option(min=1, help="Clean models of each family.")] = None,
    planted: Annotated[int | None, typer.Option(min=1, help="Models with a backdoor.")] = None,
    kinds: Annotated[
        str | None,
        typer.Option("--kinds", metavar="LIST", help="Of backdoors; default: all that take turns."),
    ] = None,
    twins: Annotated[int | None, typer.Option(min=4, help="Clean twins to calibrate on.")] = None,
    twin_samples: Annotated[
        int | None,
        typer.Option("--twin-samples", min=20, help="Train twins on so many samples, not all."),
    ] = None,
    detectors: Annotated[
        str | None,
        typer.Option(
            "--detectors", metavar="LIST", help="Searches. Default: all but soft-*; none: none."
        ),
    ] = None,
    defences: Annotated[
        str | None, typer.Option("--defences", metavar="LIST", help="Default: all; none: none.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=20, help="Clean samples of a search.")
    ] = None,
    defence_samples: Annotated[
        list[int] | None,
        typer.Option(
            "--defence-samples",
            min=20,
            help="Clean samples of a defence; may be given several times. Default: 200 and 50.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few models: minutes, wide bounds.")
    ] = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Train models with and without backdoors, and see what searches and defences make of them.

    Prints AUC, true positives at 5 % false alarms, backdoors removed and the accuracy that it
    costs, with 95 % intervals. Needs the extra: pip install "seedpack[demo]".
    """
    from seedpack.lab.benchmark import Plan, run  # noqa: PLC0415 -- torch
    from seedpack.lab.zoo.registry import Zoo  # noqa: PLC0415 -- torch

    del output_format  # read through output.settings
    asked: dict[str, Any] = {
        "part": part.value,
        "families": _words(families),
        "clean": clean,
        "planted": planted,
        "twins": twins,
        "twin_samples": twin_samples,
        "kinds": _words(kinds),
        "detectors": _words(detectors),
        "defences": _words(defences),
        "samples": samples,
        "defence_samples": None if defence_samples is None else tuple(defence_samples),
        "jobs": jobs,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    plan = Plan(**{**(_QUICK if quick else {}), **given})
    bars: dict[str, Callable[[int, int], None] | None] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in bars:
            bars[what] = output.progress_bar(what)
        if (bar := bars[what]) is not None:
            bar(done, total)

    keep_freed_memory()
    try:
        report = run(plan, Zoo(cache, texts, encoder), show)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    output.print_data(benchmark_row(report), benchmark_text(report))


def _words(value: str | None) -> tuple[str, ...] | None:
    """Return a list's words; None where the option was not given."""
    if value is None:
        return None
    return () if value == "none" else tuple(word.strip() for word in value.split(","))
