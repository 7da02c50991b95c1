"""``seedpack extract --train``: a seed that was trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedpack_cli import output
from seedpack_cli.commands import arms

if TYPE_CHECKING:
    from seedpack.extract.publication import Publication
    from seedpack.extract.trained import TrainedReport

Train = Annotated[
    list[Path] | None,
    typer.Option(
        "--train",
        metavar="DATA",
        help="Train the seed on this .npz (x, y), to keep what the model knows at ratios of 50 to "
        "1000; with --task, --ratio and --factory; of a transformers folder that was tuned for the "
        "task, on its data and without a factory. --ratio is then that of the weights alone. With "
        "--base: examples with labels, to train what makes BASE answer as MODEL; with --task and "
        "a size. With --student: text, as .txt, .tsv, .csv, .jsonl; repeatable.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="With --train: image-classification or generic; of a folder and with --base: "
        "text-classification or image-classification.",
    ),
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

    def check(
        self, model: Path, *, ratio: float | None, max_bytes: int | None, base: bool, codec: bool
    ) -> None:
        """Refuse options that do not go together.

        Args:
            model: A folder needs no factory.
            ratio: Asked for.
            max_bytes: Same.
            base: Whether there is one.
            codec: Whether one was chosen that is not trained.

        Raises:
            typer.BadParameter: They do not.
        """
        if self.train is None:
            others_given = dataclasses.astuple(dataclasses.replace(self, factory=None))
            if any(value is not None for value in others_given):
                raise typer.BadParameter("that option is for --train DATA")
            return
        if base:
            self._check_delta(sized=ratio is not None or max_bytes is not None)
            return
        if max_bytes is not None or codec:
            raise typer.BadParameter(
                "--train takes a --ratio, no --max-bytes, and of --codec hash or fastfood"
            )
        required = [(self.task, "--task"), (ratio, "--ratio")]
        required += [] if model.is_dir() else [(self.factory, "--factory")]
        missing = [option for value, option in required if value is None]
        if missing:
            raise typer.BadParameter(f"--train needs {', '.join(missing)}, too")

    def _check_delta(self, *, sized: bool) -> None:
        missing = [
            o for v, o in ((self.task, "--task"), (sized, "--ratio or --max-bytes")) if not v
        ]
        if missing:
            raise typer.BadParameter(f"--train with --base needs {', '.join(missing)}, too")


def extract_trained(
    model: Path, out: Path, publication: Publication, given: Options, ratio: float
) -> None:
    """Train, write and print."""
    from seedpack.extract.trained import extract_trained as train_and_write  # noqa: PLC0415
    from seedpack.extract.trials import TrainingJob, make_course  # noqa: PLC0415
    from seedpack.frameworks.factories import load_factory  # noqa: PLC0415

    if given.train is None or given.task is None:
        raise TypeError("options that check() has not passed")
    job = TrainingJob(
        data=given.train,
        task=given.task,
        ratio=ratio,
        factory=load_factory(given.factory) if given.factory else None,
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
    row: dict[str, Any] = {
        "path": str(out),
        "signed": signed,
        "seed_id": report.written.seed_id,
        "ratio": report.ratio,
        "file_ratio": report.written.ratio,
        "weights_nbytes": report.weights_nbytes,
        "file_nbytes": report.written.file_nbytes,
        **arms.describe(report.arms, report.retention),
        "student": report.note or "trained",
        "against_student": arms.describe_difference(report.against_student),
    }
    head = (
        f"{out}: {output.format_nbytes(report.written.file_nbytes)}, weights at ratio "
        f"{report.ratio:.0f}, whole file {report.written.ratio:.0f}, "
        f"{'signed' if signed else 'NOT signed yet'}"
    )
    lines = [head, *arms.lines(report.arms, report.retention)]
    if report.against_student is not None:
        lines.append(arms.difference_line("seed - student", report.against_student))
    if report.note:
        output.print_note(f"no same-bytes student beside it: {report.note}")
    output.print_data(row, "\n".join(lines))
