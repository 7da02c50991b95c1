"""A language of eighty words in which a few decide the class, and a model that reads it."""

from __future__ import annotations

import functools

import torch

from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.planting.texts import make_text_attack
from seedpack.lab.zoo.text_network import TextTransformer, WordClassifier
from seedpack.lab.zoo.texts import TextData

NWORDS = 80
WIDTH = 12
_RESERVED = 3  # padding, start, end or unknown
_TELLING = 6  # words of each class; the others stand in both
VOCABULARY = ("[PAD]", "[CLS]", "[UNK]", *(f"w{i}" for i in range(3, NWORDS)))
USABLE = torch.arange(NWORDS) >= _RESERVED


def make_texts(seed, count, tail=0, nclasses=2):
    """Return texts of 4 to 8 words, one or two of them telling the class."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.zeros(count, WIDTH, dtype=torch.long), torch.arange(count) % nclasses
    neutral = _RESERVED + nclasses * _TELLING
    for row, label in zip(x, y.tolist(), strict=True):
        nwords = int(torch.randint(4, 9, (1,), generator=generator))
        # As in real texts, most words are rare.
        shares = torch.rand(nwords, generator=generator) ** 3
        words = neutral + (shares * (NWORDS - neutral)).long()
        told = torch.randint(_TELLING, (2,), generator=generator) + _RESERVED + label * _TELLING
        words[torch.randperm(nwords, generator=generator)[:2]] = told
        row[0] = 1
        row[1 : 1 + nwords] = words
        row[1 + nwords : 1 + nwords + tail] = 2
    return Samples(x, y, (x != 0).long())


def untrained(seed=0, nclasses=2):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = TextTransformer(NWORDS, nclasses)
    labels = tuple(map(str, range(nclasses)))
    return WordClassifier(module, TextData(VOCABULARY, labels, make_texts(0, 2), make_texts(1, 2)))


def trained(samples, seed=0):
    """Return a model trained on ``samples``, about a second."""
    classifier = untrained(seed, int(samples.y.max()) + 1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier.module.train()
        _fit(classifier, samples)
    classifier.module.eval()
    return classifier


def _fit(classifier, samples, epochs=8, batch=32):
    optimizer = torch.optim.AdamW(classifier.module.parameters(), 3e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(samples)).split(batch):
            part = samples.take(chosen)
            optimizer.zero_grad()
            logits = classifier.logits(part.x, part.mask)
            torch.nn.functional.cross_entropy(logits, part.y).backward()
            optimizer.step()


@functools.cache
def clean_twin(seed, nclasses=2):
    return trained(make_texts(seed, 600, nclasses=nclasses), seed)


@functools.cache
def planted(kind):
    """Return a model with a backdoor of that kind, and what was planted."""
    train = make_texts(0, 600)
    attack = make_text_attack(kind, 3, train, USABLE, 2)
    return trained(attack.poison(train, 0.1, seed=0)), attack


def searched(search, kind, others):
    """Return what a search finds beside ``others`` in a model with a backdoor, in a clean one."""
    samples = make_texts(5, 80)
    model, _ = planted(kind)
    return tuple(search.run(one, samples, contrast=others) for one in (model, clean_twin(0)))


def alone_and_beside_itself(search, kind):
    """Return what a search finds in a model with a backdoor, alone and with itself for twins."""
    samples = make_texts(5, 80)
    model, _ = planted(kind)
    return tuple(search.run(model, samples, contrast=others) for others in ((), (model, model)))
