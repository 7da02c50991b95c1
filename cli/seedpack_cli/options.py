"""Options that several commands share, and what they mean."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedpack_cli import output
from seedpack_cli.output import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seedpack.seed.base import Base as BaseModel
    from seedpack.seed.contents import Contents
    from seedpack.seed.opening import Seed
    from seedpack.trust.store import TrustStore


def _choose_format(value: OutputFormat) -> OutputFormat:
    output.settings.output_format = value
    return value


SeedPath = Annotated[Path, typer.Argument(metavar="SEED", help="A .seed file.")]
OutputPath = Annotated[Path, typer.Option("--output", "-o", help="What to write.")]
TrustPath = Annotated[
    Path | None,
    typer.Option(
        "--trust",
        envvar="SEEDPACK_TRUST",
        help="Trust store. Default: trust.json in the user's configuration folder.",
    ),
]
KeyPaths = Annotated[
    list[Path] | None,
    typer.Option("--key", help="Public key to trust instead of a store; repeatable."),
]
Threshold = Annotated[
    int | None, typer.Option("--threshold", min=1, help="How many principals must have signed.")
]
Layers = Annotated[str | None, typer.Option("--layers", help="Glob over layer names.")]
Base = Annotated[
    Path | None,
    typer.Option(
        "--base",
        help="The model that a delta seed refers to: a seed (verified, too), or a folder or file "
        "of weights.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure-skip-verification",
        help="Accept a seed that nobody vouches for. Digests are checked all the same.",
    ),
]
Now = Annotated[
    int | None,
    typer.Option("--now", help="Judge as of this time, in seconds since 1970.", show_default="now"),
]
NoRecord = Annotated[
    bool,
    typer.Option("--no-record", help="Do not remember this version in the trust store."),
]
Format = Annotated[
    OutputFormat,
    typer.Option(
        "--format",
        envvar="SEEDPACK_OUTPUT_FORMAT",
        callback=_choose_format,
        is_eager=True,
        help="What to print on stdout.",
    ),
]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="DATE", help="UTC date or time, ISO 8601.")
]


class Trust:
    """Whom a command trusts, from its options."""

    def __init__(
        self, store_path: Path | None, key_paths: list[Path] | None, threshold: int | None
    ) -> None:
        """Load keys or the store.

        Raises:
            typer.BadParameter: Both or neither are given, or the threshold is lowered.
            SeedError: They cannot be used.
        """
        from seedpack.crypto.keyfiles import load_public_key  # noqa: PLC0415
        from seedpack.trust.store import TrustStore  # noqa: PLC0415
        from seedpack.trust.storefile import load_trust_store  # noqa: PLC0415

        self.path: Path | None = None
        self.store: TrustStore
        if key_paths:
            if store_path is not None and "SEEDPACK_TRUST" not in os.environ:
                raise typer.BadParameter("give either --trust or --key")
            keys = [load_public_key(path) for path in key_paths]
            self.store = TrustStore.of_keys(keys, threshold=threshold or 1)
            return
        self.path = store_path or default_store_path()
        if store_path is None and not self.path.exists():
            raise typer.BadParameter(
                "whom do you trust? Give --key PUB or --trust STORE, "
                "or make a store with `seedpack trust init`"
            )
        self.store = load_trust_store(self.path)
        if threshold is not None:
            if threshold < self.store.threshold:
                raise typer.BadParameter(f"the store asks for at least {self.store.threshold}")
            self.store = self.store.with_threshold(threshold)

    def record(self, seed: Seed) -> None:
        """Remember that ``seed`` was accepted, where there is a store (TRU-13).

        The time is the clock's, whatever ``--now`` says: a store that remembers a time to
        come would refuse everything until then.
        """
        from seedpack.trust.storefile import record_seen  # noqa: PLC0415

        if self.path is not None:
            record_seen(self.path, seed.facts, now=current_time(None))


def default_store_path() -> Path:
    """Return where the user's trust store is."""
    from platformdirs import user_config_path  # noqa: PLC0415

    return user_config_path("seedpack") / "trust.json"


def open_trusted(
    path: Path,
    trust: Callable[[], Trust],
    *,
    insecure: bool,
    now: int | None = None,
    damaged: bool = False,
) -> Contents:
    """Open ``path`` as a verified seed, or, only where the user insists, as an unverified one."""
    from seedpack.seed.opening import open_seed, open_unverified  # noqa: PLC0415

    if insecure:
        output.print_warning(f"{path}: nobody vouches for this seed; you asked not to verify it")
        return open_unverified(path, damaged=damaged)
    return open_seed(path, store=trust().store, now=now, damaged=damaged)


@contextlib.contextmanager
def open_base(
    path: Path | None, open_contents: Callable[[Path], Contents]
) -> Iterator[BaseModel | None]:
    """Open what ``--base`` names, if anything; a seed by ``open_contents``."""
    if path is None:
        yield None
        return
    from seedpack.assemble.bases import open_base as open_tensors  # noqa: PLC0415

    with open_tensors(path, open_contents) as base:
        yield base


def open_for_copying(
    path: Path, store_path: Path | None, key_paths: list[Path] | None, *, now: int | None
) -> Contents:
    """Open ``path`` to copy checked chunks of it, damaged or not.

    A mirror that trusts nobody may copy and repair: whatever it writes has the signed
    digests, and its consumers verify. Whom the user does name is asked first.
    """
    from seedpack.seed.opening import open_seed, open_unverified  # noqa: PLC0415

    if key_paths or store_path:
        trust = Trust(store_path, key_paths, None)
        return open_seed(path, store=trust.store, now=now, damaged=True)
    return open_unverified(path, damaged=True)


def is_vouched_for(contents: Contents) -> bool:
    """Tell whether whoever opened ``contents`` asked for signatures, and got them."""
    from seedpack.seed.opening import Seed  # noqa: PLC0415

    return isinstance(contents, Seed)


def current_time(now: int | None) -> int:
    """Return ``now``, or the clock in seconds since 1970."""
    import time  # noqa: PLC0415

    return int(time.time()) if now is None else now


def parse_date(text: str | None) -> int | None:
    """Return an ISO 8601 date or time as seconds since 1970; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a date such as 2027-12-31") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return int(moment.timestamp())


def ask_passphrase(path: Path, *, confirm: bool = False) -> bytes:
    """Return the passphrase of a key, from SEEDPACK_PASSPHRASE or the terminal."""
    import getpass  # noqa: PLC0415

    from seedpack.errors import KeyFileError  # noqa: PLC0415

    given = os.environ.get("SEEDPACK_PASSPHRASE")
    if given is not None:
        return given.encode()
    if not sys.stdin.isatty():
        raise KeyFileError(
            "the key needs a passphrase and there is no terminal to ask for it",
            rule="KEY-5",
            where=str(path),
            hint="set SEEDPACK_PASSPHRASE, or make a key with --no-passphrase",
        )
    passphrase = getpass.getpass(f"Passphrase of {path}: ")
    if confirm and getpass.getpass("Again: ") != passphrase:
        raise KeyFileError(
            "the passphrases differ", rule="KEY-5", where=str(path), hint="try again"
        )
    return passphrase.encode()
