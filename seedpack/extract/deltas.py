"""A model that was tuned from a base becomes a delta seed (spec: delta.md, extract.md).

MODEL, BASE --names--> Origin: which tensor of the base each tensor came from
each tensor --differences--> offers: bytes and lost energy
target | share of energy --search--> lambda --> one offer each: least error + lambda * bytes
offers --codec delta--> layers  ┐
new tensors --raw or ecq------> ├─ publish, with the base's digest
files that the base lacks ----> ┘
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, Unpack

from seedpack.codecs.delta.encoding import Origin
from seedpack.container.manifest import Base
from seedpack.errors import ExtractError
from seedpack.extract.coding import Choice, Coding
from seedpack.extract.differences import Difference, Offer, compare, subtract
from seedpack.extract.publication import Publication
from seedpack.extract.publishing import publish_as
from seedpack.extract.targets import check_target, make_target
from seedpack.frameworks import LeftOut, open_model
from seedpack.limits import MAX_TEXT_NBYTES
from seedpack.seed.base import share_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import numpy as np

    from seedpack.codecs.base import BaseTensors, Encoded
    from seedpack.extract.building import Built
    from seedpack.extract.publication import PublicationOptions
    from seedpack.extract.publishing import Builder
    from seedpack.extract.report import ExtractReport
    from seedpack.extract.targets import Target
    from seedpack.frameworks import ModelSource
    from seedpack.seed.base import Base as BaseModel

DELTA: Final = "delta"
_LOST_SHARE: Final = 0.1  # of each model's energy of differences, where no size is asked for
_OCTAVE: Final = 64  # levels
_LEVELS: Final = range(-20 * _OCTAVE, 20 * _OCTAVE)  # lambda = 2^(level / 64) x energy per byte
_MAX_ROUNDS: Final = 10
_MAX_PREFIXES: Final = 64
# Of transformers: under which of them a base may hold what the model has without its head.
_PREFIXES: Final = ("bert.", "roberta.", "distilbert.", "model.", "transformer.", "vit.")


def extract_delta(  # noqa: PLR0913 -- each is an option of the command
    model: Path,
    output: Path,
    *,
    base: BaseModel,
    name: str,
    base_name: str | None = None,
    ratio: float | None = None,
    max_nbytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Unpack[PublicationOptions],
) -> ExtractReport:
    """Write what makes ``model`` differ from ``base``, as a seed.

    Args:
        model: A transformers folder, a ``.safetensors`` file or a state dict.
        output: The container; it appears when it is complete.
        base: What ``model`` was tuned from, as ``ModelBase`` or ``SeedBase`` open it.
        name: Seed name (MAN-11).
        base_name: For people, who have to find the base; default: what it is called here.
        ratio: Bytes of all tensors over bytes of the file, hit within 2 %.
        max_nbytes: Size that the file never exceeds. Without either, differences of low rank
            are kept nearly exactly, and nine tenths of the energy of all others.
        progress: Called with bytes done and bytes in all, anew for each round.
        options: How it is published: see ``Publication``.

    Raises:
        ExtractError: EXT; EXT-40, nothing of the model comes from the base.
        StoreError: OUT, the output cannot be written; FIL, an input cannot be read.
        ValueError: Both targets, or one out of range (wrong call).
    """
    check_target("ecq", ratio, max_nbytes)
    publication = Publication(name=name, **options)
    source, recipe = leave_files(open_model(model), base, publication.digest_algorithm)
    target = make_target(ratio, max_nbytes, sum(info.nbytes for info in source.infos()))
    differences = _compare_all(source, base)
    record = Base(digest=base.digest(publication.digest_algorithm), name=base_name or base.name)
    search = _Search(source, base, differences, recipe)
    return publish_as(
        source,
        output,
        publication,
        lambda builder: search.run(builder, target),
        base=record,
        progress=progress,
    )


def find_origin(source: ModelSource, base: BaseTensors) -> Origin:
    """Return how names of the model become names of the base: the way that fits most tensors.

    A task's class puts what it was made from under a prefix (``bert.``), or leaves it out.
    """
    infos = source.infos()
    names = [info.name for info in infos]
    dots = {name[: at + 1] for name in names for at in _dots(name)}
    origins = [
        Origin(),
        *(Origin(skip=len(prefix)) for prefix in sorted(dots, key=len)[:_MAX_PREFIXES]),
    ]
    origins += [Origin(prefix=prefix) for prefix in _PREFIXES]

    def fitting(origin: Origin) -> int:
        return sum(
            base.describe(origin.name(info.name)) == (info.dtype, info.shape) for info in infos
        )

    best = max(origins, key=fitting)
    if not fitting(best):
        raise ExtractError(
            "no tensor of the model has the name and shape of one of the base",
            rule="EXT-40",
            where="base",
            hint="give the very model that this one was tuned from",
        )
    return best


def _dots(name: str) -> Iterable[int]:
    return (at for at, character in enumerate(name) if character == ".")


def leave_files(
    source: ModelSource, base: BaseModel, algorithm: str
) -> tuple[ModelSource, dict[str, int | str]]:
    """Return the source less the files of the base, and what the recipe says of them (BAS-7)."""
    files = base.files()
    same = {f.name for f in source.files if files.get(f.name) == f.path.read_bytes()}
    if not same or len(" ".join(same).encode()) > MAX_TEXT_NBYTES:  # the most of a recipe's text
        return source, {}
    left_out = [LeftOut(name, "the base has it") for name in sorted(same)]
    source = replace(
        source,
        files=tuple(file for file in source.files if file.name not in same),
        left_out=(*source.left_out, *left_out),
    )
    return source, share_files(algorithm, files, same)


def _compare_all(source: ModelSource, base: BaseTensors) -> dict[str, Difference]:
    origin = find_origin(source, base)
    found = ((tensor.name, compare(tensor, base, origin)) for tensor in source.tensors())
    return {name: difference for name, difference in found if difference is not None}


class _Chosen(NamedTuple):
    offers: dict[str, Offer]
    nbytes: float
    error: float


class _Search:
    """Builds seeds until one is as asked for."""

    def __init__(
        self,
        source: ModelSource,
        base: BaseTensors,
        differences: Mapping[str, Difference],
        recipe: Mapping[str, int | str],
    ) -> None:
        self._recipe = recipe
        self._source = source
        self._base = base
        self._differences = differences
        self._energy = sum(found.offers[0].error for found in differences.values())
        self._unit = self._energy / max(sum(info.nbytes for info in source.infos()), 1)
        self._cache: dict[tuple[str, Offer], Encoded] = {}

    def run(self, builder: Builder, target: Target | None) -> Built:
        """Return the seed that ``target`` asks for, or the small and faithful one."""
        if target is None:
            return self._build(builder, self._faithful(), {})
        overhead = self._overhead(builder)
        tried: dict[int, int] = {}
        for _ in range(_MAX_ROUNDS):
            level = _between(self._level_for(target.aim - overhead), tried, target)
            if level is None:
                break
            chosen = self._choose(level)
            built = self._build(builder, chosen, {"target": target.text})
            tried[level] = built.report.file_nbytes
            if target.is_met_well(tried[level]):
                break
            overhead = tried[level] - chosen.nbytes
        return self._settle(builder, target, tried)

    def _settle(self, builder: Builder, target: Target, tried: Mapping[int, int]) -> Built:
        """Return the best of what was tried, built anew where it was not the last one."""
        allowed = {level: size for level, size in tried.items() if target.allows(size)}
        if not allowed:
            raise self._unreachable(builder, target)
        best = min(allowed, key=lambda level: abs(allowed[level] - target.aim))
        built = self._build(builder, self._choose(best), {"target": target.text})
        return built._replace(report=replace(built.report, target=target.text))

    def _unreachable(self, builder: Builder, target: Target) -> ExtractError:
        smallest = self._build(builder, self._choose(_LEVELS[-1]), {}).report.file_nbytes
        finest = self._choose(_LEVELS[0])
        largest = self._build(builder, finest, {}).report.file_nbytes
        return ExtractError(
            f"{target.text} is a file of {target.nbytes:.0f} bytes, "
            f"reachable are about {smallest} to {largest}",
            rule="EXT-18",
            where="target",
            hint=f"ask for {smallest} to {largest} bytes, or for no size",
        )

    def _choose(self, level: int) -> _Chosen:
        """Return for each tensor the offer of least error + lambda x bytes."""
        price = self._unit * 2.0 ** (level / _OCTAVE)
        offers = {
            name: min(found.offers, key=lambda offer: offer.error + price * offer.nbytes)
            for name, found in self._differences.items()
        }
        return _sum(offers)

    def _level_for(self, nbytes: float) -> int:
        """Return the finest level whose offers take at most about ``nbytes``."""
        low, high = _LEVELS[0], _LEVELS[-1]
        while low < high:
            middle = (low + high) // 2
            if self._choose(middle).nbytes > nbytes:
                low = middle + 1
            else:
                high = middle
        return low

    def _faithful(self) -> _Chosen:
        """Return what loses a tenth of the energy, and nothing of a product."""
        low, high = _LEVELS[0], _LEVELS[-1]
        while low < high:
            middle = (low + high + 1) // 2
            if self._choose(middle).error > _LOST_SHARE * self._energy:
                high = middle - 1
            else:
                low = middle
        offers = self._choose(low).offers
        for name, found in self._differences.items():
            exact = [o for o in found.offers if o.rank and o.rank == found.exact_rank]
            if exact:
                offers[name] = min(exact, key=lambda offer: offer.error)
        return _sum(offers)

    def _overhead(self, builder: Builder) -> float:
        """Return what a seed without any difference takes."""
        nothing = _sum({name: found.offers[0] for name, found in self._differences.items()})
        return self._build(builder, nothing, {}).report.file_nbytes

    def _build(self, builder: Builder, chosen: _Chosen, recipe: Mapping[str, str]) -> Built:
        layers: dict[str, Choice | Encoded] = {
            name: self._encode(name, offer, builder.plan.storage.chunk_raw_nbytes)
            for name, offer in chosen.offers.items()
        }
        kept = 1 - chosen.error / self._energy if self._energy else 1.0
        notes = {"kept": f"{math.floor(kept * 1000) / 10} % of the energy of differences"}
        coding = Coding(DELTA, layers, self._base)
        return builder.build(coding, {**self._recipe, **notes, **recipe})

    def _encode(self, name: str, offer: Offer, chunk_raw_nbytes: int) -> Encoded:
        if (name, offer) not in self._cache:
            found = self._differences[name]

            def read() -> np.ndarray:
                return subtract(self._source.weights.read(name), self._base, found.origin)

            self._cache[name, offer] = found.encode(offer, read, chunk_raw_nbytes=chunk_raw_nbytes)
        return self._cache[name, offer]


def _sum(offers: dict[str, Offer]) -> _Chosen:
    return _Chosen(
        offers,
        sum(offer.nbytes for offer in offers.values()),
        sum(offer.error for offer in offers.values()),
    )


def _between(wanted: int, tried: Mapping[int, int], target: Target) -> int | None:
    """Return a level between those known to be too fine and too coarse; None if there is none."""
    too_fine = [level for level, size in tried.items() if size > target.aim]
    too_coarse = [level for level, size in tried.items() if size <= target.aim]
    lowest = max(too_fine, default=_LEVELS[0] - 1) + 1
    highest = min(too_coarse, default=_LEVELS[-1] + 1) - 1
    return min(max(wanted, lowest), highest) if lowest <= highest else None
