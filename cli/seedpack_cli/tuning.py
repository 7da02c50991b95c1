"""``seedpack assemble --task``: the options of a tuning, and what they start.

options ──TuningOptions──> data checked ──working copy assembled──tuned──> OUT, report
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from seedpack.memory import keep_freed_memory
from seedpack_cli import output

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.assemble import AssemblyReport
    from seedpack.audits import AuditReport
    from seedpack.backdoors.defence.report import DefenceReport
    from seedpack.seed.contents import Contents
    from seedpack.training import Columns as ColumnNames
    from seedpack.training import Split
    from seedpack.tune import TunePlan, TuneReport

_PANEL = "Tuning (with --task)"

Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        rich_help_panel=_PANEL,
        help="Tune for text-classification, image-classification, token-classification, "
        "question-answering, language-modeling or generic.",
    ),
]
Train = Annotated[
    str | None,
    typer.Option(
        "--train",
        metavar="DATA",
        rich_help_panel=_PANEL,
        help="What to tune on: tsv, csv, jsonl, conll, SQuAD json, txt, npz, a folder with one "
        "folder of images per class, or OWNER/NAME[:CONFIG][@SPLIT] of the package datasets.",
    ),
]
Evaluation = Annotated[
    str | None,
    typer.Option(
        "--eval",
        metavar="DATA",
        rich_help_panel=_PANEL,
        help="What to measure on; never trained on, and never used to choose anything.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="TEXT,LABEL",
        rich_help_panel=_PANEL,
        help="Names of the columns, where they are not the usual ones.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--samples",
        min=2,
        rich_help_panel=_PANEL,
        help="How many training examples to use, equally many of each class.",
        show_default="all; in audits 50",
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs",
        min=1,
        max=1000,
        rich_help_panel=_PANEL,
        help="Passes over them, at most.",
        show_default="by the number of samples",
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, max=2**31, rich_help_panel=_PANEL, help="Of everything random."),
]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds", min=1, max=100, rich_help_panel=_PANEL, help="Repeat with that many seeds."
    ),
]
Control = Annotated[
    bool,
    typer.Option(
        "--control/--no-control",
        rich_help_panel=_PANEL,
        help="Tune a randomly initialised model of the same architecture in the same way, too.",
    ),
]
Original = Annotated[
    Path | None,
    typer.Option(
        "--original",
        metavar="MODEL",
        rich_help_panel=_PANEL,
        help="The model the seed was made from: tuned as well, for the retention.",
    ),
]
Robust = Annotated[
    bool,
    typer.Option(
        "--robust",
        rich_help_panel=_PANEL,
        help="Expect wrong labels: small steps, averaged states, generalised cross-entropy.",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="DIR",
        rich_help_panel=_PANEL,
        help="Written while tuning, gone on from if there, emptied at the end.",
    ),
]
Factory = Annotated[
    str | None,
    typer.Option(
        "--factory",
        metavar="MODULE:FUNCTION",
        rich_help_panel=_PANEL,
        help="Your own function that builds the torch module, for seeds without an architecture.",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="PATH",
        rich_help_panel=_PANEL,
        help="Write all figures to this JSON file; with --audit, the report to this folder.",
    ),
]


@dataclass(frozen=True)
class TuningOptions:
    """The options of a tuning, as given."""

    task: str | None
    train: str | None
    evaluation: str | None
    columns: str | None
    samples: int | None
    epochs: int | None
    seed: int
    seeds: int
    control: bool
    original: Path | None
    robust: bool
    checkpoint: Path | None
    factory: str | None
    report: Path | None

    def plan(self) -> TunePlan:
        """Return the plan."""
        from seedpack.tune import TunePlan  # noqa: PLC0415

        return TunePlan(
            samples=self.samples,
            epochs=self.epochs,
            seed=self.seed,
            nseeds=self.seeds,
            control=self.control,
            original=self.original,
            robust=self.robust,
            checkpoints=self.checkpoint,
            factory=self.factory,
        )

    def names(self) -> ColumnNames:
        """Return the names of the columns."""
        from seedpack.training import Columns  # noqa: PLC0415

        return Columns(*(self.columns or ",").split(","))

    def check(self, layers: str | None) -> None:
        """Refuse options that make no sense together.

        Raises:
            typer.BadParameter: They do not.
        """
        if self.task is None:
            data = (self.train, self.evaluation, self.columns, self.samples, self.epochs)
            models = (self.original, self.checkpoint, self.factory)
            if any(value is not None for value in (*data, *models)):
                raise typer.BadParameter("what for? Give --task as well")
            if self.report is not None or self.robust:
                raise typer.BadParameter("--report and --robust go with --task or --audit")
            return
        if self.train is None or self.evaluation is None:
            raise typer.BadParameter("--task needs --train DATA and --eval DATA")
        if layers is not None:
            raise typer.BadParameter("a part of a model cannot be tuned; leave --layers out")
        if self.columns is not None and self.columns.count(",") != 1:
            raise typer.BadParameter("--columns is TEXT,LABEL")


class Outcome(NamedTuple):
    """What became of a seed: assembled, and if so asked tuned, defended and audited."""

    assembled: AssemblyReport
    tuned: TuneReport | None = None
    defence: DefenceReport | None = None
    audit: AuditReport | None = None


def tune_seed(
    contents: Contents,
    out: Path,
    options: TuningOptions,
    assemble: Callable[[Path], AssemblyReport],
    *,
    defend: Callable[[Path, Split, TunePlan, Path], DefenceReport] | None,
    audit: Callable[[Path, Path, DefenceReport | None], AuditReport | None],
) -> Outcome:
    """Check the data, assemble a working copy with ``assemble``, tune it into ``out``.

    Args:
        contents: The open seed.
        out: Where the model goes that the consumer will use.
        options: Task, data and how.
        assemble: Writes the model to a path.
        defend: Takes the tuned model, data, plan, and where the defended one goes; None: the
            tuned one stays as it is.
        audit: Takes the assembled model, the final one, and what a defence did to it.
    """
    from seedpack.files import atomic_output  # noqa: PLC0415
    from seedpack.tune import load_split, tune  # noqa: PLC0415

    keep_freed_memory()
    plan = options.plan()
    split = load_split(
        options.task or "",
        options.train or "",
        options.evaluation or "",
        plan,
        columns=options.names(),
    )
    bare = contents.manifest.architecture is None or options.factory is not None
    ending = ".safetensors" if bare else ""
    with tempfile.TemporaryDirectory(prefix=".seedpack-", dir=out.parent) as folder:
        copy = Path(folder) / f"model{ending}"
        assembled = assemble(copy)
        tuned = out if defend is None else Path(folder) / f"tuned{ending}"
        report = tune(copy, split, plan, output=tuned, progress=_watch())
        defence = None if defend is None else defend(tuned, split, plan, out)
        audited = audit(copy, out, defence)
    if options.report is not None:
        with atomic_output(options.report, overwrite=True) as file:
            file.write((json.dumps(report.as_dict(), indent=2) + "\n").encode())
    if not options.control:
        output.print_note("no control arm: these figures alone do not show what the seed kept")
    return Outcome(assembled, report, defence, audited)


def _watch() -> Callable[[str, int, int], None]:
    bars: dict[str, Callable[[int, int], None] | None] = {}

    def watch(arm: str, done: int, total: int) -> None:
        bar = bars.setdefault(arm, output.progress_bar(f"tuning {arm}"))
        if bar is not None:
            bar(done, total)

    return watch
