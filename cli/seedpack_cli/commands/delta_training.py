"""``seedpack extract --base --train``: a delta that was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seedpack_cli import output
from seedpack_cli.commands import arms

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.extract.delta_training import TrainedDeltaReport
    from seedpack.extract.publication import Publication
    from seedpack.seed.base import Base
    from seedpack_cli.commands.training import Options


class Size(NamedTuple):
    """How large the file is to be: one of the two."""

    ratio: float | None
    max_nbytes: int | None


def extract_trained(
    model: Path,
    out: Path,
    publication: Publication,
    given: Options,
    base: Base,
    size: Size,
) -> None:
    """Train, write and print."""
    from seedpack.extract.delta_training import train_delta  # noqa: PLC0415
    from seedpack.extract.delta_trials import DeltaJob, make_delta_course  # noqa: PLC0415

    if given.train is None or given.task is None:
        raise TypeError("options that check() has not passed")
    job = DeltaJob(
        data=given.train,
        task=given.task,
        course=make_delta_course(given.steps),
        ratio=size.ratio,
        max_nbytes=size.max_nbytes,
        evaluation=given.evaluation,
        nseeds=given.trainings or 3,
        checkpoint=given.checkpoint,
    )
    bar = output.progress_bar(f"training {model.name}")
    report = train_delta(model, out, publication, job, base=base, progress=bar)
    _print(out, report, signed=publication.key is not None)


def _print(out: Path, report: TrainedDeltaReport, *, signed: bool) -> None:
    row: dict[str, Any] = {
        "path": str(out),
        "signed": signed,
        "seed_id": report.written.seed_id,
        "ratio": report.written.ratio,
        "file_nbytes": report.written.file_nbytes,
        **arms.describe(report.arms, report.retention),
        "plain": report.note or "cut",
        "against_plain": arms.describe_difference(report.against_plain),
    }
    head = (
        f"{out}: {output.format_nbytes(report.written.file_nbytes)}, ratio "
        f"{report.written.ratio:.0f} of the whole file, {'signed' if signed else 'NOT signed yet'}"
    )
    lines = [head, *arms.lines(report.arms, report.retention)]
    if report.against_plain is not None:
        lines.append(arms.difference_line("seed - plain delta", report.against_plain))
    if report.note:
        output.print_note(f"no plain delta of the same bytes beside it: {report.note}")
    for file in report.written.left_out:
        output.print_note(f"left out {file.name}: {file.reason}")
    output.print_data(row, "\n".join(lines))
