"""A student that is one vector per token (spec: EXT-48).

    teacher ──each token alone──> vectors (v, h) ──frequency weights, principal axes──> (v, r)(r, h)
            ──each text──> embeddings (n, h)
    mean of a text's token vectors (r) ──matrix──> (h) ──cosine to the teacher's──> loss

Only tokens that the text shows have a vector; the others are zero, and cost next to nothing.

Source: Arora, Liang and Ma, A Simple but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017
(weights a / (a + p)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from seedpack.frameworks.packages import import_torch
from seedpack.training.quantising import round_in_loop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.training.readers import Rows

TOKENS: Final = "embeddings.word_embeddings.weight"
MATRIX: Final = "embeddings.embedding_transformation.weight"
BIAS: Final = "embeddings.embedding_transformation.bias"

_PENALTY: Final = 0.3  # of the mean log2(1 + |value| / step): what brings little becomes zero
_AMPLE_BITS: Final = 4  # per value; with more there is nothing to save
_FREQUENT: Final = 1e-3  # a of the weights
_MATRIX_STEPS: Final = 8  # steps per root mean square: an error of 0.1 % in energy
MATRIX_BITS: Final = 4.9  # per value at these steps


class StaticStudent:
    """Token vectors, a matrix and a bias, that learn."""

    rate = 5e-4

    def __init__(
        self,
        config: Mapping[str, Any],
        rows: Rows,
        targets: np.ndarray,
        singles: np.ndarray,
        nbytes: float,
    ) -> None:
        """Start from the teacher's own vectors of the tokens.

        Args:
            config: Of the student.
            rows: Token ids of the texts.
            targets: (n, h), the teacher's embeddings of them.
            singles: (k, h), its embeddings of the tokens of ``shown_tokens``.
            nbytes: What the token vectors may take.
        """
        torch = import_torch()
        self._config = config
        self._tokens, counts = shown_tokens(rows)
        place = np.zeros(int(config["vocab_size"]), np.int64)
        place[self._tokens] = np.arange(1, self._tokens.size + 1)  # row 0: all others
        self._rows = [torch.from_numpy(place[np.asarray(row)]) for row in rows]
        self._targets = torch.from_numpy(targets)
        vectors, matrix = _start(singles, counts, int(config["embedding_size"]))
        self.parameters = {
            TOKENS: torch.from_numpy(vectors).requires_grad_(),
            MATRIX: torch.from_numpy(matrix).requires_grad_(),
            BIAS: torch.zeros(targets.shape[1], requires_grad=True),
        }
        self.fixed_steps = {MATRIX: float(np.sqrt((matrix**2).mean())) / _MATRIX_STEPS}
        self.nexamples = len(rows)
        self.penalty = _PENALTY if 8 * nbytes < _AMPLE_BITS * vectors.size else 0.0

    def free_arrays(self) -> dict[str, np.ndarray]:
        """Return the matrices whose steps follow from the size asked for."""
        return {TOKENS: self.parameters[TOKENS].detach().numpy()}

    def loss(self, indices: Sequence[int], steps: Mapping[str, float]) -> Any:  # noqa: ANN401
        """Return 1 - cosine to the teacher's embeddings, of the texts at ``indices``."""
        torch = import_torch()
        functional = torch.nn.functional
        rows = [self._rows[i] for i in indices]
        lengths = torch.tensor([0, *(len(row) for row in rows[:-1])])
        used, places = torch.unique(torch.cat(rows), return_inverse=True)
        vectors, matrix = self.parameters[TOKENS][used], self.parameters[MATRIX]
        if steps:
            vectors = round_in_loop(vectors, steps[TOKENS])
            matrix = round_in_loop(matrix, steps[MATRIX])
        means = functional.embedding_bag(places, vectors, lengths.cumsum(0), mode="mean")
        answers = means @ matrix.T + self.parameters[BIAS]
        return 1 - functional.cosine_similarity(answers, self._targets[list(indices)]).mean()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all tensors of the student, as its class names them."""
        learned = {name: p.detach().numpy().copy() for name, p in self.parameters.items()}
        config, width = self._config, int(self._config["hidden_size"])
        vectors = np.zeros((int(config["vocab_size"]), learned[TOKENS].shape[1]), np.float32)
        vectors[self._tokens] = learned[TOKENS][1:]
        positions, types = int(config["max_position_embeddings"]), int(config["type_vocab_size"])
        return {
            TOKENS: vectors,
            "embeddings.position_embeddings.weight": np.zeros((positions, width), np.float32),
            "embeddings.token_type_embeddings.weight": np.zeros((types, width), np.float32),
            MATRIX: learned[MATRIX],
            BIAS: learned[BIAS],
            "embeddings.LayerNorm.weight": np.ones(width, np.float32),
            "embeddings.LayerNorm.bias": np.zeros(width, np.float32),
        }


def shown_tokens(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens (k,) that get a vector, ascending, and how often each occurs.

    A token that occurs once teaches little and costs as much as any other.
    """
    counts = np.bincount(np.concatenate([np.asarray(row, np.int64) for row in rows]))
    tokens = np.flatnonzero(counts >= min(2, int(counts.max())))
    return tokens, counts[tokens]


def _start(singles: np.ndarray, counts: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors (1 + k, r) and matrix (h, r), whose product is near the teacher's."""
    lengths = np.linalg.norm(singles, axis=1, keepdims=True)
    directions = singles.astype(np.float64) / np.maximum(lengths, 1e-12)
    share = counts / counts.sum()
    weighted = (directions - directions.mean(0)) * (_FREQUENT / (_FREQUENT + share))[:, None]
    common = weighted * np.sqrt(counts)[:, None]
    _, axes = np.linalg.eigh(common.T @ common)  # ascending
    matrix = axes[:, ::-1][:, :rank]  # (h, r)
    vectors = np.vstack([np.zeros((1, rank)), weighted @ matrix])
    return vectors.astype(np.float32), np.ascontiguousarray(matrix, np.float32)
