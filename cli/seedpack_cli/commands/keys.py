"""``seedpack keygen``."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seedpack_cli import options, output

_NAME = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")


class KeyAlgorithm(StrEnum):
    """Signature algorithms that keys can be made for."""

    ED25519 = "ed25519"
    ML_DSA_65 = "ml-dsa-65"


def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the two files.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path(),
    alg: Annotated[
        KeyAlgorithm, typer.Option("--alg", help="ml-dsa-65 resists quantum computers.")
    ] = KeyAlgorithm.ED25519,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Store the private key unencrypted.")
    ] = False,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Make a key pair: NAME.key (private, mode 0600) and NAME.pub (give it to everyone)."""
    from seedpack.crypto.keyfiles import write_key_pair  # noqa: PLC0415
    from seedpack.crypto.keys import Algorithm, generate_private_key  # noqa: PLC0415

    del output_format  # read through output.settings
    if not _NAME.match(name):
        raise typer.BadParameter("a name has letters, digits, _ . - and is not a path")
    passphrase = None
    if not no_passphrase:
        passphrase = options.ask_passphrase(out / f"{name}.key", confirm=True)
    private = generate_private_key(Algorithm.of_label(alg))
    write_key_pair(private, out, name, passphrase)
    key_id = private.public.key_id.hex()
    row = {
        "private": str(out / f"{name}.key"),
        "public": str(out / f"{name}.pub"),
        "key_id": key_id,
    }
    output.print_data(row, f"{out / name}.key  {out / name}.pub  key id {key_id[:16]}")
