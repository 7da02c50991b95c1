"""``seedpack inspect`` and ``seedpack diff``: what files say, not what is proven."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedpack_cli import options, output

if TYPE_CHECKING:
    from seedpack.seed.contents import Contents


def inspect(
    seed: options.SeedPath,
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Show what SEED says about itself. Nothing is verified: anybody could have written it."""
    from seedpack.seed.opening import open_unverified  # noqa: PLC0415

    del output_format  # read through output.settings
    with open_unverified(seed) as contents:
        output.print_data(_row(seed, contents), "\n".join(_lines(seed, contents)))


def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="A .seed file.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    output_format: options.Format = output.OutputFormat.TEXT,
) -> None:
    """Show what differs between two seeds, by the digests of their decoded tensors.

    Equal digests mean equal tensors, however they are stored. Nothing is verified.
    """
    from seedpack.seed.comparison import compare_seeds  # noqa: PLC0415
    from seedpack.seed.opening import open_unverified  # noqa: PLC0415

    del output_format  # read through output.settings
    with open_unverified(first) as ours, open_unverified(second) as theirs:
        found = compare_seeds(ours, theirs)
        same_seed = ours.id == theirs.id
    marks = (("~", found.changed), ("-", found.only_first), ("+", found.only_second))
    lines = [f"{mark} {name}" for mark, names in marks for name in names]
    lines += [f"~ field {field}" for field in found.fields]
    summary = (
        "one seed" if same_seed else f"{len(found.same)} parts are the same, {len(lines)} differ"
    )
    output.print_data(
        {"verified": False, "same_seed": same_seed, **found._asdict()},
        "\n".join([*lines, f"{summary} (nothing was verified)"]),
    )


def _row(path: Path, contents: Contents) -> dict[str, Any]:
    manifest = contents.manifest
    return {
        "verified": False,
        "path": str(path),
        "seed_id": contents.id,
        "name": manifest.name,
        "version": manifest.version,
        "created": manifest.created,
        "expires": manifest.expires,
        "producer": manifest.producer,
        "digest_algorithm": manifest.digest_algorithm,
        "architecture": manifest.architecture and manifest.architecture.class_name,
        "base": manifest.base
        and {"name": manifest.base.name, "digest": manifest.base.digest.hex()},
        "decoded_nbytes": manifest.decoded_nbytes,
        "stored_nbytes": contents.header.preamble.payload_nbytes,
        "complete": contents.is_complete,
        "parity_percent": manifest.parity and manifest.parity.percent,
        "recipe": manifest.recipe,
        "signatures": [
            {"algorithm": r.algorithm, "key_id": r.key_id.hex(), "expires": r.expires}
            for r in contents.header.records
        ],
        "layers": [
            {
                "name": layer.name,
                "dtype": layer.dtype,
                "shape": layer.shape,
                "codec": layer.codec,
                "stored_nbytes": sum(chunk.stored_nbytes for chunk in layer.chunks),
                "digest": layer.digest.hex(),
            }
            for layer in manifest.layers
        ],
        "attachments": [
            {"name": a.name, "kind": a.kind, "nbytes": a.nbytes} for a in manifest.attachments
        ],
    }


def _lines(path: Path, contents: Contents) -> list[str]:
    manifest = contents.manifest
    preamble = contents.header.preamble
    lines = [
        f"{path}: NOTHING HERE IS VERIFIED; `seedpack verify` proves who signed it",
        f"  seed id    {contents.id}",
        f"  name       {manifest.name}, version {manifest.version}",
        f"  created    {output.format_time(manifest.created)} by {manifest.producer}",
    ]
    if manifest.expires is not None:
        lines.append(f"  expires    {output.format_time(manifest.expires)}")
    if manifest.architecture is not None:
        lines.append(f"  model      {manifest.architecture.class_name} (transformers)")
    if manifest.base is not None:
        base = manifest.base
        lines.append(f"  base       {base.name}, tensors' digest {base.digest.hex()}")
    if "student" in manifest.recipe:
        teacher, digest = manifest.recipe.get("teacher"), manifest.recipe.get("teacher_digest")
        lines.append(f"  student    of {teacher}, {digest}: {manifest.recipe['student']}")
    stored, decoded = preamble.payload_nbytes, manifest.decoded_nbytes
    ratio = f", ratio {decoded / preamble.file_nbytes:.2f}" if contents.is_complete else ", PARTIAL"
    lines.append(
        f"  size       {output.format_nbytes(stored)} stored, "
        f"{output.format_nbytes(decoded)} decoded{ratio}"
    )
    if manifest.parity is not None:
        lines.append(f"  parity     {manifest.parity.percent} %, {manifest.parity.scheme}")
    lines += [f"  signature  by key {r.key_id.hex()[:16]}" for r in contents.header.records]
    lines += [f"  file       {a.name} ({a.kind}, {a.nbytes} bytes)" for a in manifest.attachments]
    lines += [
        f"  layer      {layer.name}  {layer.dtype} {layer.shape}  {layer.codec}  "
        f"{output.format_nbytes(sum(c.stored_nbytes for c in layer.chunks))}"
        for layer in manifest.layers
    ]
    return lines
