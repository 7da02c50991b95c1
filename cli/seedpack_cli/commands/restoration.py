"""``seedpack repair``."""

from __future__ import annotations

from seedpack_cli import options, output


def repair(
    seed: options.SeedPath,
    out: options.OutputPath,
    trust: options.TrustPath = None,
    key: options.KeyPaths = None,
    now: options.Now = None,
    force: options.Force = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Restore damaged or missing chunks of SEED from its copies and parity, bit-exactly.

    Every chunk that is written has the digest in the manifest. If more was lost than copies and
    parity cover, nothing is written (exit status 5; see salvage). Signatures are checked where
    --trust or --key says whose; they are kept either way, so that a mirror can repair what its
    users verify.
    """
    from seedpack.seed.repair import repair_seed  # noqa: PLC0415

    del output_format  # read through output.settings
    with options.open_for_copying(seed, trust, key, now=now) as contents:
        bar = output.progress_bar(f"repairing {seed.name}")
        report = repair_seed(contents, out, overwrite=force, progress=bar)
        verified = options.is_vouched_for(contents)
    row = {
        "path": str(out),
        "verified": verified,
        "chunks_total": report.chunks_total,
        "restored": report.lost,
    }
    text = f"{out}: {len(report.lost)} of {report.chunks_total} chunks restored, every digest holds"
    output.print_data(row, text + ("" if verified else "; signatures were not checked"))
