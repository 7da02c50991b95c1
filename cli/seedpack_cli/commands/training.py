"""``seedpack extract --train``: a seed that was trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedpack_cli import output

if TYPE_CHECKING:
    from seedpack.extract.publication import Publication
    from seedpack.extract.trained import TrainedReport
    from seedpack.extract.trials import Arm
    from seedpack.training.statistics import Comparison

Train = Annotated[
    list[Path] | None,
    typer.Option(
        "--train",
        metavar="DATA",
        help="Train the seed on this .npz (x, y), to keep what the model knows at ratios of 50 to "
        "1000; with --task, --ratio and --factory. --ratio is then that of the weights alone. With "
        "--student: text, as .txt, .tsv, .csv, .jsonl; repeatable.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option("--task", metavar="TASK", help="With --train: image-classification or generic."),
]
Evaluation = Annotated[
    Path | None,
    typer.Option(
        "--eval",
        metavar="DATA",
        help="With --train: measures, and is never trained on.",
        show_default="a fifth of DATA",
    ),
]
Factory = Annotated[
    str | None,
    typer.Option(
        "--factory",
        metavar="MODULE:FUNCTION",
        help="Your function, or FILE.py:FUNCTION, that builds the torch module of a weights file: "
        "its parameters must be those of MODEL. With --train and a parameter width, 0 to 1, the "
        "same-bytes student is trained beside the seed. Your own code, run here, never in a seed.",
    ),
]
Steps = Annotated[
    int | None, typer.Option("--steps", metavar="N", min=1, help="With --train: of one training.")
]
Trainings = Annotated[
    int | None,
    typer.Option(
        "--trainings",
        metavar="N",
        min=1,
        max=20,
        help="With --train: how many are measured; the first is published.",
        show_default="3",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="PATH",
        help="With --train: written while training, gone on from if there, removed at the end. "
        "With --student: a folder, which stays.",
    ),
]


def only_one(train: list[Path] | None) -> Path | None:
    """Return the data of a trained seed, which is one file."""
    if train and len(train) > 1:
        raise typer.BadParameter("more than one --train is for --student")
    return train[0] if train else None


@dataclasses.dataclass(frozen=True)
class Options:
    """What was given beside ``--train``."""

    train: Path | None
    task: str | None
    evaluation: Path | None
    factory: str | None
    steps: int | None
    trainings: int | None
    checkpoint: Path | None
    codec: str | None  # one of those that are trained

    def check(self, *, ratio: float | None, others: bool) -> None:
        """Refuse options that do not go together.

        Raises:
            typer.BadParameter: They do not.
        """
        if self.train is None:
            others_given = dataclasses.astuple(dataclasses.replace(self, factory=None))
            if any(value is not None for value in others_given):
                raise typer.BadParameter("that option is for --train DATA")
            return
        if others:
            raise typer.BadParameter(
                "--train takes a --ratio, no --max-bytes, and of --codec hash or fastfood"
            )
        required = (self.task, "--task"), (ratio, "--ratio"), (self.factory, "--factory")
        missing = [option for value, option in required if value is None]
        if missing:
            raise typer.BadParameter(f"--train needs {', '.join(missing)}, too")


def extract_trained(
    model: Path, out: Path, publication: Publication, given: Options, ratio: float
) -> None:
    """Train, write and print."""
    from seedpack.extract.trained import extract_trained as train_and_write  # noqa: PLC0415
    from seedpack.extract.trials import TrainingJob, make_course  # noqa: PLC0415
    from seedpack.frameworks.factories import load_factory  # noqa: PLC0415

    if given.train is None or given.task is None or given.factory is None:
        raise TypeError("options that check() has not passed")
    job = TrainingJob(
        data=given.train,
        task=given.task,
        ratio=ratio,
        factory=load_factory(given.factory),
        course=make_course(given.steps),
        evaluation=given.evaluation,
        nseeds=given.trainings or 3,
        checkpoint=given.checkpoint,
        codec=given.codec or "hash",
    )
    bar = output.progress_bar(f"training {model.name}")
    report = train_and_write(model, out, publication, job, progress=bar)
    _print(out, report, signed=publication.key is not None)


def _print(out: Path, report: TrainedReport, *, signed: bool) -> None:
    kept = report.retention
    row: dict[str, Any] = {
        "path": str(out),
        "signed": signed,
        "seed_id": report.written.seed_id,
        "ratio": report.ratio,
        "file_ratio": report.written.ratio,
        "weights_nbytes": report.weights_nbytes,
        "file_nbytes": report.written.file_nbytes,
        "metric": report.arms[0].scores[0].metric,
        "evaluated": report.arms[0].scores[0].n,
        "trainings": len(report.arms[0].scores),
        "chance": report.chance,
        "arms": {arm.name: _row(arm) for arm in report.arms},
        "retention": {"value": kept.value, "interval": kept.interval, "reason": kept.reason},
        "student": report.note or "trained",
        "against_student": _difference(report.against_student),
    }
    head = (
        f"{out}: {output.format_nbytes(report.written.file_nbytes)}, weights at ratio "
        f"{report.ratio:.0f}, whole file {report.written.ratio:.0f}, "
        f"{'signed' if signed else 'NOT signed yet'}"
    )
    about = (
        f"{row['metric']} on {row['evaluated']} examples that were not trained on, mean of "
        f"{row['trainings']} trainings, 95 % interval:"
    )
    lines = [
        head,
        about,
        *(_line(arm) for arm in report.arms),
        f"  chance              {report.chance:.3f}",
    ]
    if kept.value is None:
        lines.append(f"  retention is undefined: {kept.reason}")
    elif kept.interval is not None:
        interval = f"[{kept.interval.low:.3f}, {kept.interval.high:.3f}]"
        lines.append(f"  retention           {kept.value:.3f}  {interval}")
    if report.against_student is not None:
        found = report.against_student
        interval = f"[{found.interval.low:+.3f}, {found.interval.high:+.3f}]"
        lines.append(f"  seed - student      {found.difference:+.3f}  {interval}  p {found.p:.3f}")
    if report.note:
        output.print_note(f"no same-bytes student beside it: {report.note}")
    output.print_data(row, "\n".join(lines))


def _difference(found: Comparison | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.difference, "interval": list(found.interval), "p": found.p}


def _row(arm: Arm) -> dict[str, Any]:
    return {"value": arm.value, "interval": list(arm.interval), "nbytes": arm.nbytes}


def _line(arm: Arm) -> str:
    low, high = arm.interval
    return f"  {arm.name:18}  {arm.value:.3f}  [{low:.3f}, {high:.3f}]  {arm.nbytes:,} bytes"
