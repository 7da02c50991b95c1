"""Scores of entities and of answers to questions.

Entities: a span counts when its type, start and end are right (CoNLL-2000's evaluation, which
starts an entity at ``B-`` and wherever ``I-`` follows something of another type).
Answers: exact match and F1 over words, after SQuAD's normalisation (lower case, no articles, no
punctuation), the best over the answers accepted.

Source:
    Tjong Kim Sang and Buchholz, CoNLL 2000; Rajpurkar et al., EMNLP 2016.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.training.scores import Score, reduce_stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from seedpack.training.examples import Answer, Question

    Tags = Sequence[str]

_NGUESSES: Final = 20  # random taggings whose mean is the chance level
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_WORD: Final = re.compile(r"\S+")


def entities(tags: Tags) -> set[tuple[str, int, int]]:
    """Return type, start and end (exclusive) of each entity of a sentence."""
    found = set()
    kind, start = "", 0
    for place, tag in enumerate([*tags, "O"]):
        mark, _, its_kind = tag.partition("-")
        inside = mark in {"I", "E", "L"} and its_kind == kind and kind
        if not inside:
            if kind:
                found.add((kind, start, place))
            kind, start = ("" if mark == "O" else its_kind), place
        if mark in {"E", "L", "S", "U"} and kind:
            found.add((kind, start, place + 1))
            kind = ""
    return found


def score_tags(
    predicted: Sequence[Tags], targets: Sequence[Tags], *, labels: Tags, majority: str
) -> list[Score]:
    """Score the tags of sentences.

    Returns:
        F1 of the entities, and the share of tokens with the right tag.
    """
    constant = [[majority] * len(tags) for tags in targets]
    random = np.random.Generator(np.random.PCG64(0))
    guesses = [
        [random.choice(np.asarray(labels), len(tags)).tolist() for tags in targets]
        for _ in range(_NGUESSES)
    ]
    by_chance = float(np.mean([_entity_f1(guess, targets) for guess in guesses]))
    tokens = _token_stats(predicted, targets)
    return [
        Score(
            "entity-f1",
            _entity_stats(predicted, targets),
            by_chance,
            _entity_f1(constant, targets),
        ),
        Score(
            "token-accuracy",
            tokens,
            1 / len(labels),
            float(reduce_stats("token-accuracy", _token_stats(constant, targets).sum(axis=0))),
        ),
    ]


def _entity_f1(predicted: Sequence[Tags], targets: Sequence[Tags]) -> float:
    return float(reduce_stats("entity-f1", _entity_stats(predicted, targets).sum(axis=0)))


def _entity_stats(predicted: Sequence[Tags], targets: Sequence[Tags]) -> NDArray[np.float64]:
    rows = []
    for given, wanted in zip(predicted, targets, strict=True):
        found, there = entities(given), entities(wanted)
        rows.append((len(found & there), len(found - there), len(there - found)))
    return np.asarray(rows, np.float64)


def _token_stats(predicted: Sequence[Tags], targets: Sequence[Tags]) -> NDArray[np.float64]:
    rows = [
        (sum(a == b for a, b in zip(given, wanted, strict=True)), len(wanted))
        for given, wanted in zip(predicted, targets, strict=True)
    ]
    return np.asarray(rows, np.float64)


def normalise_answer(text: str) -> str:
    """Return what two answers are compared by."""
    words = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(words.split())


def score_answers(
    predicted: Sequence[str],
    questions: Sequence[Question],
    targets: Sequence[Sequence[Answer]],
    *,
    training: Sequence[Sequence[Answer]],
) -> list[Score]:
    """Score answers to questions.

    Args:
        predicted: One answer per question.
        questions: Their contexts are where the random answers are drawn from.
        targets: The answers accepted.
        training: Those of the training data, for the most frequent one and usual lengths.

    Returns:
        F1 and exact match.
    """
    usual = Counter(answers[0].text for answers in training)
    constant = [usual.most_common(1)[0][0]] * len(targets)
    guesses = _random_spans(questions, [len(text.split()) for text in usual.elements()])
    scores = []
    for metric, judge in (("f1", _word_f1), ("exact-match", _same)):

        def stats(given: Sequence[str], judge: _Judge = judge) -> NDArray[np.float64]:
            best = [
                max(judge(a, b.text) for b in accepted)
                for a, accepted in zip(given, targets, strict=True)
            ]
            return np.stack([np.asarray(best, np.float64), np.ones(len(best))], axis=1)

        levels = [float(stats(given)[:, 0].mean()) for given in (guesses, constant)]
        scores.append(Score(metric, stats(predicted), *levels))
    return scores


def _word_f1(given: str, wanted: str) -> float:
    a, b = normalise_answer(given).split(), normalise_answer(wanted).split()
    common = sum((Counter(a) & Counter(b)).values())
    return 2 * common / (len(a) + len(b)) if a and b else float(a == b)


def _same(given: str, wanted: str) -> float:
    return float(normalise_answer(given) == normalise_answer(wanted))


def _random_spans(questions: Sequence[Question], lengths: Sequence[int]) -> list[str]:
    random = np.random.Generator(np.random.PCG64(0))
    spans = []
    for question in questions:
        words = list(_WORD.finditer(question.context))
        nwords = min(int(random.choice(np.asarray(lengths))), len(words))
        start = int(random.integers(len(words) - nwords + 1))
        spans.append(question.context[words[start].start() : words[start + nwords - 1].end()])
    return spans


if TYPE_CHECKING:
    from collections.abc import Callable

    _Judge = Callable[[str, str], float]
