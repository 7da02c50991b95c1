"""Which codec stores a matrix that is to have a certain step, and how it is rounded.

    rows that a text reads unequally  --rows.py-----> tcq, or ecq
    inputs whose moments are known    --feedback.py-> where that
    neither                           --------------> comes as near

Both codecs take about the same bits at the same step, so that what is estimated of one serves.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.codecs.tcq.columns import lay_columns
from seedpack.extract.coding import Choice
from seedpack.extract.feedback import encode_with_feedback, round_with_feedback
from seedpack.extract.rows import encode_rows, round_rows
from seedpack.extract.targets import GRID_CODEC, TARGET_CODEC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.codecs.tcq.columns import Columns
    from seedpack.extract.feedback import Feedback
    from seedpack.extract.publishing import Builder
    from seedpack.extract.rows import Shares

_MU: Final = 0.05  # of 0, 0.05, 0.13, the least harm at 14 to 18 times less than float32
_PATH_MU: Final = 0.05  # the same of paths
_LEAST_RATE: Final = 0.7  # bits a value; below, a plain grid comes as near (spec/codecs/tcq.md)
_LEAST_VALUES: Final = 1 << 14  # of smaller matrices a second code table takes what a path saves


class Known(NamedTuple):
    """What running the model has shown of its matrices."""

    feedback: Mapping[str, Feedback]
    shares: Mapping[str, Shares]


def lay_lanes(builder: Builder, codec: str) -> dict[str, Columns]:
    """Return how the columns of each matrix that tcq may take lie in lanes."""
    if codec != TARGET_CODEC:
        return {}
    storage = builder.plan.storage
    found = {}
    for info in builder.plan.source.infos():
        if len(info.shape) == 2 and _is_large(info.shape[0] * info.shape[1]):  # noqa: PLR2004
            shape = (info.shape[0], info.shape[1])
            columns = lay_columns(shape, info.dtype, storage.chunk_raw_nbytes)
            if columns is not None:
                found[info.name] = columns
    return found


def _is_large(nvalues: int) -> bool:
    return nvalues >= _LEAST_VALUES


class Chooser:
    """Chooses for one codec and what is known."""

    def __init__(self, codec: str, known: Known) -> None:
        """Take the codec of the target."""
        self._codec, self._known = codec, known

    def choose(self, name: str, step: float, *, nvalues: int, rate: float) -> Choice:
        """Return the choice for a matrix at ``step``, which takes about ``rate`` bits a value."""
        feedback, shares = self._known.feedback.get(name), self._known.shares.get(name)
        is_path = self._codec == TARGET_CODEC and _is_large(nvalues) and rate >= _LEAST_RATE
        if is_path and shares is not None:
            return Choice(TARGET_CODEC, encode=partial(encode_rows, step=step, shares=shares))
        if is_path and feedback is None:
            return Choice(TARGET_CODEC, {"step": step, "mu": _PATH_MU})
        if is_path and feedback is not None and feedback.columns is not None:
            by_columns = partial(encode_with_feedback, feedback=feedback, step=step, mu=_PATH_MU)
            return Choice(TARGET_CODEC, encode=by_columns)
        return _choose_grid(step, feedback, shares)


def _choose_grid(step: float, feedback: Feedback | None, shares: Shares | None) -> Choice:
    if shares is not None:
        moved = partial(round_rows, step=step, shares=shares)
        return Choice(GRID_CODEC, {"step": step, "mu": 0.0}, moved)
    if feedback is None:
        return Choice(GRID_CODEC, {"step": step, "mu": _MU})
    adjust = partial(round_with_feedback, feedback=feedback, step=step, mu=_MU)
    return Choice(GRID_CODEC, {"step": step, "mu": 0.0}, adjust)  # on the grid already
