"""``seedpack repair``."""

from __future__ import annotations

from seedpack_cli import options, output


def repair(
    seed: options.SeedPath,
    out: options.OutputPath,
    trust: options.TrustPath = None,
    key: options.KeyPaths = None,
    threshold: options.Threshold = None,
    now: options.Now = None,
    insecure: options.Insecure = False,
    force: options.Force = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Restore damaged or missing chunks of SEED from its parity, bit-exactly.

    Every restored chunk must have its signed digest. If more was lost than the parity covers,
    nothing is written (exit status 5).
    """
    from seedpack.seed.repair import repair_seed  # noqa: PLC0415

    del output_format  # read through output.settings
    with options.open_trusted(
        seed,
        lambda: options.Trust(trust, key, threshold),
        insecure=insecure,
        now=now,
        damaged=True,
    ) as contents:
        bar = output.progress_bar(f"repairing {seed.name}")
        report = repair_seed(contents, out, overwrite=force, progress=bar)
    row = {"path": str(out), "chunks_total": report.chunks_total, "restored": report.lost}
    text = f"{out}: {len(report.lost)} of {report.chunks_total} chunks restored, all verified"
    output.print_data(row, text)
