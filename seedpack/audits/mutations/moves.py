"""Authentic bytes in the wrong place: chunks and layers exchanged, removed, or of another seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from seedpack.audits.mutations.base import Mutation, Patch, Target, rewritten
from seedpack.container.manifest import encode_manifest
from seedpack.container.payload import encode_presence

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from seedpack.container.payload import PlacedChunk
    from seedpack.seed.contents import Contents


def swap_chunks(target: Target, random: np.random.Generator) -> Mutation | None:
    """Exchange two chunks; of different sizes, as much as both have."""
    if len(target.present) < 2:  # noqa: PLR2004 -- to exchange
        return None
    first, second = (target.present[i] for i in _two(len(target.present), random))
    what = f"chunks {first.index} and {second.index}"
    return Mutation("chunk swap", what, _exchange(target, [first], [second]))


def swap_layers(target: Target, random: np.random.Generator) -> Mutation | None:
    """Exchange the stored bytes of two layers."""
    layers = [
        (layer.name, here) for layer, owned in target.contents.layers() if (here := _of(owned))
    ]
    if len(layers) < 2:  # noqa: PLR2004 -- to exchange
        return None
    (name, ours), (other, theirs) = (layers[i] for i in _two(len(layers), random))
    what = f"layers {name[:40]!a} and {other[:40]!a}"
    return Mutation("layer swap", what, _exchange(target, ours, theirs))


def swap_records(target: Target, random: np.random.Generator) -> Mutation | None:
    """Exchange in the manifest what two layers are made of; the signature stays as it was."""
    layers = list(target.contents.manifest.layers)
    if len(layers) < 2:  # noqa: PLR2004 -- to exchange
        return None
    a, b = _two(len(layers), random)
    ours, theirs = layers[a], layers[b]
    layers[a] = replace(ours, chunks=theirs.chunks, digest=theirs.digest)
    layers[b] = replace(theirs, chunks=ours.chunks, digest=ours.digest)
    manifest = encode_manifest(replace(target.contents.manifest, layers=layers))
    what = f"chunks of layers {ours.name[:40]!a} and {theirs.name[:40]!a} in the manifest"
    return rewritten(target, "layer record swap", what, manifest=manifest)


def remove_chunk(target: Target, random: np.random.Generator) -> Mutation | None:
    """Leave out a chunk, in the form that a partial seed has."""
    if len(target.present) < 2:  # noqa: PLR2004 -- something is left
        return None
    lost = target.present[int(random.integers(len(target.present)))]
    left = [chunk for chunk in target.present if chunk.index != lost.index]
    presence = encode_presence([chunk.index for chunk in left], len(target.contents.chunks))
    start = target.contents.header.preamble.payload_offset
    before = target.read(start, (lost.offset or 0) - start)
    end = (lost.offset or 0) + lost.stored_nbytes
    payload = before + target.read(end, target.nbytes - end)
    what = f"chunk {lost.index} removed"
    return rewritten(target, "chunk removed", what, presence=presence, payload=payload)


def splice_layer(target: Target, random: np.random.Generator) -> Mutation | None:
    """Put a layer of the donor over the layer of the same place."""
    if target.donor is None:
        return None
    theirs = [owned for _, owned in target.donor.layers()]
    ours = [(layer.name, owned) for layer, owned in target.contents.layers()]
    at = int(random.integers(min(len(ours), len(theirs))))
    name, chunks = ours[at]
    patches = []
    for chunk, other in zip(_of(chunks), _of(theirs[at]), strict=False):
        nbytes = min(chunk.stored_nbytes, other.stored_nbytes)
        patches.append(Patch(chunk.offset or 0, target.donor.file.read(other.offset or 0, nbytes)))
    return Mutation("layer of another seed", f"layer {name[:40]!a}", tuple(patches))


def splice_chunk(target: Target, random: np.random.Generator) -> Mutation | None:
    """Put any chunk of the donor over any of ours."""
    if target.donor is None or not target.present:
        return None
    ours = target.present[int(random.integers(len(target.present)))]
    others = _of(target.donor.chunks)
    other = others[int(random.integers(len(others)))]
    data = target.donor.file.read(other.offset or 0, min(ours.stored_nbytes, other.stored_nbytes))
    what = f"chunk {other.index} of the other seed over chunk {ours.index}"
    return Mutation("chunk of another seed", what, (Patch(ours.offset or 0, data),))


def splice_halves(target: Target, random: np.random.Generator) -> Mutation | None:
    """Join a front and a payload that are of two seeds, or our signatures to another seed."""
    if target.donor is None:
        return None
    other, kind = target.donor.header, "halves of two seeds"
    turn = int(random.integers(3))
    if turn == 0:
        payload = _payload(target.donor)
        return rewritten(target, kind, "our front, another payload", payload=payload)
    manifest = other.manifest_bytes
    if turn == 1:
        what = "another front, our payload"
        return rewritten(target, kind, what, manifest=manifest, records=other.records)
    payload = _payload(target.donor)
    what = "our signatures under another seed"
    return rewritten(target, kind, what, manifest=manifest, payload=payload)


def _payload(donor: Contents) -> bytes:
    preamble = donor.header.preamble
    return donor.file.read(preamble.payload_offset, preamble.payload_nbytes)


def _exchange(
    target: Target, first: Sequence[PlacedChunk], second: Sequence[PlacedChunk]
) -> tuple[Patch, ...]:
    patches = []
    for one, other in zip(first, second, strict=False):
        nbytes = min(one.stored_nbytes, other.stored_nbytes)
        here, there = one.offset or 0, other.offset or 0
        patches += [
            Patch(here, target.read(there, nbytes)),
            Patch(there, target.read(here, nbytes)),
        ]
    return tuple(patches)


def _of(chunks: Sequence[PlacedChunk]) -> list[PlacedChunk]:
    return [chunk for chunk in chunks if chunk.offset is not None]


def _two(count: int, random: np.random.Generator) -> tuple[int, int]:
    first, second = random.choice(count, size=2, replace=False).tolist()
    return first, second
