"""``seedpack demo``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from seedpack_cli import output


def demo(
    keep: Annotated[
        Path | None, typer.Option("--keep", help="A new folder that keeps the demo's files.")
    ] = None,
) -> None:
    """Show the whole story on real handwritten digits, in under two minutes.

    Trains a small network, makes and signs a seed, refuses six attacks, repairs damage, and
    rebuilds the network. Needs the extra: pip install "seedpack[demo]".
    """
    if keep is not None and keep.exists():
        raise typer.BadParameter(f"{keep} exists already; name a new folder")
    try:
        from seedpack_cli.demo.story import tell  # noqa: PLC0415
    except ModuleNotFoundError as error:
        output.print_error(
            f"the demo needs {error.name}", hint='pip install "seedpack[demo]" brings it'
        )
        raise typer.Exit(1) from error
    if keep is not None:
        keep.mkdir(parents=True)
        tell(keep, _say)
        _say(f"\nThe files are in {keep}.")
        return
    with tempfile.TemporaryDirectory(prefix="seedpack-demo-") as folder:
        tell(Path(folder), _say)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
