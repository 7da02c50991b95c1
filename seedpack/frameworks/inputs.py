"""What a model is run on: random tokens, or text of the user's, in three parts.

Random tokens are uniform over the vocabulary, 32 in a row, the first and last of a row those
that the tokenizer puts around a text. Text is shuffled; every fifth line is held out.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from seedpack.errors import ExtractError
from seedpack.frameworks.packages import import_torch, import_transformers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.frameworks.sources import ModelSource

RANDOM: Final = "random tokens"
TEXT: Final = "calibration text"

_NTOKENS: Final = 32  # of a row of random tokens
_PROBE_ROWS, _MOMENT_ROWS, _HELD_OUT_ROWS = 8, 96, 32
_MOMENT_TEXTS, _HELD_OUT_TEXTS = 1000, 100
_COUNTED_TEXTS: Final = 50_000
_ROWS: Final = 32  # run at once
_MAX_TOKENS: Final = 64  # of a text
_SPECIAL_POSITIONS: Final = 2  # that some families reserve
_HELD_OUT: Final = 5  # every fifth


class Inputs(NamedTuple):
    """Batches by use; what is held out serves nothing else."""

    kind: str  # RANDOM or TEXT
    probe: list[Mapping[str, Any]]
    moments: list[Mapping[str, Any]]
    held_out: list[Mapping[str, Any]]
    tokens: np.ndarray | None = None  # (vocabulary,) how often each occurs in the other texts


def make_inputs(
    model: Any,  # noqa: ANN401 -- a model
    source: ModelSource,
    calibration: Sequence[str] | None,
) -> Inputs | None:
    """Return inputs; None where the model takes something else than text.

    Raises:
        ExtractError: EXT-61, there is no tokenizer for the texts.
    """
    config = model.config
    vocabulary = getattr(config, "vocab_size", None)
    if model.main_input_name != "input_ids" or config.is_encoder_decoder or not vocabulary:
        return None
    positions = getattr(config, "max_position_embeddings", None) or _MAX_TOKENS
    longest = max(positions - _SPECIAL_POSITIONS, 1)
    tokenizer = _open_tokenizer(source)
    if calibration is not None:
        if tokenizer is None:
            raise ExtractError(
                "the model has no tokenizer to read text with", rule="EXT-61", where="calibration"
            )
        texts = _tokenize(tokenizer, calibration, min(longest, _MAX_TOKENS), int(vocabulary))
    around = [] if tokenizer is None else list(tokenizer("")["input_ids"])
    shape = min(_NTOKENS, longest), int(vocabulary)
    if calibration is not None:
        # A few texts show few rows of an embedding: its harm is seen on tokens of all kinds.
        return texts._replace(probe=_draw(0, _PROBE_ROWS, *shape, around))
    return Inputs(
        RANDOM,
        _draw(0, _PROBE_ROWS, *shape, around),
        _draw(1, _MOMENT_ROWS, *shape, around),
        _draw(2, _HELD_OUT_ROWS, *shape, around),
    )


def _draw(
    seed: int, nrows: int, ntokens: int, vocabulary: int, around: Sequence[int]
) -> list[Mapping[str, Any]]:
    torch = import_torch()
    generator = np.random.Generator(np.random.PCG64(seed))
    ids = generator.integers(vocabulary, size=(nrows, ntokens))
    if len(around) == 2 and ntokens > len(around) and max(around) < vocabulary:  # noqa: PLR2004
        ids[:, 0], ids[:, -1] = around
    batches = [torch.from_numpy(ids[start : start + _ROWS]) for start in range(0, nrows, _ROWS)]
    return [{"input_ids": rows, "attention_mask": torch.ones_like(rows)} for rows in batches]


def _tokenize(
    tokenizer: Any,  # noqa: ANN401 -- a tokenizer
    texts: Sequence[str],
    longest: int,
    vocabulary: int,
) -> Inputs:
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(texts)).tolist()
    held_out = [texts[at] for at in order[::_HELD_OUT]][:_HELD_OUT_TEXTS]
    held = set(held_out)  # a line that occurs twice is on one side only
    others = [texts[at] for at in order if texts[at] not in held]

    def batches(part: Sequence[str]) -> list[Mapping[str, Any]]:
        ordered = sorted(part, key=lambda text: (len(text), text))  # little padding
        rows = [ordered[start : start + _ROWS] for start in range(0, len(ordered), _ROWS)]
        return [
            tokenizer(
                each,
                padding=len(each) > 1,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
                return_token_type_ids=False,
            )
            for each in rows
        ]

    return Inputs(
        TEXT,
        [],
        batches(others[:_MOMENT_TEXTS]),
        batches(held_out),
        _count(tokenizer, others[:_COUNTED_TEXTS], longest, vocabulary),
    )


def _count(tokenizer: Any, texts: Sequence[str], longest: int, vocabulary: int) -> np.ndarray:  # noqa: ANN401
    rows = tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]
    ids = np.fromiter((token for row in rows for token in row), np.int64)
    return np.bincount(ids[ids < vocabulary], minlength=vocabulary)


def _open_tokenizer(source: ModelSource) -> Any:  # noqa: ANN401 -- a tokenizer
    """Return the tokenizer beside the weights; None where there is none that loads."""
    folders = {
        file.path.parent
        for file in source.files
        if file.kind == "tokenizer" and len(PurePosixPath(file.name).parts) == 1
    }
    if not folders:
        return None
    transformers = import_transformers()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(folders.pop()), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, LookupError, TypeError, ImportError, AttributeError):
        return None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer
