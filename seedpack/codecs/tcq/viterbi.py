"""The cheapest path of each lane through the trellis.

    bins of a lane --costs--> cost of each label --add, compare, select--> label of each value

All lanes at once: a row is four numpy calls over states and lanes forwards, and five over lanes
backwards, because most of the cost of few lanes is that of calling. Costs are float32 and only
added and compared, so every machine finds the same paths.

States stand in the order even, odd here: so each half uses one quantiser, and its costs are
added to all of it at once. A state's number in this order is its place.

Source: A. Viterbi, IEEE Trans. IT 13 (1967), 260-269; for quantisation M. W. Marcellin and
T. R. Fischer, IEEE Trans. Comm. 38 (1990), 82-93.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from seedpack.codecs.tcq.trellis import LABELS, PREDECESSORS, STATES

_LANES: Final = 128  # worked on together: 32 KiB of costs, and decisions of 16 MiB at most
_ROWS: Final = 32  # after which costs are made small again, so that float32 stays exact enough
_HALF: Final = STATES // 2
_ORDER: Final = np.r_[0:STATES:2, 1:STATES:2]  # (states,), the state of each place
_PLACES: Final = np.argsort(_ORDER)  # (states,), the place of each state
_BEFORE: Final = _PLACES[PREDECESSORS[:, _ORDER]]  # (2, states), places that lead to each place
# Of what candidates (2 parities, states) are called, so that pairs to compare stand together.
_CANDIDATES: Final = (_BEFORE + STATES * (LABELS[:, _ORDER] % 2)).reshape(-1)


def find_labels(bins: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Return labels 2 q + p (r, n) of the path that costs least, in each lane on its own.

    Args:
        bins: (r, n) integers, r >= 1.
        costs: (4, bins) float32, of each label; for each bin, one of the labels 0 and 1 and one
            of the labels 2 and 3 is finite.
    """
    labels = np.empty(bins.shape, np.uint8)
    for start in range(0, bins.shape[1], _LANES):
        some = bins[:, start : start + _LANES]
        decisions, last = _go_forward(some, costs)
        labels[:, start : start + _LANES] = _go_back(decisions, last)
    return labels


def _go_forward(bins: np.ndarray, costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which predecessor is better (r, places, n), and the costs (places, n) at the end."""
    rows, lanes = bins.shape
    own = np.empty((rows, 2, 2, 1, lanes), np.float32)  # by parity, quantiser
    for label, row in enumerate(costs):
        own[:, label % 2, label // 2, 0] = row.take(bins)
    decisions = np.empty((rows, STATES, lanes), np.bool_)
    total = np.full((STATES, lanes), np.inf, np.float32)
    total[0] = 0
    halves = total.reshape(1, 2, _HALF, lanes)
    extended = np.empty((2, 2, _HALF, lanes), np.float32)
    candidates = extended.reshape(2 * STATES, lanes)
    pairs = np.empty((2 * STATES, lanes), np.float32)
    first, second = pairs[:STATES], pairs[STATES:]
    for row in range(rows):
        np.add(halves, own[row], extended)
        candidates.take(_CANDIDATES, 0, pairs, "clip")
        np.less(second, first, decisions[row])
        np.minimum(first, second, out=total)
        if row % _ROWS == 0:
            total -= total.min(axis=0)
    return decisions, total


def _go_back(decisions: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the labels (r, n) of the paths that end where costs are least."""
    rows, _, lanes = decisions.shape
    lane = np.arange(lanes)
    # Where the predecessors of each place of each lane stand in a row: of both kinds, joined.
    before = (_BEFORE[:, :, None] * lanes + lane).reshape(-1)
    own = LABELS[:, _ORDER].astype(np.uint8).repeat(lanes, axis=1).reshape(-1)
    shifts = np.array([0, STATES * lanes])
    flat = decisions.reshape(rows, -1).view(np.uint8)
    labels = np.empty((rows, lanes), np.uint8)
    at = total.argmin(axis=0) * lanes + lane
    chosen, shift = np.empty(lanes, np.uint8), np.empty_like(at)
    for row in reversed(range(rows)):
        flat[row].take(at, None, chosen, "clip")
        shifts.take(chosen, None, shift, "clip")
        np.add(at, shift, shift)
        own.take(shift, None, labels[row], "clip")
        before.take(shift, None, at, "clip")
    return labels
