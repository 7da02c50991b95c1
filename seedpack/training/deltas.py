"""A model made of a base and few trained numbers (spec: delta.md, Trained deltas).

adapter of the model ──values of the base──> what both have
linear layers of both ─> frozen, with a low-rank update in training
what the base lacks ───> trained as it is: the head
finish ──> layers of codec delta, bytes of the new tensors; the model holds what a reader decodes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch

from seedpack.dtypes import DTYPES
from seedpack.frameworks.torch_files import bytes_of, tensor_from_bytes
from seedpack.training.lowrank import LowRankTuning, linear_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.codecs.base import Encoded
    from seedpack.codecs.delta.encoding import Origin
    from seedpack.training.numbers.distilling import Course
    from seedpack.training.tasks.base import Adapter

_BITS: Final = 4
_HEAD_RATE: Final = 1e-3  # of what the base lacks, beside the updates
_ALONE_RATE: Final = 1e-2  # of the same where nothing else moves
_OWN_TENSORS: Final = ("float16", "bfloat16", "float32")


class Slot(NamedTuple):
    """A linear layer of model and base that can have an update."""

    stored: str  # name of its weight in the model's file
    parameter: str  # its name in the adapter's model
    rows: int
    columns: int

    @property
    def most(self) -> int:
        """The highest rank that is smaller than the matrix."""
        return self.rows * self.columns // (self.rows + self.columns)


@dataclass(frozen=True)
class Anatomy:
    """Which tensors of a model are whose.

    Attributes:
        origin: How the base calls them.
        names: Of all stored tensors that the adapter's model has, the parameter.
        shared: Stored names of those that the base has, too: same shape and dtype.
        slots: Linear layers among these.
        own: Stored names of trained tensors that the base lacks, with their dtypes.
    """

    origin: Origin
    names: Mapping[str, str]
    shared: frozenset[str]
    slots: tuple[Slot, ...]
    own: Mapping[str, str]


def dissect(
    adapter: Adapter, origin: Origin, dtypes: Mapping[str, str], shared: frozenset[str]
) -> Anatomy:
    """Return the anatomy of the adapter's model.

    Args:
        adapter: Of the model.
        origin: How the base calls its tensors.
        dtypes: Of all stored tensors, by name.
        shared: Names of those that the base has with the same dtype and shape, finite.
    """
    names = adapter.parameter_names(list(dtypes))
    linear, trainable = linear_shapes(adapter.model), dict(adapter.model.named_parameters())
    slots = [
        Slot(stored, name, *linear[name])
        for stored, name in names.items()
        if stored in shared and name in linear and dtypes[stored] in _OWN_TENSORS
    ]
    own = {
        stored: dtypes[stored]
        for stored, name in names.items()
        if stored not in shared and name in trainable and dtypes[stored] in _OWN_TENSORS
    }
    return Anatomy(origin, names, shared, tuple(slot for slot in slots if slot.most), own)


class Finished(NamedTuple):
    """What a seed holds of a training."""

    layers: dict[str, Encoded]  # by stored name
    own: dict[str, bytes]  # the bytes of new tensors, by stored name


class DeltaPupil:
    """A model in training."""

    def __init__(
        self,
        adapter: Adapter,
        anatomy: Anatomy,
        ranks: Mapping[str, int],
        *,
        dtypes: Mapping[str, str],
        seed: int,
    ) -> None:
        """Put updates on ``adapter``'s model, whose shared tensors hold the base's values.

        Args:
            adapter: A copy for this training alone.
            anatomy: Of it.
            ranks: By stored name; none of any trains the head alone.
            dtypes: Of stored tensors.
            seed: Of the drawn factors.
        """
        self.adapter = adapter
        self._anatomy, self._dtypes = anatomy, dtypes
        by_name = {slot.parameter: ranks.get(slot.stored, 0) for slot in anatomy.slots}
        self._stored = {slot.parameter: slot.stored for slot in anatomy.slots}
        own = [adapter.model.get_parameter(anatomy.names[name]) for name in anatomy.own]
        self._tuning = LowRankTuning(adapter.model, rank=by_name, bits=_BITS, seed=seed)
        self._own = own
        for parameter in own:
            parameter.requires_grad = True

    def groups(self, course: Course) -> list[dict[str, Any]]:
        """Return what is trained, how fast."""
        updates = self._tuning.groups(course.rate)
        rate = _HEAD_RATE if updates else _ALONE_RATE
        return [*updates, *([{"params": self._own, "lr": rate}] if self._own else [])]

    def finish(self) -> Finished:
        """Return what is stored, and leave in the model what a reader decodes (EXT-71)."""
        encoded = self._tuning.finish(self._anatomy.origin)
        layers = {self._stored[name]: layer for name, layer in encoded.items()}
        own = {}
        for stored in (*layers, *self._anatomy.own):
            parameter = self.adapter.model.get_parameter(self._anatomy.names[stored])
            rounded = parameter.detach().to(getattr(torch, self._dtypes[stored]))
            if stored not in layers:
                own[stored] = bytes(bytes_of(rounded))
            with torch.no_grad():
                parameter.copy_(rounded.to(parameter.dtype))
        return Finished(layers, own)


def load_values(
    adapter: Adapter, names: Mapping[str, str], dtypes: Mapping[str, str], values: Mapping[str, Any]
) -> None:
    """Copy stored tensors into the adapter's model.

    Args:
        adapter: Changed.
        names: Stored name to parameter or buffer.
        dtypes: Of stored tensors.
        values: Arrays or bytes of stored elements, by stored name; others stay.
    """
    state = adapter.model.state_dict()
    for stored, value in values.items():
        if stored in names:
            target = state[names[stored]]
            data = value.tobytes() if isinstance(value, np.ndarray) else value
            given = tensor_from_bytes(DTYPES[dtypes[stored]], tuple(target.shape), data)
            with torch.no_grad():
                target.copy_(given.to(target.dtype))
