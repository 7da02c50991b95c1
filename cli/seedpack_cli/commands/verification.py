"""``seedpack verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedpack_cli import options, output
from seedpack_cli.commands.students import note_recipe
from seedpack_cli.reports import ReportWords, conclude_report

if TYPE_CHECKING:
    from seedpack.seed.opening import Seed
    from seedpack.seed.verify import VerifyReport


def verify(
    seeds: Annotated[list[Path], typer.Argument(metavar="SEED", help="Files to verify.")],
    trust: options.TrustPath = None,
    key: options.KeyPaths = None,
    threshold: options.Threshold = None,
    layers: options.Layers = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode, too, and check the decoded tensors.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Accept a part of a seed and say how much it is.")
    ] = False,
    report_path: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="A signed audit report, report.dsse.json: check that somebody you trust signed "
            "it, about this very seed.",
        ),
    ] = None,
    render: Annotated[
        Path | None,
        typer.Option(
            "--render",
            metavar="DIR",
            help="Write the verified --report there as HTML and Markdown, to be read.",
        ),
    ] = None,
    report_max_age: Annotated[
        int | None,
        typer.Option(
            "--report-max-age",
            metavar="DAYS",
            min=0,
            help="Refuse a --report that is older: a newer one may say otherwise.",
        ),
    ] = None,
    base: options.Base = None,
    now: options.Now = None,
    no_record: options.NoRecord = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Prove that each SEED is what somebody you trust signed, to the last byte.

    Only --decode needs the --base of a delta seed. The first failure stops. Exit status: 0
    verified, 3 malformed, 4 not trusted, 5 damaged, 6 not decodable, 10 the --report says that a
    gate failed.
    """
    from seedpack.seed.opening import open_seed  # noqa: PLC0415
    from seedpack.seed.verify import verify_seed  # noqa: PLC0415

    del output_format  # read through output.settings
    if report_path is not None and len(seeds) > 1:
        raise typer.BadParameter("a report is about one seed", param_hint="--report")
    for word, value in (("--render", render), ("--report-max-age", report_max_age)):
        if value is not None and report_path is None:
            raise typer.BadParameter("which --report?", param_hint=word)
    trusted = options.Trust(trust, key, threshold)

    def open_trusted(path: Path) -> Seed:
        return open_seed(path, store=trusted.store, now=now)

    for path in seeds:
        with open_trusted(path) as seed, options.open_base(base, open_trusted) as tensors:
            try:
                report = verify_seed(
                    seed,
                    layers=layers,
                    decode=decode,
                    partial=partial,
                    base=tensors,
                    progress=output.progress_bar(f"verifying {path.name}"),
                )
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
            if not no_record:
                trusted.record(seed)
            note_recipe(seed.manifest.recipe)
            output.print_data(_row(path, seed, report), _line(path, seed, report))
            if report_path is not None:
                asked = ReportWords(report_path, render, report_max_age)
                conclude_report(asked, seed, trusted, now=now)


def _row(path: Path, seed: Seed, report: VerifyReport) -> dict[str, Any]:
    return {
        "result": "verified",
        "path": str(path),
        "seed_id": seed.id,
        "name": seed.manifest.name,
        "version": seed.manifest.version,
        "principals": list(seed.vouching.principals),
        "layers": report.layers,
        "layers_total": report.layers_total,
        "chunks": report.chunks,
        "chunks_total": report.chunks_total,
        "stored_nbytes": report.stored_nbytes,
        "decoded": report.decoded,
        "student_of": seed.manifest.recipe.get("teacher_digest"),
    }


def _line(path: Path, seed: Seed, report: VerifyReport) -> str:
    principals = ", ".join(output.shorten_key(name) for name in seed.vouching.principals)
    share = f"{report.layers} of {report.layers_total} layers"
    how = "decoded" if report.decoded else output.format_nbytes(report.stored_nbytes)
    whole = "" if report.is_whole else "PARTLY "
    named = f"{seed.manifest.name} version {seed.manifest.version}"
    return f"{path}: {whole}verified, {named}, {share} ({how}), signed by {principals}"
