"""The trellis: which quantiser each state uses, and where each choice leads.

    quantiser of s = s mod 2:   0 has the even levels, 1 the odd ones
    level 2 k + q, p = k mod 2:  next state = floor(s / 2) xor (s odd: 33) xor (p = 1: 10)

Source: G. Ungerboeck, IEEE Trans. IT 28 (1982), 55-67, Table I: the code of 64 states for
amplitudes, parity checks 103 and 024 (octal), as a shift register that feeds back.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from seedpack.codecs.rans import Automaton

STATES: Final = 64  # more would bring less than 0.01 bits for twice the time of encoding
_FEEDBACK: Final = 0o103 >> 1
_INPUT: Final = 0o024 >> 1

_STATES: Final = np.arange(STATES)
TRELLIS: Final = Automaton(
    next_states=((_STATES >> 1) ^ ((_STATES & 1) * _FEEDBACK))[:, None] ^ np.array([0, _INPUT]),
    tables=_STATES & 1,
)


def _find_predecessors() -> tuple[np.ndarray, np.ndarray]:
    """Return for each state (2, states) the two that lead to it, and the labels 2 q + p."""
    order = np.argsort(TRELLIS.next_states.reshape(-1), kind="stable").reshape(STATES, 2).T
    states, inputs = order // 2, order % 2
    return states, 2 * TRELLIS.tables[states] + inputs


PREDECESSORS, LABELS = _find_predecessors()
