"""A tiny transformer that reads words: seconds to train, about 76 % on SST-2 (chance 50 %).

ids ──table──> (n, l, width) + places ──two blocks──> mean over the tokens ──> logits
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from seedpack.backdoors.classifiers import TextClassifier
from seedpack.lab.zoo.texts import UNKNOWN, WIDTH

if TYPE_CHECKING:
    from seedpack.lab.zoo.texts import TextData

_HIDDEN: Final = 48
_HEADS: Final = 4
_BLOCKS: Final = 2
_DROPPED: Final = 0.15  # share of the words that training does not see; keeps it from overfitting


class _Block(nn.Module):
    """Attention and a perceptron, each behind its own normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(_HIDDEN)
        self.mix = nn.Linear(_HIDDEN, 3 * _HIDDEN)
        self.join = nn.Linear(_HIDDEN, _HIDDEN)
        self.norm2 = nn.LayerNorm(_HIDDEN)
        self.grow = nn.Linear(_HIDDEN, 2 * _HIDDEN)
        self.shrink = nn.Linear(2 * _HIDDEN, _HIDDEN)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        n, tokens, _ = x.shape
        heads = self.mix(self.norm1(x)).reshape(n, tokens, 3, _HEADS, _HIDDEN // _HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (n, heads, tokens, width / heads) each
        mixed = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask[:, None, None, :]
        )
        x = x + self.join(mixed.transpose(1, 2).reshape(n, tokens, _HIDDEN))
        out: Tensor = x + self.shrink(nn.functional.gelu(self.grow(self.norm2(x))))
        return out


class TextTransformer(nn.Module):
    """Words to classes."""

    def __init__(self, nwords: int, nclasses: int) -> None:
        """Start at random."""
        super().__init__()
        self.table = nn.Embedding(nwords, _HIDDEN)
        nn.init.normal_(self.table.weight, std=0.1)
        self.places = nn.Parameter(0.02 * torch.randn(WIDTH, _HIDDEN))
        self.blocks = nn.ModuleList(_Block() for _ in range(_BLOCKS))
        self.norm = nn.LayerNorm(_HIDDEN)
        self.head = nn.Linear(_HIDDEN, nclasses)

    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return logits (n, classes) of embeddings (n, l, width) and a mask (n, l)."""
        longest = int(mask.sum(1).max())
        present = mask[:, :longest].bool()
        x = embeddings[:, :longest] + self.places[:longest]
        for block in self.blocks:
            x = block(x, present)
        weights = present[..., None].to(x.dtype)  # (n, l, 1)
        mean = (self.norm(x) * weights).sum(1) / weights.sum(1)
        logits: Tensor = self.head(mean)
        return logits


class WordClassifier(TextClassifier):
    """The tiny transformer as search and defence see it."""

    def __init__(self, module: TextTransformer, data: TextData) -> None:
        """Take ``module`` and the words and classes of ``data``."""
        super().__init__(module, len(data.labels))
        self.vocabulary = list(data.vocabulary)
        self.usable = data.usable

    @property
    def table(self) -> nn.Parameter:
        """The embeddings of all words."""
        module: Any = self.module
        weight: nn.Parameter = module.table.weight
        return weight

    def embed(self, ids: Tensor) -> Tensor:
        """Return (n, length, width); in training some words are read as unknown ones."""
        module: Any = self.module
        if module.training:
            dropped = torch.rand(ids.shape) < _DROPPED
            ids = torch.where(dropped & (ids > UNKNOWN), UNKNOWN, ids)
        embeddings: Tensor = module.table(ids)
        return embeddings

    def logits_of_embeddings(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return (n, nclasses)."""
        logits: Tensor = self.module(embeddings, mask)
        return self.scale * logits


def make_text_classifier(data: TextData, seed: int) -> WordClassifier:
    """Return an untrained classifier; the caller's random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = TextTransformer(len(data.vocabulary), len(data.labels))
    return WordClassifier(module, data)
