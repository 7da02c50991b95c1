"""Options of ``seedpack extract`` on where values stand in the file (spec: EXT-66, EXT-67)."""

from __future__ import annotations

from typing import Annotated

import typer

Interleave = Annotated[
    bool,
    typer.Option(
        "--interleave",
        help="Spread each layer's values over its chunks, so that a lost chunk costs no row, "
        "and with --parity fit all chunks into one stripe. For codecs raw and ecq.",
    ),
]
ProtectTopBits = Annotated[
    bool,
    typer.Option(
        "--protect-top-bits",
        help="Interleave, and carry the top bits of matrices twice, at both ends of the file. "
        "For codec ecq; by default 8 bits a value, and 4 again.",
    ),
]


def check(*, others: bool, exact: bool, wished: tuple[bool, bool]) -> None:
    """Refuse a layout for what cannot have it.

    Args:
        others: Whether the layers are coded by something else than ``raw`` and ``ecq``.
        exact: Whether the values are to stay exact.
        wished: ``--interleave`` and ``--protect-top-bits``.

    Raises:
        typer.BadParameter: They do not go together.
    """
    _, protect_top_bits = wished
    if any(wished) and others:
        raise typer.BadParameter("--interleave and --protect-top-bits serve codecs raw and ecq")
    if protect_top_bits and exact:
        raise typer.BadParameter("--protect-top-bits serves codec ecq: exact values have none")
