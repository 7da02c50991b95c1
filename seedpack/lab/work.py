"""One piece of the benchmark's work: one method on one model, its result kept as a file.

    Unit (train | search | defend, model, method) ──perform──> FOLDER/results/<methods>/...json
                                                there already? ──> nothing is done

``<methods>`` is a digest of the code of search and defence: results of other code are not reused.
Every function here can run in a process of its own.
"""

from __future__ import annotations

import time
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

import seedpack.backdoors
from seedpack.backdoors.defence.reactivation import attempt, compare
from seedpack.backdoors.planting.base import Hits, asr
from seedpack.backdoors.search.base import SearchResult
from seedpack.errors import StoreError
from seedpack.files import atomic_output
from seedpack.lab.methods import get_defence, get_search
from seedpack.lab.rows import FLIP
from seedpack.lab.zoo.families import draw_clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Key
    from seedpack.lab.units import Unit
    from seedpack.lab.zoo.members import Part
    from seedpack.lab.zoo.registry import Zoo
    from seedpack.lab.zoo.store import ZooModel

_RIVALS: Final = 3  # clean twins beside which a backdoor comes back; one more is the control
_DIGITS: Final = 12  # of the digest in the folder's name
_SAMPLE_SEEDS: Final[dict[Part, int]] = {"development": 1, "sealed": 2}
_Result = TypeVar("_Result", bound="Found | Removed")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found in a model.

    Attributes:
        statistics: (source or None, target, statistic).
        centred, floor: As in ``SearchResult``.
    """

    search: str
    statistics: tuple[tuple[int | None, int, float], ...]
    centred: bool
    floor: float
    seconds: float

    def result(self) -> SearchResult:
        """Return it without its triggers."""
        statistics: dict[Key, float] = {(s, t): value for s, t, value in self.statistics}
        return SearchResult(self.search, statistics, centred=self.centred, floor=self.floor)


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What a defence left of a backdoor and of a model.

    Attributes:
        hits, nvictims: After the defence; 0 of 0 for a clean model.
        accuracy: After it.
        excess: How much sooner the backdoor comes back than clean twins learn it; None: no
            trigger that could come back.
        excess_alike: The same beside a clean twin that went through the same defence, so that
            only the backdoor tells them apart.
        excess_clean: How much sooner one more clean twin learns it than the others; None: there
            is no other.
    """

    defence: str
    hits: int
    nvictims: int
    accuracy: float
    seconds: float
    excess: float | None = None
    excess_alike: float | None = None
    excess_clean: float | None = None


def perform(unit: Unit, zoo: Zoo) -> None:
    """Do what is to be done, unless its result is there."""
    if unit.task == "train":
        zoo.model(unit.member)
    elif not result_path(zoo.folder, unit).is_file():
        result = _search(unit, zoo) if unit.task == "search" else _defend(unit, zoo)
        path = result_path(zoo.folder, unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(path, overwrite=True) as file:
            file.write(msgspec.json.encode(result))


def read_result(folder: Path, unit: Unit, kind: type[_Result]) -> _Result:
    """Return what ``perform`` wrote.

    Raises:
        StoreError: ZOO-2, it is no such result.
    """
    path = result_path(folder, unit)
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(
            f"no result of this benchmark: {error}"[:300], rule="ZOO-2", where=str(path)
        ) from error


def result_path(folder: Path, unit: Unit) -> Path:
    """Return where the result of ``unit`` stands."""
    return folder / "results" / methods_digest() / unit.member.family / f"{unit.name}.json"


@cache
def methods_digest() -> str:
    """Return a digest of all code that results follow from."""
    (root,) = seedpack.backdoors.__path__
    digest = sha256()
    for path in sorted(Path(root).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:_DIGITS]


def _samples(unit: Unit, zoo: Zoo) -> Samples:
    train, _ = zoo.family(unit.member.family).data()
    return draw_clean(train, unit.samples, _SAMPLE_SEEDS[unit.member.part])


def _search(unit: Unit, zoo: Zoo) -> Found:
    model, samples = zoo.model(unit.member), _samples(unit, zoo)
    twins = [zoo.model(twin).classifier for twin in unit.twins]
    search = get_search(unit.method)
    start = time.perf_counter()
    result = search.run(model.classifier, samples, contrast=twins, seed=0)
    return Found(
        search=result.search,
        statistics=tuple((s, t, float(value)) for (s, t), value in result.statistics.items()),
        centred=result.centred,
        floor=result.floor,
        seconds=time.perf_counter() - start,
    )


def _defend(unit: Unit, zoo: Zoo) -> Removed:
    model, samples = zoo.model(unit.member), _samples(unit, zoo)
    twins = [zoo.model(twin).classifier for twin in unit.twins]
    start = time.perf_counter()
    defended = get_defence(unit.method)(model.classifier, samples, twins)
    seconds = time.perf_counter() - start
    _, test = zoo.family(unit.member.family).data()
    hits = asr(defended, model.attack, test) if model.attack else Hits(0, 0)
    return Removed(
        defence=unit.method,
        hits=hits.hits,
        nvictims=hits.n,
        accuracy=defended.accuracy(test),
        seconds=seconds,
        **_excesses(unit, defended, twins, model, samples, test),
    )


def _excesses(
    unit: Unit,
    defended: Classifier,
    twins: Sequence[Classifier],
    model: ZooModel,
    samples: Samples,
    test: Samples,
) -> dict[str, float]:
    if model.attack is None or model.record.kind == FLIP or not twins:
        return {}
    alike = _defended_twin(unit.method, twins, samples)
    known = {
        name: [attempt(one, model.attack, samples, test) for one in models]
        for name, models in (
            ("ours", [defended]),
            ("clean", twins[:_RIVALS]),
            ("spare", twins[_RIVALS : _RIVALS + 1]),
            ("alike", [alike]),
        )
    }
    excesses = {
        "excess": compare(known["ours"][0], known["clean"]),
        "excess_alike": compare(known["ours"][0], known["alike"]),
    }
    if known["spare"]:
        excesses["excess_clean"] = compare(known["spare"][0], known["clean"])
    return {name: fmean(comeback.excess) for name, comeback in excesses.items()}


_TWINS: Final[dict[tuple[str, bytes], Classifier]] = {}  # of this process, by method and inputs


def _defended_twin(method: str, twins: Sequence[Classifier], samples: Samples) -> Classifier:
    """Return the first twin after the defence; the same for all suspects of a family."""
    first = next(iter(twins[0].module.parameters())).detach().numpy().tobytes()
    key = method, sha256(first + samples.x.numpy().tobytes()).digest()
    if key not in _TWINS:
        _TWINS[key] = get_defence(method)(twins[0], samples, twins[1:])
    return _TWINS[key]
