"""Tiny models with tokenizers, and tasks that they can learn."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from tests.frameworks.models import FAMILIES, build

GOOD = ["fine", "great", "lovely", "warm"]
BAD = ["dull", "awful", "cold", "flat"]
FILLERS = ["the", "film", "was", "a", "story", "with", "very", "old", "cat", "house"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FACTORY = """
import torch

def build():
    return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))

def build_numbers():
    return torch.nn.Linear(6, 1)

class Broken(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) / 0

def build_broken():
    return Broken(6, 3)
"""


def save_tokenizer(folder):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL, *GOOD, *BAD, *FILLERS, "Ann", "Bob", "Rome", "Oslo", "?", "who"]
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors gain nothing from threads, which wait for each other on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of tiny models by family, a file of plain weights, and a factory."""
    import torch
    from safetensors.torch import save_file

    root = tmp_path_factory.mktemp("models")
    folders = {}
    for name in ("bert", "gpt2", "vit"):
        kind, config, settings = FAMILIES[name]
        if name == "bert":
            kind, settings = "BertModel", {**settings, "num_hidden_layers": 2}
        folders[name] = build(root / name, kind, config, **settings)
        if name != "vit":
            save_tokenizer(folders[name])
    (root / "nets.py").write_text(FACTORY)
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    save_file(net.state_dict(), root / "net.safetensors")
    save_file(torch.nn.Linear(6, 1).state_dict(), root / "line.safetensors")
    save_file(torch.nn.Linear(6, 3).state_dict(), root / "broken.safetensors")
    return {
        **folders,
        **{name: root / f"{name}.safetensors" for name in ("net", "line", "broken")},
        "factory": str(root / "nets.py"),
    }


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Training and evaluation files by kind; every task can be learned from one word."""
    root = tmp_path_factory.mktemp("data")
    made = {}
    for part, count, seed in (("train", 48, 0), ("eval", 24, 1)):
        rng = random.Random(seed)
        folder = root / part
        folder.mkdir()
        texts = [_text(rng, rng.choice([GOOD, BAD])) for _ in range(count)]
        _write(folder / "texts.tsv", "\n".join(f"{t}\t{int(_is_good(t))}" for t in texts))
        _write(
            folder / "lines.txt", "\n\n".join(t + " " + "the film was " * 220 for t in texts[:9])
        )
        _write(folder / "tags.conll", "\n\n".join(_tagged(rng) for _ in range(count)))
        _write(folder / "squad.json", json.dumps({"data": [{"paragraphs": _squad(rng, count)}]}))
        values = np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)
        np.savez(folder / "classes.npz", x=values, y=values[:, :3].argmax(1))
        np.savez(folder / "numbers.npz", x=values, y=values[:, 0] * 2.0)
        images = np.random.default_rng(seed).normal(size=(count, 3, 8, 8)).astype(np.float32)
        np.savez(folder / "images.npz", x=images, y=(images.mean((1, 2, 3)) > 0).astype(int))
        made[part] = folder
        _draw_images(folder / "images", count)
    return made


def _draw_images(folder, count):
    from PIL import Image

    for kind, shade in (("dark", 40), ("light", 200)):
        (folder / kind).mkdir(parents=True)
        for i in range(count // 2):
            path = folder / kind / f"{i}.png"
            Image.new("RGB", (9, 7), (shade + i, shade, shade)).save(path)


def _write(path, text):
    path.write_text(text + "\n", "utf-8")


def _is_good(text):
    return any(word in GOOD for word in text.split())


def _text(rng, moods):
    words = rng.choices(FILLERS, k=rng.randrange(3, 9))
    words.insert(rng.randrange(len(words)), rng.choice(moods))
    return " ".join(words)


def _tagged(rng):
    lines = [f"{word}\tO" for word in rng.choices(FILLERS, k=4)]
    name, kind = rng.choice([("Ann", "PER"), ("Bob", "PER"), ("Rome", "LOC"), ("Oslo", "LOC")])
    lines.insert(rng.randrange(5), f"{name}\tB-{kind}")
    return "\n".join(lines)


def _squad(rng, count):
    paragraphs = []
    for _ in range(count):
        words = rng.choices(FILLERS, k=6)
        name = rng.choice(["Ann", "Bob"])
        words.insert(rng.randrange(6), name)
        context = " ".join(words)
        answer = {"text": name, "answer_start": context.index(name)}
        paragraphs.append({"context": context, "qas": [{"question": "who ?", "answers": [answer]}]})
    return paragraphs
