"""A tiny transformer, texts that it can tell apart by one word, and what tuning makes of it."""

from __future__ import annotations

import random

from tests.cli.conftest import Shell
from tests.frameworks.models import FAMILIES, build
from tests.tune.conftest import BAD, FILLERS, GOOD, save_tokenizer

_SIZE = {
    "hidden_size": 32,
    "initializer_range": 0.2,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
}


def save_base(folder):
    """Save an encoder without a head."""
    _, config, settings = FAMILIES["bert"]
    build(folder, "BertModel", config, **{**settings, **_SIZE})
    save_tokenizer(folder)


def write_texts(path, count, seed):
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        label = rng.randrange(2)
        words = [*rng.choices(FILLERS, k=5), rng.choice((BAD, GOOD)[label])]
        rng.shuffle(words)
        rows.append(f"{' '.join(words)}\t{label}")
    path.write_text("\n".join(rows) + "\n", "utf-8")


def save_tuned(folder, base, data):
    """Save what becomes of ``base`` on ``data``, with a head of its own."""
    import torch
    import transformers

    torch.manual_seed(1)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    rows = [line.rsplit("\t", 1) for line in data.read_text("utf-8").splitlines()]
    batch = tokenizer([text for text, _ in rows], padding=True, return_tensors="pt")
    labels = torch.tensor([int(label) for _, label in rows])
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(model(**batch).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    save_tokenizer(folder)


def publisher_in(folder):
    """Return a shell in ``folder``, where there are a base, a model tuned from it, data, a key."""
    shell = Shell(folder)
    save_base(folder / "base")
    for part, count, seed in (("train", 160, 0), ("dev", 120, 1)):
        write_texts(folder / f"{part}.tsv", count, seed)
    save_tuned(folder / "tuned", folder / "base", folder / "train.tsv")
    assert shell("keygen", "acme", "--no-passphrase").status == 0
    return shell
