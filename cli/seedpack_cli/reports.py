"""Signed audit reports on the command line: checked, printed, and written to be read (RPT-14)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import typer

from seedpack_cli import output

if TYPE_CHECKING:
    from seedpack.report.verification import VerifiedReport
    from seedpack.seed.opening import Seed
    from seedpack_cli.options import Trust

GATE_FAILED: Final = 10  # exit status
_DAY_S: Final = 86_400


class ReportWords(NamedTuple):
    """What the user asked of a report.

    Attributes:
        path: Of the signed report.
        folder: Where to write it to be read, or None.
        max_age: Days that it may be old, or None.
    """

    path: Path
    folder: Path | None = None
    max_age: int | None = None


def conclude_report(asked: ReportWords, seed: Seed, trusted: Trust, *, now: int | None) -> None:
    """Check the report of a seed that has been verified, print it, and end as it says.

    Args:
        asked: Of which report, and how old it may be.
        seed: Verified.
        trusted: Whom the user trusts.
        now: Seconds since 1970, or None.

    Raises:
        SeedError: As ``verify_report``; OUT-2, the folder is there.
        typer.Exit: A gate failed.
    """
    from seedpack.audits.results import Status  # noqa: PLC0415 -- only where asked for
    from seedpack.files import read_small_file  # noqa: PLC0415
    from seedpack.limits import MAX_ENVELOPE_NBYTES  # noqa: PLC0415
    from seedpack.report import verify_report, write_report  # noqa: PLC0415

    path, days = asked.path, asked.max_age
    text = read_small_file(path, limit=MAX_ENVELOPE_NBYTES, rule="RPT-2")
    verified = verify_report(
        text,
        seed,
        store=trusted.store,
        now=now,
        max_age=None if days is None else days * _DAY_S,
        where=str(path),
    )
    output.print_data(*_describe(path, verified))
    if asked.folder is not None:
        write_report(verified.report, asked.folder)
    if verified.report.status is Status.UNDECIDED:
        output.print_warning(f"{path}: the audit is undecided, which is not pass")
    if verified.report.status is Status.FAIL:
        raise typer.Exit(GATE_FAILED)


def _describe(path: Path, verified: VerifiedReport) -> tuple[dict[str, Any], str]:
    from seedpack.report.wording import count_gates, moment, verdict  # noqa: PLC0415

    report, principals = verified.report, verified.vouching.principals
    row = {
        "result": "report verified",
        "path": str(path),
        "seed_id": report.subject.seed_id,
        "status": report.status.value,
        "gates": {status.value: count for status, count in count_gates(report).items()},
        "skipped": [name for name, _ in report.skipped],
        "profile": report.profile,
        "created": report.created,
        "principals": list(principals),
    }
    names = ", ".join(output.shorten_key(name) for name in principals)
    said = f"{report.status.value.upper()}. {verdict(report)}"
    line = (
        f"{path}: report of this seed, signed by {names}, "
        f"profile {report.profile}, made {moment(report.created)}: {said}"
    )
    return row, line
