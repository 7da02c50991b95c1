"""What differs between two seeds, by the digests of their decoded tensors.

layers of A, layers of B --name, dtype, shape, decoded digest--> same | changed | only in one
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from seedpack.seed.contents import Contents


class Comparison(NamedTuple):
    """Names, in the order of the first seed, then of the second."""

    same: list[str]  # decode to equal tensors or files, whatever the codec
    changed: list[str]
    only_first: list[str]
    only_second: list[str]
    fields: list[str]  # manifest fields that differ


# Content is compared by name and digest; these say by themselves what a user asks about.
_FIELDS = (
    "architecture",
    "base",
    "claims",
    "created",
    "digest_algorithm",
    "expires",
    "name",
    "parity",
    "producer",
    "recipe",
    "version",
)


def compare_seeds(first: Contents, second: Contents) -> Comparison:
    """Compare two open containers without reading their payload."""
    ours = _identities(first)
    theirs = _identities(second)
    # Digests of two algorithms say nothing about each other: such layers count as changed.
    comparable = first.manifest.digest_algorithm == second.manifest.digest_algorithm
    both = [name for name in ours if name in theirs]
    same = {name for name in both if comparable and ours[name] == theirs[name]}
    return Comparison(
        same=[name for name in both if name in same],
        changed=[name for name in both if name not in same],
        only_first=[name for name in ours if name not in theirs],
        only_second=[name for name in theirs if name not in ours],
        fields=[
            field
            for field in _FIELDS
            if getattr(first.manifest, field) != getattr(second.manifest, field)
        ],
    )


def _identities(seed: Contents) -> dict[str, bytes]:
    layers = {f"layer {layer.name}": layer.digest for layer in seed.manifest.layers}
    return layers | {f"file {file.name}": file.digest for file in seed.manifest.attachments}
