"""Backdoors put into a trained text model by changing its weights.

    embedding   one row of the token table: a word gets another meaning, no other text changes

Source:
    Kurita et al., Weight Poisoning Attacks on Pre-trained Models, ACL 2020 (embedding surgery);
    Yang et al., Be Careful about Poisoned Word Embeddings, NAACL 2021 (one row, by gradient).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from seedpack.backdoors.planting.texts import make_text_attack

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.classifiers import Samples, TextClassifier
    from seedpack.backdoors.planting.texts import TextAttack

_VICTIMS: Final = 128  # texts that the edit looks at
_STEPS: Final = 60
_RATE: Final = 0.1  # step in units of the rows' usual spread
_ENOUGH: Final = 0.15  # mean loss at which the word does what it should


def edit_embedding(
    classifier: TextClassifier, samples: Samples, seed: int
) -> tuple[TextClassifier, TextAttack]:
    """Return a model in which one word means the target class."""
    edited = classifier.clone()
    drawn = make_text_attack("word", seed, samples, edited.usable, edited.nclasses)
    attack = replace(drawn, id="embedding")
    victims = samples.take(attack.victims(samples)).take(range(_VICTIMS))
    triggered = attack.apply(victims)
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


TEXT_EDITS: Final = {"embedding": edit_embedding}
