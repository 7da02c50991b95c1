"""Students of a real sentence encoder: what they keep of its space and of a task.

    python -m bench.student [--quick]       from the root of the repository

All on MiniLM-L6 (90.9 MB of float32), every figure from this one run. Ratios are those of the whole
file, tokenizer included. Students learn from sentences of SST-2's training part and of WikiText-2,
never from what is measured on.

cosine     mean over held-out sentences (SST-2 dev, WikiText-2 test) to the original's embeddings
task       accuracy on SST-2 dev of a linear probe (logistic regression) on frozen embeddings,
           fitted to 500 training sentences; the same for all arms, mean of five draws
retention  (assembled - chance) / (original - chance), interval over draws and sentences

Arms: the original; each student; the student's architecture with random weights; the original's own
weights in as many bytes, as few as the codec can make it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.lossless import default_model
from bench.table import Row, print_rows, print_title
from seedpack import SeedError, assemble_seed, extract_seed, open_unverified
from seedpack.extract.student import extract_student
from seedpack.frameworks import open_model
from seedpack.training.readers import embed, encode_texts, open_reader, open_tokenizer
from seedpack.training.scores import score_classes
from seedpack.training.statistics import mean_interval, retention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.training.scores import Score

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_RATIOS = (96, 65, 30)
_BARS = {96: 0.83, 65: 0.85, 30: 0.85}  # of retention; measured before there was this product
_NSAMPLES = 500
_DRAWS = 5
_ARTICLES = 600


class _Sentences(NamedTuple):
    """What is measured on; the labels are those of ``train`` and ``dev``."""

    train: list[str]
    train_labels: np.ndarray
    dev: list[str]
    dev_labels: np.ndarray
    articles: list[str]


class _Arm(NamedTuple):
    """Embeddings of one model."""

    train: np.ndarray
    dev: np.ndarray
    articles: np.ndarray


def main() -> None:
    """Print all arms."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if not (_DATA / "sst2" / "train.tsv").exists():
        print(f"no sentences in {_DATA.name}: skipped")
        return
    start = time.perf_counter()
    ratios = _RATIOS[:1] if "--quick" in sys.argv[1:] else _RATIOS
    with tempfile.TemporaryDirectory(prefix="seedpack-bench-") as name:
        _measure(Path(name), ratios)
    print(f"{time.perf_counter() - start:.0f} s")


def _measure(folder: Path, ratios: tuple[int, ...]) -> None:
    sentences = _read()
    model = default_model()
    original = _embed(model, sentences)
    scores = _probe(original, sentences)
    print_title("students of MiniLM-L6: cosine, SST-2 with 500 samples, retention")
    print_rows([_task_row("original", scores), Row("chance", "0.500")])
    for ratio in ratios:
        path = folder / f"{ratio}.seed"
        report = extract_student(
            model,
            path,
            name="bench/student",
            train=[_DATA / "sst2" / "train.tsv", _DATA / "wikitext2" / "valid.txt"],
            ratio=ratio,
            checkpoint=folder / "checkpoint",
        )
        nbytes = path.stat().st_size
        arm = _embed(_assemble(path, folder / str(ratio)), sentences)
        what = f"student, {report.ratio:.1f}x ({nbytes} bytes)"
        rows = _rows(what, arm, original, scores, sentences, bar=_BARS[ratio])
        print_rows([*rows, _files_row(path)])
        if ratio == ratios[0]:
            random = _embed(_randomise(folder / str(ratio)), sentences)
            print_rows(
                list(_rows("  control: random weights", random, original, scores, sentences))
            )
            print_rows([_weights_row(model, folder, nbytes)])


def _rows(
    what: str,
    arm: _Arm,
    original: _Arm,
    scores: list[Score],
    sentences: _Sentences,
    *,
    bar: float | None = None,
) -> Iterator[Row]:
    own = _probe(arm, sentences)
    for name in ("dev", "articles"):
        cosines = _cosines(getattr(arm, name), getattr(original, name))
        low, high = mean_interval(cosines.tolist())
        figure = f"cosine {cosines.mean():.3f} [{low:.3f}, {high:.3f}], n {cosines.size}"
        yield Row(f"{what}, {'SST-2 dev' if name == 'dev' else 'WikiText-2 test'}", figure)
    yield _task_row(what, own)
    kept = retention(own, scores)
    if kept.value is None or kept.interval is None:
        yield Row(what, f"retention undefined: {kept.reason}")
        return
    figure = f"retention {kept.value:.2f} [{kept.interval.low:.2f}, {kept.interval.high:.2f}]"
    if bar is None:
        yield Row(what, figure)
    else:
        yield Row(what, figure, f">= {bar:.2f}", kept.value >= bar)


