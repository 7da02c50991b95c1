"""A data set of the `datasets` library, by its id (spec: TRN-11, TRN-12).

OWNER/NAME[:CONFIG][@SPLIT] ──plain data files only, no loading script──> Examples
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from seedpack.errors import TrainingError
from seedpack.training.documents import check_answer
from seedpack.training.examples import (
    MAX_ARRAYS_NBYTES,
    MAX_EXAMPLES,
    Answer,
    Examples,
    Question,
)
from seedpack.training.packages import import_package
from seedpack.training.tables import LABEL_NAMES, TEXT_NAMES, as_label, check_text, find_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.training.examples import Columns, Form

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}"
_ID: Final = re.compile(rf"\A({_PART}/{_PART})(?::({_PART}))?(?:@({_PART}))?\Z")
_ENDINGS: Final = (".tsv", ".csv", ".jsonl", ".json", ".txt", ".conll", ".bio", ".npz")
_FIRST_SCRIPTLESS: Final = 4  # major version of datasets; older ones could run a script


def is_dataset_id(text: str) -> bool:
    """Return whether ``text`` can be the id of a data set, rather than a path mistyped."""
    return bool(_ID.match(text)) and not text.lower().endswith(_ENDINGS)


def read_dataset(text: str, forms: tuple[Form, ...], columns: Columns) -> Examples:
    """Read a split (default: train) of a data set.

    Raises:
        TrainingError: TRN-1, it cannot be had; TRN-2, too large; TRN-4, TRN-7, its columns do not
            fit the task; TRN-12, the package is missing or too old.
    """
    match = _ID.match(text)
    if match is None:
        raise ValueError(text)
    rows = _load(match[1], match[2], match[3] or "train", where=text)
    for form in forms:
        reader = _READERS.get(form)
        if reader is not None:
            return reader(rows, columns, text)
    raise TrainingError("the task takes no data set by its id", rule="TRN-7", where=text)


def _load(name: str, config: str | None, split: str, *, where: str) -> Any:  # noqa: ANN401
    datasets = _import_datasets()
    try:
        # No trust_remote_code: since version 4 the library has no way to run a script.
        builder = datasets.load_dataset_builder(name, config)
        if (builder.info.dataset_size or 0) > MAX_ARRAYS_NBYTES:
            raise TrainingError(
                f"{builder.info.dataset_size} bytes", rule="TRN-2", where=where, hint="give a file"
            )
        rows = datasets.load_dataset(name, config, split=split)
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"cannot load: {reason}"[:300],
            rule="TRN-1",
            where=where,
            hint="the hub is unreachable, or there is no such data set, configuration or split",
        ) from error
    if len(rows) > MAX_EXAMPLES:
        raise TrainingError(f"{len(rows)} examples", rule="TRN-2", where=where)
    return rows


def _import_datasets() -> Any:  # noqa: ANN401 -- a module
    datasets = import_package("datasets", extra="datasets")
    if int(datasets.__version__.partition(".")[0]) < _FIRST_SCRIPTLESS:
        raise TrainingError("too old", rule="TRN-12", where="datasets", hint="version 4 or later")
    return datasets


def _column(rows: Any, given: str, usual: Sequence[str], where: str) -> list[Any]:  # noqa: ANN401
    name = find_name(rows.column_names, given, usual)
    if name is None:
        raise TrainingError(
            f"no column {given or ' or '.join(usual[:2])}",
            rule="TRN-4",
            where=where,
            hint=f"it has {', '.join(rows.column_names)}"[:300],
        )
    feature = rows.features[name]
    names = getattr(getattr(feature, "feature", feature), "names", None)
    values = list(rows[name])
    if names is None:
        return values
    return [_named(value, names) for value in values]


def _named(value: Any, names: Sequence[str]) -> Any:  # noqa: ANN401 -- class numbers, also in lists
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def _read_texts(rows: Any, columns: Columns, where: str) -> Examples:  # noqa: ANN401
    texts = _column(rows, columns.text, TEXT_NAMES, where)
    labels = _column(rows, columns.label, LABEL_NAMES, where)
    inputs = [check_text(text, where) for text in texts]
    return Examples("texts", inputs, [as_label(label, where) for label in labels], where)


def _read_tokens(rows: Any, columns: Columns, where: str) -> Examples:  # noqa: ANN401
    tokens = _column(rows, columns.text, ("tokens", "words"), where)
    tags = _column(rows, columns.label, ("ner_tags", "tags", "pos_tags"), where)
    for sentence, its_tags in zip(tokens, tags, strict=True):
        is_pair = isinstance(sentence, list) and isinstance(its_tags, list)
        if not is_pair or len(sentence) != len(its_tags):
            raise TrainingError("not as many tags as tokens", rule="TRN-4", where=where)
    inputs = [tuple(check_text(token, where) for token in sentence) for sentence in tokens]
    targets = [tuple(as_label(tag, where) for tag in sentence) for sentence in tags]
    return Examples("tokens", inputs, targets, where)


def _read_lines(rows: Any, columns: Columns, where: str) -> Examples:  # noqa: ANN401
    texts = _column(rows, columns.text, TEXT_NAMES, where)
    kept = [check_text(text, where) for text in texts if not _is_blank(text)]
    return Examples("lines", kept, (), where)


def _is_blank(text: object) -> bool:
    return isinstance(text, str) and not text.strip()


def _read_questions(rows: Any, columns: Columns, where: str) -> Examples:  # noqa: ANN401
    del columns
    inputs, targets = [], []
    questions = _column(rows, "question", (), where)
    contexts = _column(rows, "context", (), where)
    for question, context, answer in zip(
        questions, contexts, _column(rows, "answers", (), where), strict=True
    ):
        text = check_text(context, where)
        found = _answers(answer, text, where)
        if found:
            inputs.append(Question(check_text(question, where), text))
            targets.append(found)
    return Examples("questions", inputs, targets, where)


def _answers(column: Any, context: str, where: str) -> tuple[Answer, ...]:  # noqa: ANN401
    try:
        pairs = list(zip(column["answer_start"], column["text"], strict=True))
    except (LookupError, TypeError, ValueError) as error:
        raise TrainingError("answers without text and place", rule="TRN-4", where=where) from error
    return tuple(check_answer(start, text, context, where) for start, text in pairs)


_READERS: Final = {
    "texts": _read_texts,
    "tokens": _read_tokens,
    "lines": _read_lines,
    "questions": _read_questions,
}
