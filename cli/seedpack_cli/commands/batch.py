"""``seedpack assemble`` with several seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from seedpack_cli import options, output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from seedpack.assemble import Outcome
    from seedpack.seed.contents import Contents


def assemble_batch(
    paths: Sequence[Path],
    out: Path,
    open_contents: Callable[[Path], Contents],
    base: Path | None,
    trusted: Sequence[options.Trust] | None,
    *,
    alone: bool,
    insecure: bool,
) -> None:
    """Assemble each of ``paths`` into ``out``, over one base.

    Args:
        paths: Several seeds.
        out: A folder.
        open_contents: Opens a seed as the user trusts.
        base: What ``--base`` names.
        trusted: Where what was accepted is recorded; None for nowhere.
        alone: An option was given that is for one seed.
        insecure: The user asked not to verify.

    Raises:
        typer.BadParameter: ``alone``, or two seeds of one name.
        SeedError: The first refusal, once all others were assembled.
    """
    from seedpack.assemble import assemble_many  # noqa: PLC0415
    from seedpack.seed.opening import Seed  # noqa: PLC0415

    if alone:
        raise typer.BadParameter("--task, --layers and --force are for one seed")

    def record(contents: Contents) -> None:
        if trusted is not None and isinstance(contents, Seed):
            trusted[0].record(contents)

    refused = []
    try:
        with options.open_base(base, open_contents) as tensors:
            for outcome in assemble_many(
                paths,
                out,
                open_contents=open_contents,
                base=tensors,
                insecure=insecure,
                accepted=record,
            ):
                _print(outcome, insecure=insecure)
                refused += [outcome.refusal] if outcome.refusal else []
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if refused:
        output.print_note(f"{len(refused)} of {len(paths)} seeds were refused; the first:")
        raise refused[0]


def _print(outcome: Outcome, *, insecure: bool) -> None:
    if outcome.report is None:
        output.print_note(f"{outcome.seed}: {outcome.refusal}")
        return
    state = "NOT verified" if insecure else "verified"
    row = {
        "seed": str(outcome.seed),
        "path": str(outcome.report.output),
        "verified": not insecure,
        "layers": outcome.report.layers,
        "lacking": outcome.report.lacking,
    }
    text = f"{outcome.report.output}: assembled from a {state} seed, {outcome.seed}"
    output.print_data(row, text)
