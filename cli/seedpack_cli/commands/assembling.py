"""``seedpack assemble``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedpack_cli import audit_options, auditing, options, output, tuning, verdicts
from seedpack_cli.commands.batch import assemble_batch
from seedpack_cli.commands.students import note_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.assemble import AssemblyReport
    from seedpack.audits import AuditReport
    from seedpack.backdoors.defence.report import DefenceReport
    from seedpack.seed.contents import Contents


def assemble(
    paths: Annotated[list[Path], typer.Argument(metavar="SEED...", help="Seeds.")],
    out: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="A new folder, or a file ending in .safetensors; of several seeds, a folder that "
            "takes each under its name.",
        ),
    ],
    trust: options.TrustPath = None,
    key: options.KeyPaths = None,
    threshold: options.Threshold = None,
    layers: options.Layers = None,
    fill_missing: Annotated[
        int | None,
        typer.Option(
            "--fill-missing",
            metavar="K",
            min=0,
            help="With --layers: a whole folder, in which all other layers have random initial "
            "values of the class, drawn with seed K. They are named.",
        ),
    ] = None,
    base: options.Base = None,
    now: options.Now = None,
    no_record: options.NoRecord = False,
    insecure: options.Insecure = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing file; a folder is never replaced.")
    ] = False,
    output_format: options.Format = output.OutputFormat.TEXT,
    task: tuning.Task = None,
    train: tuning.Train = None,
    evaluation: tuning.Evaluation = None,
    columns: tuning.Columns = None,
    samples: tuning.Samples = None,
    epochs: tuning.Epochs = None,
    random_seed: tuning.Seed = 0,
    seeds: tuning.Seeds = 1,
    control: tuning.Control = True,
    original: tuning.Original = None,
    robust: tuning.Robust = False,
    checkpoint: tuning.Checkpoint = None,
    factory: tuning.Factory = None,
    report_path: tuning.Report = None,
    audit: audit_options.Audits = None,
    defend: audit_options.Defend = False,
    reference: audit_options.Reference = None,
    shift: audit_options.Shifts = None,
    cache: audit_options.Cache = None,
    jobs: audit_options.Jobs = None,
    report_key: audit_options.ReportKey = None,
) -> None:
    """Verify SEED and rebuild the model from it; a delta seed needs its --base.

    Of several seeds, one that is refused harms no other; the exit status is that of the first.

    OUT is a folder that AutoModel.from_pretrained loads, or a .safetensors file. Nothing is written
    unless every signature, digest and shape is as it should be. With --task, OUT is the tuned
    model, and its figures stand beside the control arm: random weights, tuned in the same way.
    With --audit the exit status is 10 if a gate fails; OUT is there all the same.
    """
    from seedpack.assemble import assemble as assemble_seed  # noqa: PLC0415
    from seedpack.seed.opening import Seed  # noqa: PLC0415

    del output_format  # read through output.settings
    trusted: list[options.Trust] = []

    def load_trust() -> options.Trust:
        if not trusted:
            trusted.append(options.Trust(trust, key, threshold))
        return trusted[0]

    chosen = tuning.TuningOptions(
        task=task,
        train=train,
        evaluation=evaluation,
        columns=columns,
        samples=samples,
        epochs=epochs,
        seed=random_seed,
        seeds=seeds,
        control=control,
        original=original,
        robust=robust,
        checkpoint=checkpoint,
        factory=factory,
        report=_tuning_report(report_path, audit, task),
    )
    chosen.check(layers)
    audits = audit_options.read_audit_options(
        audit,
        reference=reference,
        shifts=shift,
        defend=defend,
        cache=cache,
        jobs=jobs,
        report=report_path,
        report_key=report_key,
        has_task=task is not None,
    )
    if audits is not None and (layers is not None or len(paths) > 1):
        raise typer.BadParameter("an audit is of one whole seed")

    def open_contents(path: Path) -> Contents:
        return options.open_trusted(path, load_trust, insecure=insecure, now=now)

    if len(paths) > 1:
        record = None if no_record else trusted
        alone = bool(task or layers or force or fill_missing is not None)
        assemble_batch(paths, out, open_contents, base, record, alone=alone, insecure=insecure)
        return
    (seed,) = paths
    with open_contents(seed) as contents, options.open_base(base, open_contents) as tensors:

        def assemble_to(path: Path) -> AssemblyReport:
            return assemble_seed(
                contents,
                path,
                layers=layers,
                overwrite=force,
                insecure=insecure,
                base=tensors,
                fill_missing=fill_missing,
                progress=output.progress_bar(f"assembling {seed.name}"),
            )

        defence = auditing.defender(reference) if defend else None
        outcome = _consume(contents, out, assemble_to, chosen, defence, audits, base)
        if isinstance(contents, Seed) and not no_record:
            trusted[0].record(contents)
    note_recipe(contents.manifest.recipe)
    _print_notes(outcome.assembled)
    row = {
        **_row(out, outcome.assembled),
        "verified": not insecure,
        "fill_seed": fill_missing,
        "student_of": contents.manifest.recipe.get("teacher_digest"),
    }
    state = "NOT verified" if insecure else "verified"
    tuned = "" if outcome.tuned is None else ", then tuned"
    tuned += "" if outcome.defence is None else " and defended"
    text = f"{_line(out, outcome.assembled)} from a {state} seed{tuned}"
    more, lines = verdicts.describe_outcome(outcome)
    output.print_data(row | more, "\n".join((text, *lines)))
    auditing.finish(outcome.audit)


def _tuning_report(path: Path | None, audit: str | None, task: str | None) -> Path | None:
    """Return where the figures of a tuning go: to a file, or into the folder of an audit."""
    if path is None or audit is None:
        return path
    return None if task is None else path / "tuning.json"


def _consume(
    contents: Contents,
    out: Path,
    assemble_to: Callable[[Path], AssemblyReport],
    learned: tuning.TuningOptions,
    defence: auditing.Defender | None,
    audits: audit_options.AuditOptions | None,
    base: Path | None,
) -> tuning.Outcome:
    """Assemble; tune, defend and audit if so asked."""

    def audit_to(
        model: Path, final: Path | None, defended: DefenceReport | None = None
    ) -> AuditReport | None:
        if audits is None:
            return None
        return auditing.audit_model(contents, model, final, audits, learned, base, defence=defended)

    try:
        if learned.task is not None:
            return tuning.tune_seed(
                contents, out, learned, assemble_to, defend=defence, audit=audit_to
            )
        assembled = assemble_to(out)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return tuning.Outcome(assembled, audit=audit_to(out, None))


def _row(out: Path, report: AssemblyReport) -> dict[str, Any]:
    return {
        "path": str(out),
        "layers": report.layers,
        "layers_total": report.layers_total,
        "attachments": report.attachments,
        "nbytes": report.nbytes,
        "unused": report.unused,
        "lacking": report.lacking,
        "filled": report.filled,
    }


def _line(out: Path, report: AssemblyReport) -> str:
    return f"{out}: {report.layers} of {report.layers_total} layers assembled"


def _print_notes(report: AssemblyReport) -> None:
    if report.unused:
        output.print_note(f"the architecture has no use for {', '.join(report.unused)}")
    if report.filled:
        output.print_note(
            f"NOT from the seed but random: {len(report.filled)} layers, {', '.join(report.filled)}"
        )
    if report.lacking:
        output.print_note(f"left to the base, which has not the same: {', '.join(report.lacking)}")
