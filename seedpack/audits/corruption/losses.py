"""Damage drawn at random, and what models come of it (spec: corruption.md).

share, random | burst, random seed --> chunks --their bytes changed--> copy of the seed
copy --repair--> exact again | --salvage--> model with holes
"""

from __future__ import annotations

import contextlib
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.assemble import open_base
from seedpack.assemble.salvage import MARK, assemble_salvaged
from seedpack.frameworks.factories import load_factory
from seedpack.seed.opening import open_unverified
from seedpack.seed.salvage import Salvage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.audits.base import Context
    from seedpack.seed.base import Base
    from seedpack.seed.contents import Contents

KINDS: Final = ("random", "burst")
_FLIPPED: Final = 0xA5


class Loss(NamedTuple):
    """Which chunks are destroyed."""

    share: float
    kind: str
    seed: int


class Damaged(NamedTuple):
    """What came of one loss."""

    loss: Loss
    destroyed: int  # chunks
    missing: float  # share of all values of which nothing is known
    coarse: float
    model: Path | None  # None: restored exactly, and so the whole model


def draw_chunks(nchunks: int, loss: Loss) -> list[int]:
    """Return the chunks to destroy: any, or a run of neighbours; at least one."""
    count = min(max(math.ceil(loss.share * nchunks), 1), nchunks)
    random = np.random.default_rng([loss.seed, KINDS.index(loss.kind), round(1e4 * loss.share)])
    if loss.kind == "burst":
        start = int(random.integers(nchunks - count + 1))
        return list(range(start, start + count))
    return sorted(int(index) for index in random.choice(nchunks, count, replace=False))


class Damager:
    """Destroys chunks of copies of one seed, and makes models of what is left.

    Args:
        context: Of the audit; everything is written into its scratch folder.
        seed: The audited seed, or another layout of the same model.
        label: Of this layout, for names of files.
        with_parity: False: parity chunks are destroyed, too, so that it restores nothing.
    """

    def __init__(self, context: Context, seed: Path, label: str, *, with_parity: bool) -> None:
        """Look at the seed's chunks."""
        self._context, self._seed, self._label = context, seed, label
        self._with_parity = with_parity
        with open_unverified(seed) as contents:
            self._places = [(chunk.offset, chunk.stored_nbytes) for chunk in contents.chunks]
            self._ndata = len(contents.manifest.data_chunks)
            self.manifest_share = len(contents.header.manifest_bytes) / seed.stat().st_size
            self.kept_share = _share_in_manifest(contents)

    @property
    def nchunks(self) -> int:
        """The number of chunks that can be destroyed."""
        return len(self._places) if self._with_parity else self._ndata

    def damage(self, loss: Loss) -> Damaged:
        """Destroy chunks, repair what can be, and salvage the rest (AUD-COR-1).

        Raises:
            SeedError: What is left cannot be decoded.
        """
        chosen = draw_chunks(self.nchunks, loss) if self.nchunks else []
        also = [] if self._with_parity else list(range(self._ndata, len(self._places)))
        copy = self._context.scratch / f"{self._label}.seed"
        shutil.copyfile(self._seed, copy)
        _destroy(copy, [self._places[index] for index in chosen + also])
        with open_unverified(copy, damaged=True) as contents, _base(self._context) as base:
            if not self._is_lost(contents):
                return Damaged(loss, len(chosen), 0.0, 0.0, None)
            output = self._output(loss)
            factory = self._context.spec.factory
            report = assemble_salvaged(
                contents,
                output,
                insecure=True,  # of this very seed, whose id was verified before
                base=base,
                random_seed=loss.seed,
                factory=load_factory(factory) if factory else None,
            )
        missing, coarse = report.missing / report.values, report.coarse / report.values
        return Damaged(loss, len(chosen), missing, coarse, output)

    def _is_lost(self, contents: Contents) -> bool:
        """Return whether a layer lost a chunk for good; parity and files are no matter."""
        lost = Salvage(contents).lost
        return any(chunk.index in lost for _, chunks in contents.layers() for chunk in chunks)

    def _output(self, loss: Loss) -> Path:
        ending = ".safetensors" if self._context.spec.factory else ""
        name = f"{MARK}-{self._label}-{loss.kind}-{loss.share}-{loss.seed}{ending}"
        return self._context.scratch / name


def _destroy(path: Path, places: list[tuple[int | None, int]]) -> None:
    """Change every byte of some chunks."""
    with path.open("r+b") as file:
        for offset, nbytes in places:
            if offset is None:
                continue  # it is absent as it is
            file.seek(offset)
            damaged = (np.frombuffer(file.read(nbytes), np.uint8) ^ _FLIPPED).tobytes()
            file.seek(offset)
            file.write(damaged)


def _share_in_manifest(contents: Contents) -> float:
    """Return the share of values whose layers have no chunk, but stand in the manifest."""
    sizes = [(math.prod(layer.shape), bool(layer.chunks)) for layer in contents.manifest.layers]
    whole = sum(size for size, _ in sizes)
    return sum(size for size, has_chunks in sizes if not has_chunks) / max(whole, 1)


@contextlib.contextmanager
def _base(context: Context) -> Iterator[Base | None]:
    if not context.spec.base:
        yield None
        return
    with open_base(Path(context.spec.base), open_unverified) as base:
        yield base
