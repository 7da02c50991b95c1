"""``seedpack assemble``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedpack_cli import options, output

if TYPE_CHECKING:
    from seedpack.seed.contents import Contents


def assemble(
    seed: options.SeedPath,
    out: Annotated[
        Path,
        typer.Option("--output", "-o", help="A new folder, or a file ending in .safetensors."),
    ],
    trust: options.TrustPath = None,
    key: options.KeyPaths = None,
    threshold: options.Threshold = None,
    layers: options.Layers = None,
    base: options.Base = None,
    now: options.Now = None,
    no_record: options.NoRecord = False,
    insecure: options.Insecure = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing file; a folder is never replaced.")
    ] = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Verify SEED and rebuild the model from it; a delta seed needs its --base.

    OUT is a folder that AutoModel.from_pretrained loads, or a .safetensors file. Nothing is written
    unless every signature, digest and shape is as it should be.
    """
    from seedpack.assemble import assemble as assemble_seed  # noqa: PLC0415
    from seedpack.seed.opening import Seed  # noqa: PLC0415

    del output_format  # read through output.settings
    trusted: list[options.Trust] = []

    def load_trust() -> options.Trust:
        if not trusted:
            trusted.append(options.Trust(trust, key, threshold))
        return trusted[0]

    def open_contents(path: Path) -> Contents:
        return options.open_trusted(path, load_trust, insecure=insecure, now=now)

    with open_contents(seed) as contents, options.open_base(base, open_contents) as tensors:
        try:
            report = assemble_seed(
                contents,
                out,
                layers=layers,
                overwrite=force,
                insecure=insecure,
                base=tensors,
                progress=output.progress_bar(f"assembling {seed.name}"),
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        if isinstance(contents, Seed) and not no_record:
            trusted[0].record(contents)
    if report.unused:
        output.print_note(f"the architecture has no use for {', '.join(report.unused)}")
    row = {
        "path": str(out),
        "verified": not insecure,
        "layers": report.layers,
        "layers_total": report.layers_total,
        "attachments": report.attachments,
        "nbytes": report.nbytes,
        "unused": report.unused,
    }
    share = f"{report.layers} of {report.layers_total} layers"
    state = "NOT verified" if insecure else "verified"
    output.print_data(row, f"{out}: {share} assembled from a {state} seed")
