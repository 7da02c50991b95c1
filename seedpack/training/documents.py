"""Tagged sentences, questions with answers, and plain text (spec: TRN-1, TRN-2, TRN-4, TRN-7)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from seedpack.errors import TrainingError
from seedpack.training.examples import Answer, Examples, Question
from seedpack.training.tables import check_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.training.examples import Columns

_LANGUAGE: Final = re.compile(r"\A[a-z]{2,3}(-[a-z]+)?:(?=.)")  # WikiANN: en:token
_COMMENTS: Final = ("-DOCSTART-", "# ")
_BLOCK_NCHARS: Final = 2000  # a text for a language model; about 500 tokens


def read_conll(text: str, where: str, columns: Columns) -> Examples:
    """Read sentences, divided by blank lines, of lines ``token ... tag`` (last column)."""
    del columns
    inputs, targets = [], []
    for sentence in _sentences(text, where):
        inputs.append(tuple(token for token, _ in sentence))
        targets.append(tuple(tag for _, tag in sentence))
    return Examples("tokens", _without_language(inputs), targets, where)


def _sentences(text: str, where: str) -> Iterator[list[tuple[str, str]]]:
    sentence: list[tuple[str, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            if sentence:
                yield sentence
                sentence = []
        elif not line.startswith(_COMMENTS):
            sentence.append(_tagged(line, f"{where}:{number}"))
    if sentence:
        yield sentence


def _tagged(line: str, place: str) -> tuple[str, str]:
    cells = line.rstrip("\r").split("\t") if "\t" in line else line.split()
    token, tag = cells[0].strip(), cells[-1].strip()
    if " " in token:
        raise TrainingError(
            "a sentence where a token should be",
            rule="TRN-7",
            where=place,
            hint="one token and its tag per line, a blank line between sentences",
        )
    if len(cells) == 1 or not tag or not token:
        raise TrainingError("no tag", rule="TRN-4", where=place, hint="a line is token TAB tag")
    return token, tag


def _without_language(sentences: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Take ``en:`` off, where every token of the file has it."""
    if not sentences or not all(_LANGUAGE.match(token) for s in sentences for token in s):
        return sentences
    return [tuple(_LANGUAGE.sub("", token, count=1) for token in s) for s in sentences]


def read_lines(text: str, where: str, columns: Columns) -> Examples:
    """Read plain text as paragraphs, gathered into blocks of about 2,000 characters."""
    del columns
    blocks: list[str] = []
    block: list[str] = []
    nchars = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        block.append(line.strip())
        nchars += len(line)
        if nchars >= _BLOCK_NCHARS:
            blocks.append(check_text("\n".join(block), where))
            block, nchars = [], 0
    if block:
        blocks.append(check_text("\n".join(block), where))
    return Examples("lines", blocks, (), where)


def read_squad(text: str, where: str, columns: Columns) -> Examples:
    """Read questions with answers in the format of SQuAD 1.1; those without answer are left out."""
    del columns
    inputs: list[Question] = []
    targets: list[tuple[Answer, ...]] = []
    nquestions = 0
    for context, question in _questions(text, where):
        nquestions += 1
        place = f"{where}: question {nquestions}"
        answers = _answers(question, context, place)
        if answers:
            inputs.append(Question(check_text(question.get("question"), place), context))
            targets.append(answers)
    if nquestions and not inputs:
        raise TrainingError("no question has an answer", rule="TRN-4", where=where)
    return Examples("questions", inputs, targets, where)


def _questions(text: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for article in json.loads(text)["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield check_text(paragraph["context"], where), dict(question)
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise TrainingError(
            "not in the format of SQuAD",
            rule="TRN-1",
            where=where,
            hint="data > paragraphs > context, qas > question, answers > text, answer_start",
        ) from error


def _answers(question: dict[str, Any], context: str, place: str) -> tuple[Answer, ...]:
    answers = []
    entries = question.get("answers") or ()
    if not isinstance(entries, list | tuple):
        raise TrainingError("answers that are no list", rule="TRN-1", where=place)
    for entry in entries:
        if not isinstance(entry, dict):
            raise TrainingError("an answer that is no object", rule="TRN-1", where=place)
        answers.append(check_answer(entry.get("answer_start"), entry.get("text"), context, place))
    return tuple(answers)


def check_answer(start: object, text: object, context: str, place: str) -> Answer:
    """Return an answer once it stands in ``context`` where it says.

    Raises:
        TrainingError: TRN-4, it has no text or no place; TRN-1, it does not stand there.
    """
    if not isinstance(start, int) or not isinstance(text, str) or not text.strip():
        raise TrainingError("an answer without text or place", rule="TRN-4", where=place)
    if start < 0 or context[start : start + len(text)] != text:
        raise TrainingError(
            "an answer that does not stand where it says", rule="TRN-1", where=place
        )
    return Answer(start, text)
