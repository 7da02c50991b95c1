"""``--audit`` and ``--defend``: what they start.

AuditOptions ──> model assembled, tuned, defended ──audits──> report ──> stdout, DIR
                                             └──what the defence did──┘
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from seedpack.memory import keep_freed_memory
from seedpack_cli import output, verdicts
from seedpack_cli.reports import GATE_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.audits import AuditReport, Spec, Subject
    from seedpack.backdoors.defence.report import DefenceReport
    from seedpack.seed.contents import Contents
    from seedpack.training import Split
    from seedpack.tune import TunePlan
    from seedpack_cli.audit_options import AuditOptions
    from seedpack_cli.tuning import TuningOptions

    Defender = Callable[[Path, Split, TunePlan, Path], DefenceReport]


def audit_model(
    contents: Contents,
    model: Path,
    final: Path | None,
    chosen: AuditOptions,
    learned: TuningOptions,
    base: Path | None,
    *,
    defence: DefenceReport | None = None,
) -> AuditReport:
    """Audit ``model``, which was assembled from ``contents``, as ``chosen`` says.

    Args:
        contents: Open, the seed.
        model: Assembled.
        final: The same tuned or defended, as the consumer will use it; None where it is not.
        chosen: Which audits and how hard.
        learned: Task and data.
        base: Of a delta seed.
        defence: What it did, where there was one; stands in the report before the audits.

    Raises:
        SeedError: Data or report cannot be used; a single audit that cannot be done is undecided.
    """
    from platformdirs import user_cache_path  # noqa: PLC0415

    from seedpack import __version__  # noqa: PLC0415
    from seedpack.audits.runner import forget_arms, run_audits  # noqa: PLC0415

    keep_freed_memory()
    spec = _spec(contents, model, final, chosen, learned, base)
    folder = chosen.cache or user_cache_path("seedpack") / "audits" / contents.id[:16]
    report = run_audits(
        spec,
        _subject(contents, spec, chosen),
        chosen.names,
        chosen.profile,
        folder,
        tool=f"seedpack {__version__}",
        asked=chosen.asked,
        processes=chosen.jobs,
        progress=_watch(),
    )
    if defence is not None:
        from seedpack.audits.defended import add_defence  # noqa: PLC0415

        report = add_defence(report, defence)
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
    if not report.results:
        output.print_warning("no audit could be run: nothing was measured, which is not pass")
    for result in report.results:
        if result.status.value != "pass":
            why = verdicts.explain_status(result)
            output.print_warning(f"audit {result.audit}: {result.status.value}: {why}")
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
    from seedpack.audits.stamps import stamp  # noqa: PLC0415

    if not name:
        return ""
    digest = stamp(name)
    return name if digest == name else f"{Path(name).name}, sha256 {digest[:16]}"


def _watch() -> Callable[[str, int, int, str], None]:
    bars: dict[str, Callable[[int, int], None] | None] = {}

    def watch(audit: str, done: int, total: int, what: str) -> None:
        label = "auditing" if what == "audits" else f"{audit}: {what}"
        bar = bars.setdefault(label, output.progress_bar(label))
        if bar is not None:
            bar(done, total)

    return watch
