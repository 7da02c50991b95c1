"""``seedpack salvage``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedpack_cli import options, output

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.assemble.salvage import SalvageReport
    from seedpack.seed.contents import Contents


def salvage(
    seed: options.SeedPath,
    out: options.OutputPath,
    trust: options.TrustPath = None,
    key: options.KeyPaths = None,
    threshold: options.Threshold = None,
    base: options.Base = None,
    now: options.Now = None,
    insecure: options.Insecure = False,
    force: options.Force = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Rebuild what is left of SEED, where more is lost than repair restores.

    Signatures and manifest must hold, and only chunks with their signed digest are decoded. Lost
    values become 0 and the rest of their rows stronger. The result is NOT the model that was
    signed: OUT must have "salvaged" in its name, and says in its files what is missing.
    """
    from seedpack.assemble.salvage import assemble_salvaged  # noqa: PLC0415

    del output_format  # read through output.settings
    trusted: list[options.Trust] = []

    def load_trust() -> options.Trust:
        if not trusted:
            trusted.append(options.Trust(trust, key, threshold))
        return trusted[0]

    def open_base(path: Path) -> Contents:
        return options.open_trusted(path, load_trust, insecure=insecure, now=now)

    opened = options.open_trusted(seed, load_trust, insecure=insecure, now=now, damaged=True)
    with opened as contents, options.open_base(base, open_base) as tensors:
        bar = output.progress_bar(f"salvaging {seed.name}")
        report = assemble_salvaged(
            contents, out, overwrite=force, insecure=insecure, base=tensors, progress=bar
        )
    _print(report, insecure=insecure)


def _print(report: SalvageReport, *, insecure: bool) -> None:
    output.print_warning(
        f"{report.output}: NOT the signed model: {_share(report.missing, report.values)} of its "
        f"values are lost and {_share(report.coarse, report.values)} coarse; measure it before you "
        "use it"
    )
    if report.filled:
        output.print_warning(
            f"nothing is left of {', '.join(report.filled)}: random initial values"
        )
    if report.lacking:
        output.print_note(f"left out, because not whole: {', '.join(report.lacking)}")
    output.print_data(_row(report, insecure=insecure), _text(report))


def _row(report: SalvageReport, *, insecure: bool) -> dict[str, object]:
    return {
        "path": str(report.output),
        "salvaged": True,
        "verified": False,
        "manifest_verified": not insecure,
        "seed_id": report.seed_id,
        "chunks_total": report.chunks,
        "damaged": report.damaged,
        "lost": report.lost,
        "values": report.values,
        "missing": report.missing,
        "coarse": report.coarse,
        "gain": report.gain.value,
        "filled": report.filled,
        "lacking": report.lacking,
        "layers": [layer._asdict() for layer in report.layers],
    }


def _text(report: SalvageReport) -> str:
    first = (
        f"{report.output}: SALVAGED, not the signed model: {report.lost} of {report.chunks} chunks "
        f"lost, {report.damaged - report.lost} restored"
    )
    lines = [
        f"  {loss.name}: {_share(loss.missing, loss.values)} missing, "
        f"{_share(loss.coarse, loss.values)} coarse"
        for loss in report.layers
    ]
    return "\n".join([first, *lines])


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"
