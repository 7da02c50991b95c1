"""The zoo's models on disk: made when they are first asked for, read afterwards.

    FOLDER/<family>/<kind>-<seed>.safetensors    model.<tensor>, trigger.<tensor>
    FOLDER/<family>/<kind>-<seed>.json           Record; written last, so it means "complete"

A model follows from its name alone (ZOO-1), so a cache can be thrown away at any time. Figures of
planted models stand beside those of a clean twin (ZOO-3).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from seedpack.backdoors.planting.base import Hits, asr
from seedpack.errors import StoreError
from seedpack.files import atomic_output

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.planting.base import Attack
    from seedpack.lab.zoo.families import Family, Planted
    from seedpack.lab.zoo.members import Member

VERSION: Final = 2  # rises when anything that models follow from is changed
_MODEL, _TRIGGER = "model.", "trigger."


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model.

    Attributes:
        samples: That it was trained on; 0: all.
        accuracy: On the measuring half, without trigger.
        target: Class that a backdoor leads to; None: clean.
        rate: Share of the training data that was poisoned; 0: weights were edited.
        hits, nvictims: How often the backdoor succeeds.
        control_hits: How often the same trigger does in a clean twin of the same random seed.
        control_accuracy: Of that twin.
        facts: What else describes the attack.
        seconds: That training took.
    """

    version: int
    family: str
    kind: str
    seed: int
    samples: int = 0
    accuracy: float
    seconds: float
    target: int | None = None
    sources: tuple[int, ...] = ()
    rate: float = 0.0
    hits: int = 0
    nvictims: int = 0
    control_hits: int = 0
    control_accuracy: float | None = None
    facts: dict[str, Any] = {}

    @property
    def asr(self) -> float:
        """Attack success rate."""
        return Hits(self.hits, self.nvictims).rate

    @property
    def control_asr(self) -> float:
        """The same in the clean twin."""
        return Hits(self.control_hits, self.nvictims).rate


@dataclass(frozen=True)
class ZooModel:
    """A model of the zoo, in evaluation mode."""

    member: Member
    record: Record
    classifier: Classifier
    attack: Attack | None


def get_model(folder: Path, family: Family, member: Member) -> ZooModel:
    """Return a model, read from ``folder`` or trained and kept there.

    Raises:
        StoreError: OUT-1, OUT-2, the folder cannot be written; ZOO-2, a file does not fit.
    """
    base = folder / member.family / member.name
    if (record := read_record(folder, member)) is not None:
        return _load(base, family, member, record)
    base.parent.mkdir(parents=True, exist_ok=True)
    return _train(base, family, member)


def read_record(folder: Path, member: Member) -> Record | None:
    """Return what is known of a model, if it has been trained.

    Raises:
        StoreError: ZOO-2, it is of another version, or no record.
    """
    path = folder / member.family / f"{member.name}.json"
    if not path.is_file():
        return None
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unfit(path, str(error)) from error
    if record.version != VERSION:
        raise _unfit(path, f"of version {record.version}")
    return record


def get_record(folder: Path, member: Member) -> Record:
    """Return what is known of a model that has been trained.

    Raises:
        StoreError: ZOO-2, it has not, or its record does not fit.
    """
    record = read_record(folder, member)
    if record is None:
        raise _unfit(folder / member.family / member.name, "not trained")
    return record


def _train(base: Path, family: Family, member: Member) -> ZooModel:
    start = time.perf_counter()
    _, test = family.data()
    if not member.is_planted:
        classifier = family.train_clean(member.seed, member.samples)
        record = _record(member, start, accuracy=classifier.accuracy(test))
        _save(base, record, classifier, {})
        return ZooModel(member, record, classifier, None)
    planted = family.plant(member.kind, member.seed)
    facts, trigger = family.describe(planted.attack)
    record = _record(member, start, facts=facts, **_measured(family, member, planted))
    _save(base, record, planted.classifier, trigger)
    return ZooModel(member, record, planted.classifier, planted.attack)


def _record(member: Member, start: float, **facts: Any) -> Record:  # noqa: ANN401 -- its fields
    seconds = round(time.perf_counter() - start, 2)
    return Record(version=VERSION, seconds=seconds, **member._asdict(), **facts)


def _measured(family: Family, member: Member, planted: Planted) -> dict[str, Any]:
    _, test = family.data()
    attack = planted.attack
    twin = family.train_clean(member.seed)
    hits, control = asr(planted.classifier, attack, test), asr(twin, attack, test)
    return {
        "accuracy": planted.classifier.accuracy(test),
        "target": attack.target,
        "sources": attack.sources,
        "rate": planted.rate,
        "hits": hits.hits,
        "nvictims": hits.n,
        "control_hits": control.hits,
        "control_accuracy": twin.accuracy(test),
    }


def _save(base: Path, record: Record, classifier: Classifier, trigger: dict[str, Tensor]) -> None:
    state = {_MODEL + n: v.contiguous() for n, v in classifier.module.state_dict().items()}
    state |= {_TRIGGER + n: v.contiguous() for n, v in trigger.items()}
    with atomic_output(base.with_suffix(".safetensors"), overwrite=True) as file:
        file.write(save(state))
    with atomic_output(base.with_suffix(".json"), overwrite=True) as file:
        file.write(msgspec.json.format(msgspec.json.encode(record)))


def _load(base: Path, family: Family, member: Member, record: Record) -> ZooModel:
    path = base.with_suffix(".safetensors")
    try:
        state = load_file(path)
        classifier = family.make(member.seed)
        classifier.module.load_state_dict(_part(state, _MODEL), strict=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise _unfit(path, str(error)) from error
    classifier.module.eval()
    if record.target is None:
        return ZooModel(member, record, classifier, None)
    trigger = _part(state, _TRIGGER)
    attack = family.attack_of(record.kind, record.target, record.sources, record.facts, trigger)
    return ZooModel(member, record, classifier, attack)


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}


def _unfit(path: Path, why: str) -> StoreError:
    return StoreError(
        f"no model of this zoo: {why}"[:300],
        rule="ZOO-2",
        where=str(path),
        hint="remove the cache folder; it is made again",
    )
