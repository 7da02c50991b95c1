"""The entry point: which commands there are, and what exit status a failure has.

Exit status: 0 done, 1 input/output or unexpected, 2 wrong use, 3 malformed,
4 not trusted, 5 damaged, 6 not decodable or not assemblable, 10 an audit's gate failed,
130 interrupted.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module  # noqa: TID251 -- commands by name: see _COMMANDS
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, NoReturn

import typer

from seedpack.errors import SeedError
from seedpack_cli import output

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNEXPECTED = 1
_INTERRUPTED = 130
_ALL_AUDITS: Final = "all"
_AUDIT_LIST: Final = re.compile(r"\A[a-z][a-z-]*(,[a-z][a-z-]*)*\Z")


class _Command(NamedTuple):
    module: str  # in seedpack_cli.commands
    function: str  # or a group of commands
    short_help: str = ""


# Named by strings and imported when called: all of them together are a sixth of the time in
# which a small seed is verified.
_COMMANDS: Final = {
    "demo": _Command("demonstration", "demo", "Show the whole story on real digits."),
    "keygen": _Command("keys", "keygen", "Make a key pair."),
    "extract": _Command("extraction", "extract", "Make a seed of a model."),
    "sign": _Command("signing", "sign", "Add a signature to a seed."),
    "verify": _Command(
        "verification", "verify", "Prove that a seed is what somebody you trust signed."
    ),
    "inspect": _Command("inspection", "inspect", "Show what a seed says about itself, unverified."),
    "diff": _Command("inspection", "diff", "Show what differs between two seeds."),
    "assemble": _Command("assembling", "assemble", "Verify a seed and rebuild the model."),
    "audit": _Command("audit", "audit", "Judge what a seed's model keeps, and what it may hide."),
    "report": _Command("report", "report", "Write an audit's report again, and sign it."),
    "repair": _Command("restoration", "repair", "Restore damaged chunks from parity."),
    "salvage": _Command(
        "salvaging", "salvage", "Rebuild what is left of a seed that repair cannot restore."
    ),
    "split": _Command("partition", "split", "Write a part of a seed that verifies by itself."),
    "merge": _Command("partition", "merge", "Put parts of one seed together."),
    "trust": _Command("trust", "app"),
    "lab": _Command("lab", "app"),
}


def make_app(names: Iterable[str] = tuple(_COMMANDS)) -> typer.Typer:
    """Return the program with these commands."""
    app = typer.Typer(
        name="seedpack",
        help="Ship trained models as small signed .seed files; prove, repair and rebuild them.",
        epilog="Exit status: 0 done, 1 input/output, 2 wrong use, 3 malformed, 4 not trusted, "
        "5 damaged, 6 not decodable, 10 an audit's gate failed, 130 interrupted.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_settings)
    for name in names:
        command = _COMMANDS[name]
        module = import_module(f"seedpack_cli.commands.{command.module}")
        found = getattr(module, command.function)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name, short_help=command.short_help)(found)
    return app


def _wanted(arguments: Iterable[str]) -> Iterable[str]:
    """Return the command that is called, or all: for help, completion, and a slip of the pen."""
    first = next((word for word in arguments if not word.startswith("-")), "")
    return [first] if first in _COMMANDS else _COMMANDS


def _show_version(value: bool) -> None:
    if value:
        from seedpack import __version__  # noqa: PLC0415 -- only where asked for

        sys.stdout.write(f"seedpack {__version__}\n")
        raise typer.Exit


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


def _with_whole_audits(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--audit`` given a value wherever it stands alone.

    Typer knows no option whose value may be left out. What follows is taken for the value only
    if it can be a list of audits and is no file.
    """
    done: list[str] = []
    for index, word in enumerate(arguments):
        follower = arguments[index + 1] if index + 1 < len(arguments) else ""
        has_value = _AUDIT_LIST.match(follower) and not Path(follower).exists()
        done.append(f"--audit={_ALL_AUDITS}" if word == "--audit" and not has_value else word)
    return done


def main() -> NoReturn:
    """Run the command line; the one place that turns failures into exit statuses."""
    try:
        arguments = _with_whole_audits(sys.argv[1:])
        make_app(_wanted(arguments))(arguments, prog_name="seedpack", standalone_mode=True)
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
