"""One piece of the benchmark's work: one method on one model, its result kept as a file.

    Unit (train | search | defend, model, method) ──perform──> FOLDER/results/<methods>/...json
                                                there already? ──> nothing is done

``<methods>`` is a digest of the code of search and defence: results of other code are not reused.
Every function here can run in a process of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from seedpack.backdoors.edition import code_digest
from seedpack.backdoors.search.statistics import Statistics
from seedpack.errors import StoreError
from seedpack.files import atomic_output
from seedpack.lab.beside import Stand, beside
from seedpack.lab.effects import Effect, effect_of
from seedpack.lab.methods import get_defence, get_search
from seedpack.lab.zoo.families import draw_clean

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.backdoors.classifiers import Samples
    from seedpack.lab.units import Unit
    from seedpack.lab.zoo.members import Part
    from seedpack.lab.zoo.registry import Zoo

_EDITIONS: Final = {"train": "", "search": "", "defend": "-3"}  # others when results say more
_SAMPLE_SEEDS: Final[dict[Part, int]] = {"development": 1, "sealed": 2}
_Result = TypeVar("_Result", bound="Found | Removed")


class Found(Statistics, frozen=True, kw_only=True):
    """What a search found in a model, and how long it took."""

    seconds: float


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What a defence left of a backdoor and of a model.

    Attributes:
        accuracy: After the defence.
        trigger: What the trigger does after it; to no victim of a clean model.
        trigger_alike: The same in a clean twin that went through the same defence.
        trigger_clean: The same in the clean twin of ``excess_clean``.
        trigger_twins: The same in the other clean twins, undefended: the control of effects.
        excess: How much sooner the backdoor comes back than clean twins learn it; None: no
            trigger that could come back, or a pretrained encoder.
        excess_alike: The same beside a clean twin that went through the same defence, so that
            only the backdoor tells them apart.
        excess_clean: How much sooner one more clean twin learns it than the others; None: there
            is no other.
        excess_unseen: As ``excess``, where the attacker's samples are new to all models.
        excess_unseen_clean: As ``excess_clean``, with those samples.
    """

    defence: str
    accuracy: float
    seconds: float
    trigger: Effect
    trigger_alike: Effect | None = None
    trigger_clean: Effect | None = None
    trigger_twins: tuple[Effect, ...] = ()
    excess: float | None = None
    excess_alike: float | None = None
    excess_clean: float | None = None
    excess_unseen: float | None = None
    excess_unseen_clean: float | None = None


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
    name = f"{unit.name}{_EDITIONS[unit.task]}.json"
    return folder / "results" / code_digest() / unit.member.family / name


def _samples(unit: Unit, zoo: Zoo) -> Samples:
    train, _ = zoo.family(unit.member.family).data()
    return draw_clean(train, unit.samples, _SAMPLE_SEEDS[unit.member.part])


def _search(unit: Unit, zoo: Zoo) -> Found:
    model, samples = zoo.model(unit.member), _samples(unit, zoo)
    twins = [zoo.model(twin).classifier for twin in unit.twins]
    search = get_search(unit.method)
    start = time.perf_counter()
    result = search.run(model.classifier, samples, contrast=twins, seed=0)
    return Found.of(result, seconds=time.perf_counter() - start)


def _defend(unit: Unit, zoo: Zoo) -> Removed:
    model, samples = zoo.model(unit.member), _samples(unit, zoo)
    twins = [zoo.model(twin).classifier for twin in unit.twins]
    family = zoo.family(unit.member.family)
    reference = family.reference(samples, twins)
    start = time.perf_counter()
    defended = get_defence(unit.method)(model.classifier, samples, twins, reference)
    seconds = time.perf_counter() - start
    _, test = family.data()
    return Removed(
        defence=unit.method,
        accuracy=defended.accuracy(test),
        seconds=seconds,
        trigger=effect_of(defended, model.attack, test) if model.attack else Effect(0, 0, 0),
        **beside(Stand(unit.method, family, twins, samples, test), model, defended),
    )
