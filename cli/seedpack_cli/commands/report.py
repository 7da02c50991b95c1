"""``seedpack report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedpack_cli import options, output

if TYPE_CHECKING:
    from seedpack.crypto.keys import PrivateKey


def report(
    file: Annotated[Path, typer.Argument(metavar="REPORT", help="A report.json.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")],
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", help="Your private key: sign the report, bound to its seed; repeatable."
        ),
    ] = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Write an audit's REPORT again in every form, and sign it, for instance on another machine.

    A report.json carries no signature: sign only what your own audit wrote. To read a report that
    somebody else signed, use `seedpack verify SEED --report FILE --render DIR`.
    """
    from seedpack.files import read_small_file  # noqa: PLC0415
    from seedpack.limits import MAX_REPORT_NBYTES  # noqa: PLC0415
    from seedpack.report import decode_report, write_report  # noqa: PLC0415

    del output_format  # read through output.settings
    text = read_small_file(file, limit=MAX_REPORT_NBYTES, rule="RPT-1")
    found = decode_report(text, where=str(file))
    keys = [_load_key(path) for path in key or ()]
    paths = write_report(found, out, keys)
    row = {
        "path": str(out),
        "files": [path.name for path in paths],
        "seed_id": found.subject.seed_id,
        "status": found.status.value,
        "key_ids": [each.public.key_id.hex() for each in keys],
    }
    signed = "signed" if keys else "not signed: nobody vouches for it"
    output.print_data(row, f"{out}: {found.status.value}, {len(paths)} files, {signed}")


def _load_key(path: Path) -> PrivateKey:
    from seedpack.crypto.keyfiles import load_private_key  # noqa: PLC0415

    return load_private_key(path, lambda: options.ask_passphrase(path))
