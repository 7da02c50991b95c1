"""Many seeds at once, over one base that is decoded once.

    base, a seed --assembled once--> temporary file ┐
    base, a model -----------------> its digests ---┴─> shared by all
    A.seed, B.seed, ... one after another, each over all cores --> DIR/A, DIR/B.safetensors, ...

Each result is complete or absent; one that is refused harms no other.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seedpack.assemble.assembly import AssemblyReport, assemble
from seedpack.errors import SeedError
from seedpack.frameworks.bases import ModelBase
from seedpack.seed.base import SeedBase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seedpack.seed.base import Base
    from seedpack.seed.contents import Contents


class Outcome(NamedTuple):
    """What became of one seed: either of the last two is None."""

    seed: Path
    report: AssemblyReport | None
    refusal: SeedError | None


def assemble_many(
    seeds: Sequence[Path],
    folder: Path,
    *,
    open_contents: Callable[[Path], Contents],
    base: Base | None = None,
    insecure: bool = False,
    accepted: Callable[[Contents], None] | None = None,
) -> Iterator[Outcome]:
    """Write the models of ``seeds`` into ``folder``, each under its seed's name.

    Args:
        seeds: Paths; their names without ending must differ.
        folder: Made where it is not there; what stands in it is never replaced.
        open_contents: Opens a seed; normally ``open_seed`` with a trust store.
        base: Of those among them that are deltas.
        insecure: Accept contents that nobody vouches for, because the user said so.
        accepted: Called with each seed that was assembled.

    Yields:
        What became of each, in order, as soon as it is known.

    Raises:
        ValueError: Two seeds would have one name.
        SeedError: The base cannot be decoded.

    Cost:
        Disk: the decoded base, for the time of the call, where it is a seed.
    """
    if len({path.stem for path in seeds}) < len(seeds):
        raise ValueError("two seeds would have one name in the folder")
    folder.mkdir(parents=True, exist_ok=True)
    with _decoded(base, folder, insecure=insecure) as shared:
        for path in seeds:
            try:
                with open_contents(path) as contents:
                    bare = contents.manifest.architecture is None
                    output = folder / (f"{path.stem}.safetensors" if bare else path.stem)
                    report = assemble(contents, output, base=shared, insecure=insecure)
                    if accepted is not None:
                        accepted(contents)
            except SeedError as refusal:
                yield Outcome(path, None, refusal)
            else:
                yield Outcome(path, report, None)


class _DecodedBase(ModelBase):
    """A seed's tensors, decoded into a file of our own, and the seed's files."""

    def __init__(self, path: Path, seed: SeedBase) -> None:
        """Take the file, which nobody else knows."""
        super().__init__(path)
        self._seed = seed

    @property
    def name(self) -> str:
        """The seed's name."""
        return self._seed.name

    def files(self) -> dict[str, bytes]:
        """Return the seed's attachments."""
        return self._seed.files()


@contextlib.contextmanager
def _decoded(base: Base | None, folder: Path, *, insecure: bool) -> Iterator[Base | None]:
    if not isinstance(base, SeedBase):
        yield base
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".base-") as scratch:
        path = Path(scratch) / "base.safetensors"
        assemble(base.contents, path, insecure=insecure)
        yield _DecodedBase(path, base)
