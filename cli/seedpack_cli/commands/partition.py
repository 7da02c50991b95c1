"""``seedpack split`` and ``seedpack merge``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from seedpack_cli import options, output


def split(
    seed: options.SeedPath,
    out: Annotated[Path, typer.Option("--output", "-o", help="The part; with --parts, a folder.")],
    layers: options.Layers = None,
    parts: Annotated[
        int | None, typer.Option("--parts", min=1, help="Cut into this many parts of equal size.")
    ] = None,
    trust: options.TrustPath = None,
    key: options.KeyPaths = None,
    now: options.Now = None,
    force: options.Force = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Write a part of SEED that verifies by itself: the layers of a glob, or one of N parts.

    Every part carries the whole signed manifest; `seedpack merge` puts parts together again.
    Signatures are checked where --trust or --key says whose.
    """
    from seedpack.seed.partial import split_evenly, split_seed  # noqa: PLC0415

    del output_format  # read through output.settings
    if (layers is None) == (parts is None):
        raise typer.BadParameter("give either --layers or --parts")
    with options.open_for_copying(seed, trust, key, now=now) as contents:
        try:
            if layers is not None:
                paths, counts = [out], [split_seed(contents, out, layers=layers, overwrite=force)]
            else:
                out.mkdir(exist_ok=True)
                paths = [out / f"{seed.stem}.{n + 1}-of-{parts}.seed" for n in range(parts or 0)]
                counts = split_evenly(contents, paths, overwrite=force)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        total = len(contents.chunks)
    for path, count in zip(paths, counts, strict=True):
        row = {"path": str(path), "chunks": count, "chunks_total": total}
        output.print_data(row, f"{path}: {count} of {total} chunks")


def merge(
    seeds: Annotated[list[Path], typer.Argument(metavar="PART", help="Parts of one seed.")],
    out: options.OutputPath,
    trust: options.TrustPath = None,
    key: options.KeyPaths = None,
    now: options.Now = None,
    force: options.Force = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Put parts of one seed together; says what is still missing.

    Where several parts have a chunk, one that is intact is taken. Signatures are checked where
    --trust or --key says whose.
    """
    from seedpack.seed.partial import merge_seeds  # noqa: PLC0415

    del output_format  # read through output.settings
    with ExitStack() as stack:
        opened = [
            stack.enter_context(options.open_for_copying(path, trust, key, now=now))
            for path in seeds
        ]
        missing = merge_seeds(opened, out, overwrite=force)
        total = len(opened[0].chunks)
    row = {"path": str(out), "chunks": total - len(missing), "chunks_total": total}
    state = "complete" if not missing else f"{len(missing)} of {total} chunks are still missing"
    output.print_data(row, f"{out}: {state}")
