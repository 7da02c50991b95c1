"""``seedpack trust``: whom to trust, kept in one file of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedpack_cli import options, output
from seedpack_cli.commands.keys import KeyAlgorithm

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.crypto.keys import PrivateKey
    from seedpack.trust.store import Principal, TrustStore

app = typer.Typer(
    help="Say whom you trust: principals, their keys, what they may sign.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Serial = Annotated[
    int,
    typer.Option("--serial", min=1, help="Counted up by you with every statement you make."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The principal: whose keys these are.")]


@app.command()
def init(
    trust: options.TrustPath = None,
    threshold: options.Threshold = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Make an empty trust store."""
    from seedpack.trust.store import TrustStore  # noqa: PLC0415
    from seedpack.trust.storefile import save_trust_store  # noqa: PLC0415

    del output_format  # read through output.settings
    path = trust or options.default_store_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_trust_store(path, TrustStore(threshold=threshold or 1))
    output.print_data({"path": str(path)}, f"{path}: empty trust store made")


@app.command()
def add(
    name: Name,
    key: Annotated[list[Path], typer.Option("--key", help="Public key; repeatable.")],
    trust: options.TrustPath = None,
    may_sign: Annotated[
        list[str] | None,
        typer.Option("--may-sign", help="Glob over seed names that it may sign; repeatable."),
    ] = None,
    require: Annotated[
        list[KeyAlgorithm] | None,
        typer.Option("--require", help="Algorithm that must have signed; repeatable for hybrids."),
    ] = None,
    not_before: Annotated[
        str | None, typer.Option("--not-before", metavar="DATE", help="Keys count from then on.")
    ] = None,
    not_after: Annotated[
        str | None, typer.Option("--not-after", metavar="DATE", help="Keys count until then.")
    ] = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Trust a principal by its public keys."""
    from seedpack.crypto.keyfiles import load_public_key  # noqa: PLC0415
    from seedpack.crypto.keys import Algorithm  # noqa: PLC0415
    from seedpack.trust.store import Principal, TrustedKey  # noqa: PLC0415

    del output_format  # read through output.settings
    start, end = options.parse_date(not_before), options.parse_date(not_after)
    keys = tuple(TrustedKey(load_public_key(path), start or 0, end) for path in key)
    required = [Algorithm.of_label(label) for label in require or ()]
    principal = Principal(
        name=name,
        keys=keys,
        may_sign=tuple(may_sign or ["*"]),
        # Whoever gives one key of a kind wants that kind asked for.
        require=tuple(required or dict.fromkeys(k.public.algorithm for k in keys)),
    )
    _change(trust, lambda store: store.with_principal(principal))
    ids = ", ".join(key.key_id.hex()[:16] for key in keys)
    output.print_data(_row(principal), f"{name}: trusted by key {ids}")


@app.command(name="list")
def list_principals(
    trust: options.TrustPath = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Show whom the trust store trusts, and what it has seen."""
    del output_format  # read through output.settings
    store = options.Trust(trust, None, None).store
    row = {
        "threshold": store.threshold,
        "principals": [_row(principal) for principal in store.principals],
        "seen": {
            name: {"version": seen.version, "seed_id": seen.seed_id.hex()}
            for name, seen in store.seen.items()
        },
    }
    output.print_data(row, "\n".join(_lines(store)))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY-ID", help="Its first digits are enough.")],
    trust: options.TrustPath = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Stop trusting one key, for everything that it ever signed."""
    del output_format  # read through output.settings
    store = options.Trust(trust, None, None).store
    ids = [key.key_id for principal in store.principals for key in principal.keys]
    found = [each for each in ids if each.hex().startswith(key_id.lower())]
    if len(found) != 1:
        raise typer.BadParameter(f"{len(found)} keys of the store begin with {key_id!r}")
    _change(trust, lambda current: current.with_revoked(found[0]))
    output.print_data({"revoked": found[0].hex()}, f"key {found[0].hex()[:16]}: revoked")


@app.command()
def remove(
    name: Name,
    trust: options.TrustPath = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Stop trusting a principal altogether."""
    del output_format  # read through output.settings
    _change(trust, lambda store: store.without_principal(name))
    output.print_data({"removed": name}, f"{name}: no longer trusted")


@app.command(short_help="Forget which version of a seed was seen.")
def forget(
    name: Annotated[str, typer.Argument(metavar="SEED-NAME", help="Name of a seed.")],
    trust: options.TrustPath = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Forget which version of a seed was seen: the way out of a version counted up by mistake."""
    del output_format  # read through output.settings
    _change(trust, lambda store: store.without_seen(name))
    output.print_data({"forgotten": name}, f"{name}: seen versions forgotten")


@app.command(short_help="Publishers: state that a new key replaces an old one.")
def rotate(
    name: Name,
    old: Annotated[Path, typer.Option("--old", help="Private key that is replaced.")],
    new: Annotated[Path, typer.Option("--new", help="Private key that takes its place.")],
    serial: Serial,
    out: options.OutputPath,
    now: options.Now = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """As a publisher: state that a new key takes the place of an old one, signed by both.

    Consumers who trust the old key follow with `seedpack trust apply`.
    """
    from seedpack.trust.statement_form import make_rotation  # noqa: PLC0415

    del output_format  # read through output.settings
    moment = options.current_time(now)
    keys = _load_private(old), _load_private(new)
    _write_statement(out, make_rotation(name, *keys, serial=serial, created=moment))


@app.command(short_help="Publishers: state that keys no longer count.")
def retract(
    name: Name,
    key: Annotated[Path, typer.Option("--key", help="Private key that signs; it stays trusted.")],
    revoked: Annotated[
        list[Path], typer.Option("--revoked", help="Public key to revoke; repeatable.")
    ],
    serial: Serial,
    out: options.OutputPath,
    now: options.Now = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """As a publisher: state that keys of yours no longer count, signed by one that does."""
    from seedpack.crypto.keyfiles import load_public_key  # noqa: PLC0415
    from seedpack.trust.statement_form import make_revocation  # noqa: PLC0415

    del output_format  # read through output.settings
    ids = [load_public_key(path).key_id for path in revoked]
    moment = options.current_time(now)
    signed = make_revocation(name, _load_private(key), ids, serial=serial, created=moment)
    _write_statement(out, signed)


@app.command(short_help="Apply a publisher's signed rotation or retraction.")
def apply(
    statement: Annotated[Path, typer.Argument(metavar="STATEMENT", help="Signed by a principal.")],
    trust: options.TrustPath = None,
    now: options.Now = None,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Apply a publisher's own signed statement: a key rotation or revocation."""
    from seedpack.trust.statements import apply_statement, load_statement  # noqa: PLC0415

    del output_format  # read through output.settings
    parsed = load_statement(statement)
    moment = options.current_time(now)
    _change(trust, lambda store: apply_statement(store, parsed, moment))
    output.print_data({"applied": str(statement)}, f"{statement}: applied")


def _change(trust: Path | None, change: Callable[[TrustStore], TrustStore]) -> None:
    from seedpack.trust.storefile import update_trust_store  # noqa: PLC0415

    update_trust_store(options.Trust(trust, None, None).path or Path(), change)


def _load_private(path: Path) -> PrivateKey:
    from seedpack.crypto.keyfiles import load_private_key  # noqa: PLC0415

    return load_private_key(path, lambda: options.ask_passphrase(path))


def _write_statement(out: Path, statement: bytes) -> None:
    from seedpack.files import atomic_output  # noqa: PLC0415

    with atomic_output(out) as file:
        file.write(statement)
    output.print_data({"path": str(out)}, f"{out}: statement written")


def _row(principal: Principal) -> dict[str, Any]:
    return {
        "name": principal.name,
        "may_sign": list(principal.may_sign),
        "require": [algorithm.label for algorithm in principal.require],
        "keys": [
            {
                "key_id": key.key_id.hex(),
                "algorithm": key.public.algorithm.label,
                "not_before": key.not_before,
                "not_after": key.not_after,
                "revoked": key.revoked,
            }
            for key in principal.keys
        ],
    }


def _lines(store: TrustStore) -> list[str]:
    lines = [f"{store.threshold} of {len(store.principals)} principals must have signed"]
    for principal in store.principals:
        lines.append(f"{principal.name}: may sign {', '.join(principal.may_sign)}")
        for key in principal.keys:
            state = "REVOKED" if key.revoked else "trusted"
            if key.not_after is not None:
                state += f" until {output.format_time(key.not_after)}"
            lines.append(f"  {key.public.algorithm.label} {key.key_id.hex()[:16]} {state}")
    lines += [f"seen: {name} version {seen.version}" for name, seen in store.seen.items()]
    return lines