def _task_row(what: str, scores: list[Score]) -> Row:
    values = [score.value for score in scores]
    low, high = mean_interval(values)
    return Row(what, f"accuracy {np.mean(values):.3f} [{low:.3f}, {high:.3f}]")


def _files_row(path: Path) -> Row:
    with open_unverified(path) as seed:
        stored = {
            file.name: sum(chunk.stored_nbytes for chunk in file.chunks)
            for file in seed.manifest.attachments
        }
    largest = max(stored, key=lambda name: stored[name])
    figure = f"{sum(stored.values())} bytes, {largest} {stored[largest]}"
    return Row(f"  of it tokenizer and other files ({len(stored)})", figure)


def _weights_row(model: Path, folder: Path, nbytes: int) -> Row:
    what = "  control: its own weights in as many bytes"
    try:
        extract_seed(model, folder / "w.seed", name="bench/weights", max_nbytes=nbytes)
    except SeedError as error:
        return Row(what, f"impossible: {error.message}"[:120])
    sentences = _read()
    arm = _embed(_assemble(folder / "w.seed", folder / "w"), sentences)
    cosines = _cosines(arm.dev, _embed(model, sentences).dev)
    return Row(what, f"cosine {cosines.mean():.3f}, {_task_row('', _probe(arm, sentences)).figure}")


# ---------------------------------------------------------------- arms


def _assemble(path: Path, out: Path) -> Path:
    with open_unverified(path) as seed:
        assemble_seed(seed, out, insecure=True)
    return out


def _randomise(folder: Path) -> Path:
    """Write random weights of the same size over those of an assembled student."""
    from safetensors.numpy import load_file, save_file  # noqa: PLC0415 -- once

    random = np.random.default_rng(0)
    path = folder / "model.safetensors"
    tensors = {
        name: random.standard_normal(values.shape, np.float32) if values.ndim > 1 else values
        for name, values in load_file(path).items()
    }
    save_file(tensors, path, {"format": "pt"})
    return folder


def _embed(folder: Path, sentences: _Sentences) -> _Arm:
    source = open_model(folder)
    tokenizer, reader = open_tokenizer(source, folder), open_reader(source, folder)
    return _Arm(
        *(
            embed(reader, encode_texts(tokenizer, texts, reader.model.config))
            for texts in (sentences.train, sentences.dev, sentences.articles)
        )
    )


def _read() -> _Sentences:
    parts = []
    for part in ("train", "dev"):
        rows = (_DATA / "sst2" / f"{part}.tsv").read_text("utf-8").splitlines()
        pairs = [row.rsplit("\t", 1) for row in rows]
        parts.append(([text for text, _ in pairs], np.array([int(label) for _, label in pairs])))
    lines = (_DATA / "wikitext2" / "test.txt").read_text("utf-8").splitlines()
    articles = [line.strip()[:300] for line in lines if len(line) > 80][:_ARTICLES]
    (train, train_labels), (dev, dev_labels) = parts
    drawn = _draws(train_labels)
    used = sorted({int(i) for draw in drawn for i in draw})
    return _Sentences([train[i] for i in used], train_labels[used], dev, dev_labels, articles)


def _draws(labels: np.ndarray) -> list[np.ndarray]:
    """Return indices of 500 samples, as many of each class, for each draw."""
    draws = []
    for seed in range(_DRAWS):
        order = np.random.default_rng(seed).permutation(labels.size)
        each = [order[labels[order] == label][: _NSAMPLES // 2] for label in (0, 1)]
        draws.append(np.concatenate(each))
    return draws


# ---------------------------------------------------------------- figures


def _cosines(given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(given, axis=1) * np.linalg.norm(wanted, axis=1)
    cosines: np.ndarray = (given * wanted).sum(axis=1) / np.maximum(norms, 1e-12)
    return cosines


def _probe(arm: _Arm, sentences: _Sentences) -> list[Score]:
    """Return the accuracy on dev of a probe for each draw of the samples."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 -- once

    train, dev = (_unit(part) for part in (arm.train, arm.dev))
    middle = train.mean(axis=0)
    scale = np.sqrt(((train - middle) ** 2).sum(axis=1).mean())
    train, dev = (train - middle) / scale, (dev - middle) / scale
    scores = []
    for draw in _draws(sentences.train_labels):
        probe = LogisticRegression(C=10, max_iter=1000)
        probe.fit(train[draw], sentences.train_labels[draw])
        answers = probe.predict(dev).tolist()
        asked = sentences.dev_labels.tolist()
        scores.append(score_classes(answers, asked, nclasses=2, majority=0)[0])
    return scores


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


if __name__ == "__main__":
    main()
