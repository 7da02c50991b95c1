"""A text model with its tokenizer: the teacher, and a student when it is judged.

texts ──tokenizer──> rows of token ids ──model──> states (b, t, h) ──mean over tokens──> (b, h)
                                             └──> logits, of a class with a head
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from seedpack.errors import ExtractError
from seedpack.frameworks.packages import import_torch, import_transformers
from seedpack.frameworks.running import load_model
from seedpack.frameworks.sources import LeftOut
from seedpack.frameworks.transformers_models import isolated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seedpack.frameworks.sources import AttachedFile, ModelSource

    Rows = Sequence[Sequence[int]]

_BATCH_TOKENS: Final = 2048
_MAX_TOKENS: Final = 128  # of a text; sentences are shorter
_SPECIAL_POSITIONS: Final = 2  # that some families reserve
_COMPARED_TEXTS: Final = 2000
_TOKENIZER_ERRORS: Final = (AttributeError, ImportError, KeyError, OSError, TypeError, ValueError)


class Reader(NamedTuple):
    """A model and what turns text into its input."""

    model: Any
    gives_states: bool  # output is hidden states, else logits

    def output(self, tokens: Any, mask: Any) -> Any:  # noqa: ANN401 -- tensors
        """Return hidden states or logits of one batch."""
        return self.model(input_ids=tokens, attention_mask=mask)[0]


def open_tokenizer(source: ModelSource, folder: Path) -> Any:  # noqa: ANN401 -- a tokenizer
    """Return the tokenizer of a folder whose files ``open_model`` has checked (EXT-11).

    Raises:
        ExtractError: EXT-48, no text model with tokenizer.
    """
    architecture = source.architecture
    if architecture is None or not folder.is_dir():
        raise _unfit("not a transformers folder", folder)
    if not any(file.kind == "tokenizer" for file in source.files):
        raise _unfit("no tokenizer beside the weights", folder)
    try:
        return _open_tokenizer(folder)
    except _TOKENIZER_ERRORS as error:
        raise _unfit(f"no tokenizer that loads: {error}"[:200], folder) from error


def open_reader(source: ModelSource, folder: Path) -> Reader:
    """Return the model of ``source``, which must be one that reads tokens.

    Raises:
        ExtractError: EXT-48, it reads something else, or has an encoder and a decoder.
    """
    model = load_model(source)
    if model.main_input_name != "input_ids":
        raise _unfit(f"it reads {model.main_input_name}, not text", folder)
    if model.config.is_encoder_decoder:
        raise _unfit("students of models with encoder and decoder are not possible yet", folder)
    return as_reader(model)


def as_reader(model: Any) -> Reader:  # noqa: ANN401 -- a model
    """Return ``model`` as what it answers with: a class without head gives hidden states."""
    return Reader(model, gives_states=model.base_model is model)


def encode_texts(tokenizer: Any, texts: Sequence[str], model_config: Any) -> list[list[int]]:  # noqa: ANN401
    """Return token ids of each text, cut to what the model takes and to 128 tokens."""
    positions = getattr(model_config, "max_position_embeddings", None) or _MAX_TOKENS
    limit = max(min(_MAX_TOKENS, positions - _SPECIAL_POSITIONS), 1)
    rows = tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]
    return [list(row) or [0] for row in rows]


def batches(rows: Rows, indices: Sequence[int]) -> Iterator[list[int]]:
    """Yield ``indices`` by length, as many at once as fit into a batch."""
    batch: list[int] = []
    for index in sorted(indices, key=lambda i: len(rows[i])):
        if batch and (len(batch) + 1) * len(rows[index]) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pad(rows: Rows) -> tuple[Any, Any]:
    """Return token ids (b, t) and mask (b, t), padded on the right."""
    torch = import_torch()
    longest = max(len(row) for row in rows)
    tokens = np.zeros((len(rows), longest), np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return torch.from_numpy(tokens), torch.from_numpy(mask)


def mean_states(states: Any, mask: Any) -> Any:  # noqa: ANN401 -- tensors
    """Return the mean (b, h) of states (b, t, h) over the tokens that are no padding."""
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def embed(
    reader: Reader, rows: Rows, progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Return the mean hidden state (n, h) of each row, float32."""
    torch = import_torch()
    found: np.ndarray | None = None
    done = 0
    with torch.inference_mode():
        for batch in batches(rows, range(len(rows))):
            tokens, mask = pad([rows[i] for i in batch])
            means = mean_states(reader.output(tokens, mask), mask).numpy()
            if found is None:
                found = np.zeros((len(rows), means.shape[1]), np.float32)
            found[batch] = means
            done += len(batch)
            if progress is not None:
                progress(done, len(rows))
    if found is None:
        raise ValueError("no rows")
    return found


