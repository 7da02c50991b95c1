"""Parts of a seed, and seeds from parts: same manifest, same seed id, fewer chunks (spec: PRT).

Contents --choose chunks--> header with presence bitmap + those chunks
parts with equal manifests --union of chunks, union of signatures--> one container
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedpack.container.payload import encode_presence
from seedpack.container.writer import Header, write_container
from seedpack.errors import FormatError, IntegrityError, StoreError
from seedpack.files import atomic_output

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from seedpack.container.payload import PlacedChunk
    from seedpack.container.signature_area import SignatureRecord
    from seedpack.seed.contents import Contents


def split_seed(seed: Contents, output: Path, *, layers: str, overwrite: bool = False) -> int:
    """Write the layers that match, and all attachments, as a partial seed.

    Args:
        seed: Open seed; every chunk that is copied is checked.
        output: The part.
        layers: Glob over layer names.
        overwrite: Replace an existing file.

    Returns:
        Number of chunks written.

    Raises:
        IntegrityError: CHK-2 or PRT-3, a chunk is damaged or not in this file.
        StoreError: OUT.
        ValueError: No layer matches.
    """
    chosen = [chunk for _, owned in seed.layers(layers) for chunk in owned]
    chosen += [chunk for _, owned in seed.attachments() for chunk in owned]
    _write_part(seed, output, chosen, overwrite=overwrite)
    return len(chosen)


def split_evenly(seed: Contents, outputs: Sequence[Path], *, overwrite: bool = False) -> list[int]:
    """Cut a complete seed into consecutive parts of about equal size.

    Returns:
        Number of chunks in each part.

    Raises:
        IntegrityError: CHK-2 or PRT-3.
        StoreError: OUT.
        ValueError: More parts than chunks.
    """
    if not 1 <= len(outputs) <= len(seed.chunks):
        raise ValueError(f"{len(outputs)} parts of a seed with {len(seed.chunks)} chunks")
    counts = []
    rest = list(seed.chunks)
    for number, output in enumerate(outputs):
        part = _take_share(rest, len(outputs) - number)
        _write_part(seed, output, part, overwrite=overwrite)
        counts.append(len(part))
    return counts


def _take_share(rest: list[PlacedChunk], nparts: int) -> list[PlacedChunk]:
    """Remove and return the first of ``nparts`` shares, leaving a chunk for each other one."""
    goal = sum(chunk.stored_nbytes for chunk in rest) / nparts
    count, taken = 1, rest[0].stored_nbytes
    while count <= len(rest) - nparts and taken + rest[count].stored_nbytes / 2 < goal:
        taken += rest[count].stored_nbytes
        count += 1
    part, rest[:] = rest[:count], rest[count:]
    return part


def merge_seeds(
    parts: Sequence[Contents], output: Path, *, overwrite: bool = False
) -> list[PlacedChunk]:
    """Write one container with every chunk and signature that any part has.

    Args:
        parts: Open parts of one seed; every chunk that is copied is checked.
        output: The merged container; complete where the parts together are.
        overwrite: Replace an existing file.

    Returns:
        Chunks that no part has.

    Raises:
        FormatError: PRT-4, the manifests differ; SIG-2, too many signatures.
        IntegrityError: CHK-2, no intact copy of a chunk that a part claims to have.
        StoreError: OUT; FIL-2, no copy of such a chunk that the disk yields.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.header.manifest_bytes != first.header.manifest_bytes:
            raise FormatError(
                "these are parts of different seeds",
                rule="PRT-4",
                where=f"{part.file.path}: seed id {part.id[:16]}",
                hint=f"{first.file.path} has seed id {first.id[:16]}",
            )
    present = [
        index
        for index in range(len(first.chunks))
        if any(part.chunks[index].offset is not None for part in parts)
    ]
    header = _part_header(first, present, _merge_records(parts))
    with atomic_output(output, overwrite=overwrite) as out:
        write_container(out, header, (_copy_intact(parts, index) for index in present))
    found = set(present)
    return [chunk for chunk in first.chunks if chunk.index not in found]


def _copy_intact(parts: Sequence[Contents], index: int) -> memoryview:
    """Return the chunk from the first part whose copy is what was signed."""
    failure: IntegrityError | StoreError | None = None
    for part in parts:
        if part.chunks[index].offset is not None:
            try:
                return _copy(part, index)
            except (IntegrityError, StoreError) as error:  # a failing disk is damage, too
                failure = failure or error
    assert failure is not None  # noqa: S101 -- the caller saw the chunk in a part
    raise failure


def _merge_records(parts: Sequence[Contents]) -> list[SignatureRecord]:
    by_key: dict[bytes, SignatureRecord] = {}
    for part in parts:
        for record in part.header.records:
            by_key.setdefault(record.key_id, record)
    return list(by_key.values())


def _write_part(
    seed: Contents, output: Path, chunks: Sequence[PlacedChunk], *, overwrite: bool
) -> None:
    present = sorted(chunk.index for chunk in chunks)
    header = _part_header(seed, present, seed.header.records)
    with atomic_output(output, overwrite=overwrite) as out:
        write_container(out, header, (_copy(seed, index) for index in present))


def _part_header(
    seed: Contents, present: Collection[int], records: list[SignatureRecord]
) -> Header:
    return Header(
        seed.header.manifest_bytes,
        seed.header.preamble.seed_id,
        records,
        encode_presence(present, len(seed.chunks)),
        sum(seed.chunks[index].stored_nbytes for index in present),
    )


def _copy(seed: Contents, index: int) -> memoryview:
    chunk = seed.chunks[index]
    return seed.read_chunk(chunk, bytearray(chunk.stored_nbytes))
