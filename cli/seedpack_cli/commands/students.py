"""``seedpack extract --student``: what it prints about teacher and student."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from seedpack_cli import output

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from seedpack.extract.publication import PublicationOptions
    from seedpack.extract.report import StudentReport


Student = Annotated[
    str | None,
    typer.Option(
        "--student",
        metavar="CONFIG|auto",
        help="Distil a smaller model from MODEL and store that: a config.json of transformers, or "
        "auto. Needs --train TEXT and a size; the seed says that it is a student.",
    ),
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", min=1, help="With --student.", show_default="6")
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=2**32 - 1,
        help="With --student: of the texts' order.",
        show_default="0",
    ),
]


class Wish(NamedTuple):
    """The options about the student."""

    student: str | None
    train: Sequence[Path] | None
    checkpoint: Path | None
    epochs: int | None
    seed: int | None
    ratio: float | None
    max_nbytes: int | None

    def check(self, *, others: Iterable[object]) -> None:
        """Refuse options that do not go together.

        Raises:
            typer.BadParameter: They do not.
        """
        if self.student is None:
            if self.epochs is not None or self.seed is not None:
                raise typer.BadParameter("--epochs and --seed are for --student")
            return
        if any(other is not None for other in others):
            raise typer.BadParameter("--student takes --train, a size, --epochs and --seed")
        if not self.train:
            raise typer.BadParameter("a student learns from text: give --train")
        if self.ratio is None and self.max_nbytes is None:
            raise typer.BadParameter("a student is made for a size: give --ratio or --max-bytes")


def extract(
    model: Path, out: Path, wish: Wish, *, name: str, publication: PublicationOptions
) -> StudentReport:
    """Make the seed of a student."""
    from seedpack.extract.student import extract_student  # noqa: PLC0415
    from seedpack.training.distillation import Effort  # noqa: PLC0415
    from seedpack.training.students import AUTO  # noqa: PLC0415

    effort = Effort(seed=wish.seed or 0)
    return extract_student(
        model,
        out,
        name=name,
        train=wish.train or (),
        student=wish.student or AUTO,
        ratio=wish.ratio,
        max_nbytes=wish.max_nbytes,
        effort=effort if wish.epochs is None else effort._replace(epochs=wish.epochs),
        checkpoint=wish.checkpoint,
        progress=output.progress_bar(f"distilling {model.name}"),
        **publication,
    )


def describe_student(report: StudentReport) -> dict[str, Any]:
    """Return what the report of an extraction says more of a student (EXT-44)."""
    claim = report.claim
    return {
        "kind": report.kind,
        "why": report.why,
        "teacher": report.teacher,
        "teacher_digest": report.teacher_digest,
        "teacher_nbytes": report.teacher_nbytes,
        "ratio_to_teacher": report.ratio,
        "texts": report.ntexts,
        "metric": claim.metric,
        "value": claim.value,
        "interval": [claim.interval_low, claim.interval_high],
        "control": claim.control,
        "control_value": claim.control_value,
        "chance": claim.chance,
        "evaluated": claim.evaluated,
    }


def note_student(out: Path, report: StudentReport) -> None:
    """Say that the seed holds a student, of what, and how near it comes."""
    claim = report.claim
    output.print_note(
        f"{out} holds a STUDENT ({report.kind}: {report.why}) "
        f"of {report.teacher}, {report.teacher_digest}"
    )
    output.print_note(
        f"{claim.metric} {claim.value} [{claim.interval_low}, {claim.interval_high}] on "
        f"{claim.evaluated} texts held out, {claim.control} {claim.control_value}, "
        f"chance {claim.chance}; {report.ratio:.1f} times smaller than the teacher"
    )


def note_recipe(recipe: Mapping[str, int | str]) -> None:
    """Say of a seed that it holds a student, where its recipe does (EXT-44)."""
    if "student" in recipe:
        output.print_note(
            f"the seed holds a student ({recipe['student']}) "
            f"of {recipe.get('teacher')}, {recipe.get('teacher_digest')}"
        )
