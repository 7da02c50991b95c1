"""The entry point: which commands there are, and what exit status a failure has.

Exit status: 0 done, 1 input/output or unexpected, 2 wrong use, 3 malformed,
4 not trusted, 5 damaged, 6 not decodable or not assemblable, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from seedpack.errors import SeedError
from seedpack_cli import output
from seedpack_cli.commands import (
    assembling,
    demonstration,
    extraction,
    inspection,
    keys,
    partition,
    restoration,
    signing,
    trust,
    verification,
)

_UNEXPECTED = 1
_INTERRUPTED = 130

app = typer.Typer(
    name="seedpack",
    help="Ship trained models as small signed .seed files; prove, repair and rebuild them.",
    epilog="Exit status: 0 done, 1 input/output, 2 wrong use, 3 malformed, 4 not trusted, "
    "5 damaged, 6 not decodable, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(short_help="Show the whole story on real digits.")(demonstration.demo)
app.command(short_help="Make a key pair.")(keys.keygen)
app.command(short_help="Make a seed of a model.")(extraction.extract)
app.command(short_help="Add a signature to a seed.")(signing.sign)
app.command(short_help="Prove that a seed is what somebody you trust signed.")(verification.verify)
app.command(short_help="Show what a seed says about itself, unverified.")(inspection.inspect)
app.command(short_help="Show what differs between two seeds.")(inspection.diff)
app.command(short_help="Verify a seed and rebuild the model.")(assembling.assemble)
app.command(short_help="Restore damaged chunks from parity.")(restoration.repair)
app.command(short_help="Write a part of a seed that verifies by itself.")(partition.split)
app.command(short_help="Put parts of one seed together.")(partition.merge)
app.add_typer(trust.app, name="trust")


def _show_version(value: bool) -> None:
    if value:
        from seedpack import __version__  # noqa: PLC0415 -- only where asked for

        sys.stdout.write(f"seedpack {__version__}\n")
        raise typer.Exit


@app.callback()
def _settings(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print data and errors only.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show where an unexpected error comes from.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    output.settings.quiet = quiet
    output.settings.verbose = verbose


def main() -> NoReturn:
    """Run the command line; the one place that turns failures into exit statuses."""
    try:
        app(prog_name="seedpack", standalone_mode=True)
    except SeedError as error:
        output.print_refusal(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        output.print_error("interrupted")
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has left (`seedpack inspect ... | head`): nothing to say to it.
        sys.stderr.close()
        sys.exit(_UNEXPECTED)
    except Exception as error:  # noqa: BLE001 -- a traceback shown to a user is a bug
        output.print_unexpected(error)
        sys.exit(_UNEXPECTED)
    sys.exit(0)
