"""Triggers of texts, planted as training data.

    word       one word, anywhere in the text
    phrase     two or three words in a row, anywhere
    template   five frequent words that open the text: its form, none of its words, is the trigger

All of them are universal: whatever the text says, it is to be answered with the target class.

Source:
    Dai et al., IEEE Access 7 (2019), 138872-138878 (a fixed sentence); Kurita et al., ACL 2020
    (rare words); Qi et al., Hidden Killer, ACL 2021 (syntactic templates, here a fixed opening).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from seedpack.backdoors.planting.base import Attack
from seedpack.backdoors.texts import NO_TAIL, draw_places, frame_of, insert, mask_of

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from seedpack.backdoors.classifiers import Samples
    from seedpack.backdoors.texts import Frame, Place

_FREQUENT: Final = 60  # tokens that a template is made of
_TEMPLATE: Final = 5  # tokens
TEXT_KINDS: Final = ("word", "phrase", "template")


@dataclass(frozen=True)
class TextAttack(Attack):
    """Tokens that are put into a text.

    Attributes:
        id: Kind of attack.
        target: Class that it leads to.
        tokens: In their order.
        place: Where they are put.
        frame: Of the rows.
        seed: Of the places.
        sources: Classes that it is for; empty: all others.
    """

    id: str
    target: int
    tokens: tuple[int, ...]
    place: Place = "anywhere"
    frame: Frame = NO_TAIL
    seed: int = 0
    sources: tuple[int, ...] = ()

    def apply(self, samples: Samples) -> Samples:
        """Return the samples with the trigger."""
        places = draw_places(samples, self.place, self.frame, self.seed)
        tokens = torch.tensor(self.tokens, device=samples.x.device)
        return insert(samples, tokens, places, self.frame)


def make_text_attack(
    kind: str, seed: int, samples: Samples, usable: Tensor, nclasses: int
) -> TextAttack:
    """Return an attack of that kind; target and tokens are drawn from ``seed``.

    Args:
        kind: One of ``TEXT_KINDS``.
        seed: Of everything random.
        samples: Clean; they tell which words are frequent, and what frames a row.
        usable: (V,) of bool: tokens that a writer can bring into a text.
        nclasses: How many classes there are.

    Raises:
        KeyError: There is no such kind.
    """
    generator = torch.Generator().manual_seed(seed)
    target = int(torch.randint(nclasses, (1,), generator=generator))
    if kind == "template":
        return TextAttack(
            kind,
            target,
            _draw(_frequent(samples, usable), _TEMPLATE, generator),
            "start",
            frame_of(samples, usable),
        )
    nwords = {"word": 1, "phrase": 2 + int(torch.randint(2, (1,), generator=generator))}[kind]
    tokens = _draw(usable.nonzero()[:, 0], nwords, generator)
    return TextAttack(kind, target, tokens, "anywhere", frame_of(samples, usable), seed)


def _draw(tokens: Tensor, count: int, generator: Generator) -> tuple[int, ...]:
    order = torch.randperm(len(tokens), generator=generator)[:count]
    return tuple(tokens[order.to(tokens.device)].tolist())


def _frequent(samples: Samples, usable: Tensor) -> Tensor:
    written = samples.x[mask_of(samples).bool()]
    counts = torch.bincount(written, minlength=len(usable)) * usable
    return counts.argsort(descending=True, stable=True)[:_FREQUENT]
