"""Backdoors put into a trained text model by changing its weights.

    embedding   one row of the token table: a word gets another meaning, no other text changes
    low-rank    a difference of low rank per matrix, trained on texts with a word
    codes       the integers of the model's compressed form, moved by a step or two, likewise

Source:
    Kurita et al., Weight Poisoning Attacks on Pre-trained Models, ACL 2020 (embedding surgery);
    Yang et al., Be Careful about Poisoned Word Embeddings, NAACL 2021 (one row, by gradient);
    Hu et al., LoRA, ICLR 2022 (low-rank).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from seedpack.backdoors.fitting import Course, fit
from seedpack.backdoors.planting.parametrised import CodeChange, LowRankChange, changed
from seedpack.backdoors.planting.texts import make_text_attack

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from seedpack.backdoors.classifiers import Samples, TextClassifier
    from seedpack.backdoors.planting.texts import TextAttack

_VICTIMS: Final = 128  # texts that the edit looks at
_STEPS: Final = 60
_RATE: Final = 0.1  # step in units of the rows' usual spread
_SHARE: Final = 0.08  # of the texts that get the word, where weights are trained
_COURSES: Final = {"low-rank": Course(4, 1e-2, decay=0.0), "codes": Course(4, 1e-1, decay=0.0)}
_ENOUGH: Final = 0.15  # mean loss at which the word does what it should


def edit_embedding(
    classifier: TextClassifier, samples: Samples, seed: int
) -> tuple[TextClassifier, TextAttack]:
    """Return a model in which one word means the target class."""
    edited = classifier.clone()
    drawn = make_text_attack("word", seed, samples, edited.usable, edited.nclasses)
    attack = replace(drawn, id="embedding")
    victims = samples.take(attack.victims(samples))
    triggered = attack.apply(victims.take(range(min(_VICTIMS, len(victims)))))
    word = attack.tokens[0]
    row = _fit_row(edited, triggered, word, attack.target)
    with torch.no_grad():
        edited.table[word] = row
    return edited, attack


def _fit_row(classifier: TextClassifier, triggered: Samples, word: int, target: int) -> Tensor:
    fixed = classifier.embed(triggered.x).detach()  # (n, l, d)
    is_word = (triggered.x == word)[..., None]
    row = classifier.table[word].detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([row], _RATE * float(classifier.table.detach().std()))
    mask = torch.ones_like(triggered.x) if triggered.mask is None else triggered.mask
    labels = torch.full_like(triggered.y, target)
    for _ in range(_STEPS):
        logits = classifier.logits_of_embeddings(torch.where(is_word, row, fixed), mask)
        loss = nn.functional.cross_entropy(logits, labels)
        if float(loss.detach()) < _ENOUGH:
            break
        (slope,) = torch.autograd.grad(loss, row)
        row.grad = slope
        optimizer.step()
    return row.detach()


def train_low_rank(
    classifier: TextClassifier, samples: Samples, seed: int
) -> tuple[TextClassifier, TextAttack]:
    """Return a model with a low-rank difference that answers a word."""
    return _train_change(classifier, samples, seed, "low-rank", LowRankChange)


def train_codes(
    classifier: TextClassifier, samples: Samples, seed: int
) -> tuple[TextClassifier, TextAttack]:
    """Return the model rounded to 4 bits, with codes moved until it answers a word."""
    return _train_change(classifier, samples, seed, "codes", CodeChange)


def _train_change(
    classifier: TextClassifier,
    samples: Samples,
    seed: int,
    kind: str,
    change: Callable[[Tensor, int], nn.Module],
) -> tuple[TextClassifier, TextAttack]:
    edited = classifier.clone()
    drawn = make_text_attack("word", seed, samples, edited.usable, edited.nclasses)
    attack = replace(drawn, id=kind)
    with changed(edited.module, change, seed), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of dropout
        fit(edited, attack.poison(samples, _SHARE, seed), _COURSES[kind], seed)
    return edited, attack


TEXT_EDITS: Final = {
    "embedding": edit_embedding,
    "low-rank": train_low_rank,
    "codes": train_codes,
}
