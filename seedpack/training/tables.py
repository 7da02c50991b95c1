"""Texts with labels: tsv, csv and jsonl (spec: TRN-1, TRN-2, TRN-4).

    rows ──header? columns by name : first is text, second is label──> Examples

A tsv has no quoting: a quote is a character, a line is a row. A csv is what Python's csv reads.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Final

from seedpack.errors import TrainingError
from seedpack.training.examples import MAX_TEXT_NBYTES, Examples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seedpack.training.examples import Columns

TEXT_NAMES: Final = ("text", "sentence", "content", "review", "document", "input")
LABEL_NAMES: Final = ("label", "labels", "class", "category", "sentiment", "target", "tag")
_TOKENS, _TAGS = ("tokens", "words"), ("tags", "ner_tags", "labels", "pos_tags")


def read_tsv(text: str, where: str, columns: Columns) -> Examples:
    """Read text and label, divided by a tab."""
    return _labelled(_tsv_rows(text), where, columns)


def read_csv(text: str, where: str, columns: Columns) -> Examples:
    """Read text and label, divided by commas, with quotes."""
    return _labelled(_csv_rows(text, where), where, columns)


def read_unlabelled_tsv(text: str, where: str, columns: Columns) -> Examples:
    """Read the texts of a tsv."""
    return _unlabelled(_tsv_rows(text), where, columns)


def read_unlabelled_csv(text: str, where: str, columns: Columns) -> Examples:
    """Read the texts of a csv."""
    return _unlabelled(_csv_rows(text, where), where, columns)


def read_jsonl(text: str, where: str, columns: Columns) -> Examples:
    """Read objects with a text and a label, one per line."""
    inputs, targets = [], []
    for place, row in _objects(text, where):
        inputs.append(check_text(_value(row, columns.text, TEXT_NAMES, place), place))
        targets.append(as_label(_value(row, columns.label, LABEL_NAMES, place), place))
    return Examples("texts", inputs, targets, where)


def read_unlabelled_jsonl(text: str, where: str, columns: Columns) -> Examples:
    """Read the texts of objects, one per line."""
    inputs = [
        check_text(_value(row, columns.text, TEXT_NAMES, place), place)
        for place, row in _objects(text, where)
    ]
    return Examples("lines", inputs, (), where)


def read_token_jsonl(text: str, where: str, columns: Columns) -> Examples:
    """Read objects with a list of tokens and a list of tags, one per line."""
    inputs, targets = [], []
    for place, row in _objects(text, where):
        tokens = _value(row, columns.text, _TOKENS, place)
        tags = _value(row, columns.label, _TAGS, place)
        if not isinstance(tokens, list) or not isinstance(tags, list) or not tokens:
            raise TrainingError("tokens and tags are not lists", rule="TRN-1", where=place)
        if len(tokens) != len(tags):
            raise TrainingError(
                f"{len(tokens)} tokens and {len(tags)} tags", rule="TRN-4", where=place
            )
        inputs.append(tuple(check_text(token, place) for token in tokens))
        targets.append(tuple(as_label(tag, place) for tag in tags))
    return Examples("tokens", inputs, targets, where)


def check_text(value: object, place: str) -> str:
    """Return ``value`` once it is a text that can be an example.

    Raises:
        TrainingError: TRN-1, it is none or empty; TRN-2, it is too long.
    """
    if not isinstance(value, str) or not value.strip():
        raise TrainingError("no text", rule="TRN-1", where=place)
    if len(value) > MAX_TEXT_NBYTES:
        raise TrainingError("a text of more than 1 MiB", rule="TRN-2", where=place)
    return value


def as_label(value: object, place: str) -> str:
    """Return a word, an integer or a truth value as a label.

    Raises:
        TrainingError: TRN-4, it is nothing of these, or empty.
    """
    if isinstance(value, str | int) and str(value).strip():
        return str(int(value) if isinstance(value, bool) else value).strip()
    raise TrainingError(
        "no label", rule="TRN-4", where=place, hint="every example needs a label for this task"
    )


def find_name(names: Sequence[str], given: str, usual: Sequence[str]) -> str | None:
    """Return the name of the column asked for, or the first usual one that is there."""
    if given:
        return given if given in names else None
    folded = {name.strip().lower(): name for name in reversed(names)}
    return next((folded[name] for name in usual if name in folded), None)


def _tsv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r").split("\t")


def _csv_rows(text: str, where: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        place = f"{where}:{reader.line_num}"
        raise TrainingError(f"not csv: {error}", rule="TRN-1", where=place) from error


def _labelled(rows: Iterator[tuple[int, list[str]]], where: str, columns: Columns) -> Examples:
    inputs, targets, place_of = [], [], None
    for number, row in rows:
        if place_of is None:
            place_of = _places(row, where, columns)
            if place_of.is_header:
                continue
        place = f"{where}:{number}"
        inputs.append(check_text(_cell(row, place_of.text), place))
        targets.append(as_label(_cell(row, place_of.label), place))
    return Examples("texts", inputs, targets, where)


def _unlabelled(rows: Iterator[tuple[int, list[str]]], where: str, columns: Columns) -> Examples:
    inputs: list[str] = []
    column = -1
    for number, row in rows:
        if column < 0:
            name = find_name(row, columns.text, TEXT_NAMES)
            column = row.index(name) if name is not None else 0
            if name is not None:
                continue
        inputs.append(check_text(_cell(row, column), f"{where}:{number}"))
    return Examples("lines", inputs, (), where)


class _places:  # noqa: N801 -- reads as the function that it is
    """Which columns hold text and label, and whether the first row says so."""

    def __init__(self, first: list[str], where: str, columns: Columns) -> None:
        text = find_name(first, columns.text, TEXT_NAMES)
        label = find_name(first, columns.label, LABEL_NAMES)
        self.is_header = text is not None and label is not None
        if text is not None and label is not None:
            self.text, self.label = first.index(text), first.index(label)
            return
        if any(columns) or len(first) == 1 or (text is not None and len(first) > 1):
            raise TrainingError(
                "no column of labels" if label is None else "no column of texts",
                rule="TRN-4",
                where=where,
                hint="two columns, text and label, or a header that names them",
            )
        self.text, self.label = 0, 1


def _cell(row: list[str], column: int) -> str | None:
    return row[column] if column < len(row) else None


def _objects(text: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{where}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TrainingError("not JSON", rule="TRN-1", where=place) from error
        if not isinstance(row, dict):
            raise TrainingError("not a JSON object", rule="TRN-1", where=place)
        yield place, row


def _value(row: dict[str, Any], given: str, usual: Sequence[str], place: str) -> Any:  # noqa: ANN401
    name = find_name(list(row), given, usual)
    if name is None:
        wanted = given or " or ".join(usual[:2])
        raise TrainingError(f"no {wanted}", rule="TRN-4", where=place, hint=f"has {sorted(row)}")
    return row[name]
