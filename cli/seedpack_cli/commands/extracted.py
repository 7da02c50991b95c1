"""What ``extract`` prints of a seed that it made without training one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from seedpack_cli import output
from seedpack_cli.commands import students

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.extract import ExtractReport
    from seedpack.extract.report import StudentReport


def print_extracted(
    out: Path, report: ExtractReport, *, signed: bool, student: StudentReport | None = None
) -> None:
    """Print what ``out`` holds, what was left out, and what is known of what it keeps."""
    if student is not None:
        students.note_student(out, student)
    for file in report.left_out:
        output.print_note(f"left out {file.name}: {file.reason}")
    if report.unused:
        output.print_note(f"the architecture has no use for {', '.join(report.unused)}")
    if report.sensitivity is not None:
        output.print_note(
            f"bits went where errors harm most, by {report.sensitivity}; "
            "what the seed keeps is not known before it is measured on a task"
        )
    if report.expected is not None:
        low, high = report.expected.interval
        output.print_note(
            f"expected: cosine {report.expected.cosine:.4f} [{low:.4f}, {high:.4f}] to the "
            f"original's mean hidden state, on {report.expected.count} rows of held-out "
            f"{report.expected.inputs}; different rows have {report.expected.control:.4f} in the "
            "original itself; this is no retention of any task"
        )
    row = {
        "path": str(out),
        "signed": signed,
        "seed_id": report.seed_id,
        "codec": report.codec,
        "fallbacks": report.fallbacks,
        "raw_nbytes": report.raw_nbytes,
        "file_nbytes": report.file_nbytes,
        "parity_nbytes": report.parity_nbytes,
        "attachments": report.attachments,
        "unused": report.unused,
        "left_out": [file._asdict() for file in report.left_out],
        "target": report.target,
        "student": None if student is None else students.describe_student(student),
        "sensitivity": report.sensitivity,
        "expected": dataclasses.asdict(report.expected) if report.expected else None,
        "layers": [dataclasses.asdict(layer) for layer in report.layers],
    }
    ratio = report.ratio if student is None else student.ratio
    what = "" if student is None else f" of a student of {student.teacher}"
    text = (
        f"{out}: {len(report.layers)} layers{what}, {output.format_nbytes(report.file_nbytes)}, "
        f"ratio {ratio:.2f}, {'signed' if signed else 'NOT signed yet'}"
    )
    output.print_data(row, text)
