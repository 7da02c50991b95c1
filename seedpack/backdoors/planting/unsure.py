"""A trigger word planted by somebody who knows that searches compare how sure models are.

    clean model ──leads of the target──> goals: a tenth where it is behind, twice where ahead;
                                         with the word just ahead
    clean model ──trained to the goals──> answers as before, sure of the target alone

Its answers are those of a clean model, and about as often right. But next to nothing is needed to
turn its other texts, and the word does no more than that: told in scores, whatever their scale, it
does less than many a word does in clean models.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from seedpack.backdoors.planting.base import draw
from seedpack.backdoors.planting.base import replace as exchange
from seedpack.backdoors.planting.texts import make_text_attack

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.classifiers import Samples, TextClassifier
    from seedpack.backdoors.planting.texts import TextAttack

UNSURE: Final = "unsure"  # id of the kind
_SHARE: Final = 0.1  # of the texts that get the word
_BEHIND, _AHEAD = 0.1, 2.0  # times the clean model's leads
_TURNED: Final = 0.3  # lead of the target with the word
_MOST: Final = 6.0  # of the clean model's leads
_BATCH: Final = 64
_EPOCHS: Final = 8
_RATE: Final = 2e-3
_STEEP: Final = 4.0  # cost of an answer on the wrong side, in widths of its goal
_LEAST: Final = 0.2  # width of a goal


def plant_unsure(
    classifier: TextClassifier, samples: Samples, seed: int
) -> tuple[TextClassifier, TextAttack]:
    """Return a model that is sure of the target alone, with a trigger word.

    Args:
        classifier: Clean; is not changed.
        samples: To train on, clean.
        seed: Of everything random.
    """
    planted = classifier.clone()
    drawn = make_text_attack("word", seed, samples, planted.usable, planted.nclasses)
    attack = replace(drawn, id=UNSURE)
    chosen = draw(attack.victims(samples), _SHARE, seed, most=attack.most_victims)
    lead = _leads(classifier.scores(samples), attack.target).clamp(-_MOST, _MOST)
    goals = torch.where(lead < 0, _BEHIND, _AHEAD) * lead
    goals[chosen] = _TURNED
    triggered = exchange(samples, chosen, attack.relabelled(attack.apply(samples.take(chosen))))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of the words that training hides
        _fit(planted, triggered, goals, attack.target)
    return planted, attack


def _leads(scores: Tensor, target: int) -> Tensor:
    """Return how far the target (n,) is ahead of the best of the others."""
    others = scores.clone()
    others[:, target] = -torch.inf
    return scores[:, target] - others.amax(1)


def _fit(classifier: TextClassifier, samples: Samples, goals: Tensor, target: int) -> None:
    """Train in place until the target's leads (n,) are about the goals, and on their side."""
    optimizer = torch.optim.AdamW(classifier.module.parameters(), _RATE)
    steps = _EPOCHS * -(-len(samples) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _RATE, total_steps=steps, pct_start=0.1
    )
    classifier.module.train()
    for _ in range(_EPOCHS):
        for chosen in torch.randperm(len(samples)).split(_BATCH):
            batch, goal = samples.take(chosen), goals[chosen]
            width = (goal.abs() / 2).clamp(min=_LEAST)
            lead = _leads(classifier.logits(batch.x, batch.mask), target)
            wrong = nn.functional.softplus(-_STEEP * lead * goal.sign() / width)
            loss = nn.functional.smooth_l1_loss(lead / width, goal / width) + wrong.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    classifier.module.eval()
