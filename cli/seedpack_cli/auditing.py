"""``--audit`` and ``--defend``: their options, and what they start.

options ──AuditOptions──> model assembled, tuned, defended ──audits──> report ──> stdout, DIR
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seedpack.errors import StoreError
from seedpack_cli import options, output

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.audits import AuditReport, Profile, Spec, Subject
    from seedpack.backdoors.defence.report import DefenceReport
    from seedpack.crypto.keys import PrivateKey
    from seedpack.seed.contents import Contents
    from seedpack.training import Split
    from seedpack.tune import TunePlan
    from seedpack_cli.tuning import TuningOptions

    Defender = Callable[[Path, Split, TunePlan, Path], DefenceReport]

GATE_FAILED: Final = 10  # exit status
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
        "standard and deep for how hard, or both, separated by commas. Exit status 10 if a gate "
        "fails.",
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        metavar="MODEL",
        rich_help_panel=_PANEL,
        help="A clean model of the same architecture, such as the public one that the publisher "
        "began with: clean twins are tuned from it instead of from random weights.",
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
        "clean twins; needs --task.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        rich_help_panel=_PANEL,
        help="Where finished parts are kept, so that an interrupted audit goes on.",
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
        names: Audits to run, as they were listed; empty: all that fit.
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

    words = [word for word in audit.split(",") if word != ALL]
    profiles = [word for word in words if word in PROFILES] or [_DEFAULT_PROFILE]
    if len(profiles) > 1:
        raise typer.BadParameter(f"one of {', '.join(PROFILES)}, not several")
    names = [word for word in words if word not in PROFILES]
    return AuditOptions(
        names=choose_audits(names),
        profile=PROFILES[profiles[0]],
        reference=reference,
        shifts=tuple(shifts or ()),
        defend=defend,
        cache=cache,
        jobs=jobs,
        folder=report,
        key=_load_key(report_key),  # before hours of work, not after
    )


def audit_model(
    contents: Contents,
    model: Path,
    final: Path | None,
    chosen: AuditOptions,
    learned: TuningOptions,
    base: Path | None,
) -> AuditReport:
    """Audit ``model``, which was assembled from ``contents``, as ``chosen`` says.

    Args:
        contents: Open, the seed.
        model: Assembled.
        final: The same tuned or defended, as the consumer will use it; None where it is not.
        chosen: Which audits and how hard.
        learned: Task and data.
        base: Of a delta seed.

    Raises:
        SeedError: Data or report cannot be used; a single audit that cannot be done is undecided.
    """
    from platformdirs import user_cache_path  # noqa: PLC0415

    from seedpack import __version__  # noqa: PLC0415
    from seedpack.audits.runner import forget_arms, run_audits  # noqa: PLC0415

    spec = _spec(contents, model, final, chosen, learned, base)
    folder = chosen.cache or user_cache_path("seedpack") / "audits" / contents.id[:16]
    report = run_audits(
        spec,
        _subject(contents, spec, chosen),
        chosen.names,
        chosen.profile,
        folder,
        tool=f"seedpack {__version__}",
        processes=chosen.jobs,
        progress=_watch(),
    )
    if chosen.cache is None:
        forget_arms(folder)
    if chosen.folder is not None:
        from seedpack.report import write_report  # noqa: PLC0415

        write_report(report, chosen.folder, key=chosen.key)
    return report


def defender(reference: Path | None) -> Defender:
    """Return what defends a tuned model, from a clean reference where there is one."""

    def defend(tuned: Path, split: Split, plan: TunePlan, out: Path) -> DefenceReport:
        from seedpack.backdoors.defence.defending import Defending  # noqa: PLC0415
        from seedpack.backdoors.defence.models import defend_model  # noqa: PLC0415

        bar = output.progress_bar("defending")
        watch = None if bar is None else lambda done, total, _: bar(done, total)
        options = Defending(watch=watch)
        return defend_model(tuned, split, plan, out, reference=reference, options=options)

    return defend


def finish(report: AuditReport | None) -> None:
    """Say what a script has to know: status 10 if a gate failed, a warning if one is undecided.

    Raises:
        typer.Exit: A gate failed.
    """
    if report is None or report.status.value == "pass":
        return
    for result in report.results:
        if result.status.value != "pass":
            output.print_warning(f"audit {result.audit}: {result.status.value} {result.reason}")
    if report.status.value == "fail":
        raise typer.Exit(GATE_FAILED)


def _spec(
    contents: Contents,
    model: Path,
    final: Path | None,
    chosen: AuditOptions,
    learned: TuningOptions,
    base: Path | None,
) -> Spec:
    from seedpack.audits import Spec  # noqa: PLC0415

    text, label = (learned.columns or ",").split(",")
    return Spec(
        model=str(model),
        final=str(final or ""),
        seed=str(contents.file.path),
        seed_id=contents.id,
        store=_store_text(contents),
        base=str(base or ""),
        task=learned.task or "",
        train=learned.train or "",
        evaluation=learned.evaluation or "",
        columns=(text, label),
        factory=learned.factory or "",
        original=str(learned.original or ""),
        reference=str(chosen.reference or ""),
        shifts=chosen.shifts,
        samples=learned.samples,
        robust=learned.robust,
        random_seed=learned.seed,
    )


def _store_text(contents: Contents) -> str:
    """Return the trust store that vouched for the seed, for an audit in another process."""
    from seedpack.seed.opening import Seed  # noqa: PLC0415
    from seedpack.trust.store import encode_trust_store  # noqa: PLC0415

    return encode_trust_store(contents.store).decode() if isinstance(contents, Seed) else ""


def _subject(contents: Contents, spec: Spec, chosen: AuditOptions) -> Subject:
    from seedpack.audits import Subject  # noqa: PLC0415
    from seedpack.seed.opening import Seed  # noqa: PLC0415

    is_verified = isinstance(contents, Seed)
    return Subject(
        seed_id=contents.id,
        name=contents.manifest.name,
        version=contents.manifest.version,
        signers=tuple(contents.vouching.principals) if isinstance(contents, Seed) else (),
        verified=is_verified,
        task=spec.task,
        train=_describe_data(spec.train),
        evaluation=_describe_data(spec.evaluation),
        original=bool(spec.original),
        reference=bool(spec.reference),
        defended=chosen.defend,
    )


def _describe_data(name: str) -> str:
    from seedpack.audits.arms import stamp  # noqa: PLC0415

    if not name:
        return ""
    digest = stamp(name)
    return name if digest == name else f"{Path(name).name}, sha256 {digest[:16]}"


def _load_key(path: Path | None) -> PrivateKey | None:
    if path is None:
        return None
    from seedpack.crypto.keyfiles import load_private_key  # noqa: PLC0415

    return load_private_key(path, lambda: options.ask_passphrase(path))


def _watch() -> Callable[[str, int, int, str], None]:
    bars: dict[str, Callable[[int, int], None] | None] = {}

    def watch(audit: str, done: int, total: int, what: str) -> None:
        label = "auditing" if what == "audits" else f"{audit}: {what}"
        bar = bars.setdefault(label, output.progress_bar(label))
        if bar is not None:
            bar(done, total)

    return watch
