"""``seedpack sign``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedpack_cli import options, output


def sign(
    seed: options.SeedPath,
    key: Annotated[Path, typer.Option("--key", help="Your private key.")],
    expires: options.Expires = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Add a signature to SEED, in place; its content stays the same, bit for bit.

    What you sign is the manifest, which carries a digest of everything else. Run `seedpack verify`
    first if the seed was not made by you.
    """
    from seedpack.crypto.keyfiles import load_private_key  # noqa: PLC0415
    from seedpack.seed.signing import sign_seed  # noqa: PLC0415

    del output_format  # read through output.settings
    until = options.parse_date(expires)
    private = load_private_key(key, lambda: options.ask_passphrase(key))
    record = sign_seed(seed, private, expires=until or 0)
    key_id = record.key_id.hex()
    row = {"path": str(seed), "key_id": key_id, "expires": until}
    ending = f" until {output.format_time(until)}" if until else ""
    output.print_data(row, f"{seed}: signed by key {key_id[:16]}{ending}")
