"""The cheapest path of each lane through the trellis.

    bins of a lane --costs--> cost of each label --add, compare, select--> label of each value

All lanes at once: a row is some ten numpy calls over states and lanes. Costs are float32 and
only added and compared, so every machine finds the same paths.

Source: A. Viterbi, IEEE Trans. IT 13 (1967), 260-269; for quantisation M. W. Marcellin and
T. R. Fischer, IEEE Trans. Comm. 38 (1990), 82-93.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from seedpack.codecs.tcq.trellis import LABELS, PREDECESSORS, STATES

_LANES: Final = 128  # worked on together: 32 KiB of costs, and decisions of 16 MiB at most
_ROWS: Final = 32  # after which costs are made small again, so that float32 stays exact enough


def find_labels(bins: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Return labels 2 q + p (r, n) of the path that costs least, in each lane on its own.

    Args:
        bins: (r, n) integers.
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
    """Return which predecessor is better (r, states, n), and the costs (states, n) at the end."""
    rows, lanes = bins.shape
    own = np.empty((rows, len(costs), lanes), np.float32)
    for label, row in enumerate(costs):
        own[:, label] = row.take(bins)
    decisions = np.empty((rows, STATES, lanes), np.bool_)
    total = np.full((STATES, lanes), np.inf, np.float32)
    total[0] = 0
    first, second, step = np.empty_like(total), np.empty_like(total), np.empty_like(total)
    for row in range(rows):
        total.take(PREDECESSORS[0], 0, first, "clip")
        np.add(first, own[row].take(LABELS[0], 0, step, "clip"), first)
        total.take(PREDECESSORS[1], 0, second, "clip")
        np.add(second, own[row].take(LABELS[1], 0, step, "clip"), second)
        np.less(second, first, decisions[row])
        np.minimum(first, second, out=total)
        if row % _ROWS == 0:
            total -= total.min(axis=0)
    return decisions, total


def _go_back(decisions: np.ndarray, total: np.ndarray) -> np.ndarray:
    rows, _, lanes = decisions.shape
    labels = np.empty((rows, lanes), np.uint8)
    states, lane = total.argmin(axis=0), np.arange(lanes)
    for row in reversed(range(rows)):
        chosen = decisions[row].reshape(-1).take(states * lanes + lane)
        at = states + STATES * chosen
        labels[row] = LABELS.take(at)
        states = PREDECESSORS.take(at)
    return labels
