"""``seedpack audit``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from seedpack_cli import audit_options, auditing, options, output, tuning, verdicts
from seedpack_cli.commands.students import note_recipe

if TYPE_CHECKING:
    from seedpack.seed.contents import Contents


def audit(
    path: options.SeedPath,
    trust: options.TrustPath = None,
    key: options.KeyPaths = None,
    threshold: options.Threshold = None,
    base: options.Base = None,
    now: options.Now = None,
    no_record: options.NoRecord = False,
    insecure: options.Insecure = False,
    output_format: options.Format = output.OutputFormat.TEXT,
    which: audit_options.Audits = "all",
    task: tuning.Task = None,
    train: tuning.Train = None,
    evaluation: tuning.Evaluation = None,
    columns: tuning.Columns = None,
    samples: tuning.Samples = None,
    random_seed: tuning.Seed = 0,
    original: tuning.Original = None,
    robust: tuning.Robust = False,
    factory: tuning.Factory = None,
    reference: audit_options.Reference = None,
    shift: audit_options.Shifts = None,
    cache: audit_options.Cache = None,
    jobs: audit_options.Jobs = None,
    report: audit_options.ReportFolder = None,
    report_key: audit_options.ReportKey = None,
) -> None:
    """Verify SEED, rebuild the model, and audit it; nothing is kept but the report.

    What needs data is left out, and said so, where there is no --task. A model with a head of its
    own is judged as it is; any other as tuning on --train makes it. Exit status: 10 if a gate
    fails.
    """
    from seedpack.assemble import assemble as assemble_seed  # noqa: PLC0415
    from seedpack.seed.opening import Seed  # noqa: PLC0415

    del output_format  # read through output.settings
    learned = tuning.TuningOptions(
        task=task,
        train=train,
        evaluation=evaluation,
        columns=columns,
        samples=samples,
        epochs=None,
        seed=random_seed,
        seeds=1,
        control=True,
        original=original,
        robust=robust,
        checkpoint=None,
        factory=factory,
        report=None,
    )
    learned.check(None)
    audits = audit_options.read_audit_options(
        which,
        reference=reference,
        shifts=shift,
        defend=False,
        cache=cache,
        jobs=jobs,
        report=report,
        report_key=report_key,
        has_task=task is not None,
    )
    assert audits is not None  # noqa: S101 -- "all" where nothing is said
    trusted: list[options.Trust] = []

    def load_trust() -> options.Trust:
        trusted[:] = trusted or [options.Trust(trust, key, threshold)]
        return trusted[0]

    def open_contents(seed: Path) -> Contents:
        return options.open_trusted(seed, load_trust, insecure=insecure, now=now)

    with (
        open_contents(path) as contents,
        options.open_base(base, open_contents) as tensors,
        tempfile.TemporaryDirectory(prefix="seedpack-audit-") as folder,
    ):
        bare = contents.manifest.architecture is None or factory is not None
        model = Path(folder) / ("model.safetensors" if bare else "model")
        bar = output.progress_bar(f"assembling {path.name}")
        assemble_seed(contents, model, insecure=insecure, base=tensors, progress=bar)
        found = auditing.audit_model(contents, model, None, audits, learned, base)
        if isinstance(contents, Seed) and not no_record:
            trusted[0].record(contents)
    note_recipe(contents.manifest.recipe)
    row = {"path": str(path), "audit": msgspec.to_builtins(found)}
    output.print_data(row, verdicts.describe(found))
    auditing.finish(found)
