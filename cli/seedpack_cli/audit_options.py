"""The options of ``--audit`` and ``--defend``, and what they mean together.

options ──checked before hours of work──> AuditOptions
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seedpack.errors import StoreError
from seedpack_cli import options

if TYPE_CHECKING:
    from seedpack.audits import Profile
    from seedpack.crypto.keys import PrivateKey

_PANEL: Final = "Audit"
ALL: Final = "all"
_DEFAULT_PROFILE: Final = "standard"

Audits = Annotated[
    str | None,
    typer.Option(
        "--audit",
        metavar="[LIST]",
        rich_help_panel=_PANEL,
        help="Audit the result: alone all that fits, or a list of audits, or one of quick, "
        "standard and deep for how hard, or both, separated by commas. quick leaves reactivation "
        "out; quick,all does not. Exit status 10 if a gate fails.",
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        metavar="MODEL",
        rich_help_panel=_PANEL,
        help="A clean model of the same architecture, such as the public one that the publisher "
        "began with: clean twins are tuned from it, and relearning starts at it, instead of at "
        "random weights.",
    ),
]
Shifts = Annotated[
    list[str] | None,
    typer.Option(
        "--shift",
        metavar="DATA",
        rich_help_panel=_PANEL,
        help="Evaluation data of another domain; repeatable.",
    ),
]
Defend = Annotated[
    bool,
    typer.Option(
        "--defend",
        rich_help_panel=_PANEL,
        help="Take out what backdoors there may be, by the method that takes out those planted in "
        "twins; of classifiers, needs --task. For texts give --reference, too: without it few go.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        rich_help_panel=_PANEL,
        help="Where finished parts are kept, so that an interrupted audit goes on; in a folder "
        "named here clean twins stay for the next audit on the same data, of any model.",
        show_default="in the user's cache folder",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=64,
        rich_help_panel=_PANEL,
        help="Audits at the same time.",
        show_default="as many as there are cores, at most 4",
    ),
]
ReportFolder = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="DIR",
        rich_help_panel=_PANEL,
        help="Write the report there, as JSON, Markdown and one HTML page.",
    ),
]
ReportKey = Annotated[
    Path | None,
    typer.Option(
        "--report-key",
        metavar="KEY",
        rich_help_panel=_PANEL,
        help="Sign the report with this private key, bound to the seed.",
    ),
]


@dataclass(frozen=True)
class AuditOptions:
    """The options of an audit, as given.

    Attributes:
        names: Audits to run.
        asked: Those of them that were named, which are undecided where they cannot be run.
        profile: How hard.
        reference: A clean model, or None.
        shifts: Data of other domains.
        defend: Whether to take out backdoors first.
        cache: Where finished parts are kept, or None.
        jobs: Processes, or None.
        folder: Where the report goes, or None.
        key: To sign it with, or None.
    """

    names: tuple[str, ...]
    asked: tuple[str, ...]
    profile: Profile
    reference: Path | None
    shifts: tuple[str, ...]
    defend: bool
    cache: Path | None
    jobs: int | None
    folder: Path | None
    key: PrivateKey | None


def read_audit_options(
    audit: str | None,
    *,
    reference: Path | None,
    shifts: list[str] | None,
    defend: bool,
    cache: Path | None,
    jobs: int | None,
    report: Path | None,
    report_key: Path | None,
    has_task: bool,
) -> AuditOptions | None:
    """Return the options, or None where no audit is asked for.

    Raises:
        typer.BadParameter: They make no sense together.
        AuditError: AUD-1, an audit that there is not.
        StoreError: OUT-2, the report's folder is there already.
        AuditError: RPT-13, the report could not be rendered.
        KeyFileError: The key cannot be used.
    """
    if defend and not has_task:
        raise typer.BadParameter("--defend needs data: --task TASK --train DATA --eval DATA")
    if audit is None:
        if (reference and not defend) or shifts or cache or report_key or jobs:
            raise typer.BadParameter("for which audit? Give --audit as well")
        return None
    if report_key is not None and report is None:
        raise typer.BadParameter("--report-key signs the report that goes to --report DIR")
    if report is not None and os.path.lexists(report):
        raise StoreError(
            "already exists",
            rule="OUT-2",
            where=str(report),
            hint="remove it or choose another name",
        )
    if report is not None:
        from seedpack.report import check_packages  # noqa: PLC0415

        check_packages()
    from seedpack.audits import PROFILES, choose_audits  # noqa: PLC0415

    words = audit.split(",")
    profiles = [word for word in words if word in PROFILES] or [_DEFAULT_PROFILE]
    if len(profiles) > 1:
        raise typer.BadParameter(f"one of {', '.join(PROFILES)}, not several")
    profile = PROFILES[profiles[0]]
    names = [word for word in words if word not in {*PROFILES, ALL}]
    return AuditOptions(
        names=choose_audits(names, () if ALL in words else profile.leaves_out),
        asked=tuple(names),
        profile=profile,
        reference=reference,
        shifts=tuple(shifts or ()),
        defend=defend,
        cache=cache,
        jobs=jobs,
        folder=report,
        key=_load_key(report_key),  # before hours of work, not after
    )


def _load_key(path: Path | None) -> PrivateKey | None:
    if path is None:
        return None
    from seedpack.crypto.keyfiles import load_private_key  # noqa: PLC0415

    return load_private_key(path, lambda: options.ask_passphrase(path))
