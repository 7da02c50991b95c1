"""Rounding that lets later columns make up for what earlier ones lost (spec: EXT-60).

    codec ecq: every value to the grid              round_with_feedback -> values
    codec tcq: whole columns, by their best paths   encode_with_feedback -> stored form

    minimise  tr (W - Q) H (W - Q)^T,   H = E[x x^T],  Q on a uniform grid
    column by column:  q = round(w);  w' += (w - q) * R[j, j'] / -R[j, j] for later columns j'
    H^-1 = R^T R, R upper triangular; columns of large H first

Source: GPTQ, Frantar, Ashkboos, Hoefler and Alistarh, ICLR 2023 (arXiv 2210.17323), section 3;
here the grid is the entropy coder's, and rounding counts bits (``ecq`` page, mu).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.ecq.levels import find_thresholds
from seedpack.codecs.tcq.columns import ColumnCoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.codecs.base import Encoded
    from seedpack.codecs.tcq.columns import Columns
    from seedpack.dtypes import DType

_DAMPING: Final = 0.05  # of the mean diagonal: the moments are of other inputs than life's
_BLOCK: Final = 128  # columns after which all later ones are updated at once
# Lanes whose paths are found at once do not make up for each other. Of a 24th of all lanes that
# costs 0.02 bits or less; fewer than 8 take as long as 8, and more than 64 save no more time.
_TURNS: Final = 24
_LEAST_LANES, _MOST_LANES = 8, 64


class Feedback(NamedTuple):
    """What a column's error is spread by."""

    order: np.ndarray  # (i,) columns, as they are rounded
    spread: np.ndarray  # (i, i) float32, R with its rows over their diagonal
    columns: Columns | None = None  # in whose lanes codec tcq can have them, together in ``order``


def prepare_feedback(
    moments: Mapping[str, np.ndarray], lanes: Mapping[str, Columns] = MappingProxyType({})
) -> dict[str, Feedback]:
    """Return the feedback of second moments (i, i); without those that have none.

    Args:
        moments: By name of the matrix.
        lanes: Of those that codec tcq will store.

    Cost:
        O(i^3) time.
    """
    prepared = {name: _prepare(moment, lanes.get(name)) for name, moment in moments.items()}
    return {name: found for name, found in prepared.items() if found is not None}


def _prepare(moment: np.ndarray, columns: Columns | None) -> Feedback | None:
    exact = moment.astype(np.float64)
    diagonal = np.diag(exact)
    if not np.isfinite(exact).all() or not diagonal.any():
        return None
    order = np.argsort(-diagonal, kind="stable")
    if columns is not None:
        seen = diagonal.reshape(columns.together, columns.lanes).sum(0)
        order = columns.of_lanes(np.argsort(-seen, kind="stable")).reshape(-1)
    damped = exact[np.ix_(order, order)]
    damped[np.diag_indices_from(damped)] += _DAMPING * diagonal.mean()
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T  # R
    return Feedback(order, (upper / np.diag(upper)[:, None]).astype(np.float32), columns)


def round_with_feedback(
    weight: np.ndarray, feedback: Feedback, step: float, mu: float
) -> np.ndarray:
    """Return values (o, i), multiples of ``step``, that act like ``weight``.

    Args:
        weight: (o, i) float32, finite.
        feedback: Of i columns.
        step: Distance between levels.
        mu: What a bit is worth, in squared steps.

    Cost:
        O(o * i^2) time, mostly matrix products.
    """
    thresholds = find_thresholds(weight.ravel(), step, mu)
    rest = weight[:, feedback.order]  # (o, i)
    rounded = np.empty_like(rest)
    ncolumns = rest.shape[1]
    for start in range(0, ncolumns, _BLOCK):
        end = min(start + _BLOCK, ncolumns)
        errors = np.empty((end - start, rest.shape[0]), np.float32)
        block = np.ascontiguousarray(rest[:, start:end].T)  # (columns, o): rows are quick
        for at in range(end - start):
            rounded[:, start + at] = _round(block[at], step, thresholds)
            errors[at] = block[at] - rounded[:, start + at]
            later = feedback.spread[start + at, start + at + 1 : end]
            block[at + 1 :] -= later[:, None] * errors[at]
        rest[:, end:] -= errors.T @ feedback.spread[start:end, end:]
    values = np.empty_like(rounded)
    values[:, feedback.order] = rounded
    return values


def encode_with_feedback(
    weight: np.ndarray,
    dtype: DType,
    chunk_raw_nbytes: int,
    *,
    feedback: Feedback,
    step: float,
    mu: float,
) -> Encoded | None:
    """Return the form that codec tcq gives a matrix (o, i) that acts like ``weight``.

    Args:
        weight: (o, i) float32, finite.
        dtype: Of the tensor.
        chunk_raw_nbytes: As for any codec, and as for the lanes of ``feedback``.
        feedback: Of i columns, with lanes.
        step: Of the codec.
        mu: What a bit is worth, in squared steps.

    Cost:
        O(o * i^2) time, mostly matrix products, and that of the codec, three times as long as
        without feedback where there are few lanes.
    """
    columns = feedback.columns
    if columns is None:
        raise ValueError("feedback without lanes")
    coder = ColumnCoder(weight, dtype, step, mu, columns)
    rest = weight.T[feedback.order]  # (i, o), a copy
    lanes = feedback.order[:: columns.together]
    turn = min(max(columns.lanes // _TURNS, _LEAST_LANES), _MOST_LANES)
    for first in range(0, columns.lanes, turn):
        some = lanes[first : first + turn]
        start = first * columns.together
        end = start + some.size * columns.together
        targets = rest[start:end]
        errors = targets - coder.code(some, targets)
        own, later = feedback.spread[start:end, start:end], feedback.spread[start:end, end:]
        rest[end:] -= np.linalg.solve(own, later).T @ errors
    return coder.finish(chunk_raw_nbytes=chunk_raw_nbytes)


def _round(column: np.ndarray, step: float, thresholds: np.ndarray) -> np.ndarray:
    steps = np.abs(column, dtype=np.float64) / step
    nearest = np.rint(steps)
    lowered = nearest - (steps < thresholds.take(nearest.astype(np.int64), mode="clip"))
    return np.asarray(np.copysign(lowered * step, column), np.float32)