def agreement(teacher: Reader, student: Reader, rows: Rows) -> np.ndarray:
    """Return for each row (n,) how near the student is to the teacher.

    Cosine of the mean hidden states; for a head, the share of places with the same best answer.
    """
    if teacher.gives_states:
        a, b = embed(teacher, rows), embed(student, rows)
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosines: np.ndarray = (a * b).sum(axis=1) / np.maximum(norms, 1e-12)
        return cosines
    torch = import_torch()
    shares = []
    with torch.inference_mode():
        for row in rows:
            tokens, mask = pad([row])
            best = [reader.output(tokens, mask).argmax(-1) for reader in (teacher, student)]
            shares.append(float((best[0] == best[1]).double().mean()))
    return np.array(shares)


def spare_files(
    source: ModelSource, config: str, texts: Sequence[str]
) -> tuple[tuple[AttachedFile, ...], tuple[LeftOut, ...]]:
    """Divide the files of a teacher into those its student needs and others (EXT-46).

    A tokenizer's files hold the same vocabulary several times: the largest are left out as long as
    what is left has the same vocabulary and gives the same ids of ``texts``. A card speaks of the
    teacher, not of the student.

    Args:
        source: The teacher.
        config: config.json of the student.
        texts: To compare tokenizers on.
    """
    files = [file for file in source.files if file.kind != "card"]
    left_out = [
        LeftOut(file.name, "speaks of the teacher") for file in source.files if file.kind == "card"
    ]
    sample = list(texts[:: -(-len(texts) // _COMPARED_TEXTS)])
    expected = _ids(files, config, sample)
    for file in sorted(files, key=lambda file: (-file.path.stat().st_size, file.name)):
        if file.kind != "tokenizer":
            continue
        fewer = [other for other in files if other is not file]
        if expected is not None and _ids(fewer, config, sample) == expected:
            files = fewer
            reason = "the tokenizer gives the same ids without it"
            left_out.append(LeftOut(file.name, reason))
    return tuple(files), tuple(left_out)


def _ids(files: Sequence[AttachedFile], config: str, texts: Sequence[str]) -> object:
    """Return all that the tokenizer of ``files`` does to ``texts``; None where there is none."""
    with tempfile.TemporaryDirectory(prefix="seedpack-tokenizer-") as name:
        folder = Path(name)
        (folder / "config.json").write_text(config, encoding="utf-8")
        for file in files:
            if file.kind in {"tokenizer", "config"}:
                (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.path, folder / file.name)
        try:
            tokenizer = _open_tokenizer(folder)
            ids = tokenizer(list(texts))["input_ids"]
        except _TOKENIZER_ERRORS:
            return None
    special = sorted(tokenizer.all_special_tokens)
    return type(tokenizer).__name__, tokenizer.model_max_length, tokenizer.get_vocab(), special, ids


def _open_tokenizer(folder: Path) -> Any:  # noqa: ANN401 -- a tokenizer
    with isolated():
        return import_transformers().AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )


def _unfit(message: str, folder: Path) -> ExtractError:
    return ExtractError(
        message,
        rule="EXT-48",
        where=str(folder),
        hint="students are made of text models: a transformers folder with its tokenizer",
    )
