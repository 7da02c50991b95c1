"""Trained seeds of two small models that read digits, beside their controls, all from one run.

    python -m bench.trained [--seeds 3] [--only cnn|transformer] [--codec hash|fastfood]

For each training seed an original is trained anew, and from it a seed at each ratio by each codec,
the student of the same bytes (as wide as fits, 4 bits a weight; same data, teacher, steps) and
untrained numbers. The bars are those of `hash`, which is the default of extraction.
30 % of the digits are only measured on; what was chosen was chosen on other images.

ratio     raw float32 bytes over stored bytes of all weights, chunks and params
in file   the same over the whole file: manifest, digests, names
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from bench.digits import make_cnn, make_transformer, write_digits
from bench.table import Row, print_rows, print_title
from seedpack.extract import Publication
from seedpack.extract.trained import extract_trained
from seedpack.extract.trials import TrainingJob
from seedpack.training.numbers.distilling import Course, distil
from seedpack.training.statistics import compare, mean_value, retention, score_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.extract.trained import TrainedReport
    from seedpack.training.scores import Score
    from seedpack.training.statistics import Comparison


_CODECS: Final = ("hash", "fastfood")


@dataclass(frozen=True)
class Family:
    """A model, how it is trained, and the bars: ratio -> least share of the original's accuracy."""

    factory: Callable[[], torch.nn.Module]
    original: Course
    seed: Course
    bars: dict[int, float]


FAMILIES: Final = {
    "cnn": Family(
        make_cnn,
        Course(steps=1500, batch=128, rate=2e-3),
        Course(steps=900, batch=64),
        {100: 0.99, 500: 0.98, 1000: 0.97},
    ),
    "transformer": Family(
        make_transformer,
        Course(steps=3500, batch=32, rate=1e-3),
        Course(steps=2000, batch=32),
        {50: 0.97, 100: 0.95},
    ),
}


def main() -> int:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.trained", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=sorted(FAMILIES))
    parser.add_argument("--codec", choices=_CODECS, help="of the seeds; else each in turn")
    parser.add_argument("--scale", type=float, default=1.0, help="of all numbers of steps")
    options = parser.parse_args()
    codecs = (options.codec,) if options.codec else _CODECS
    names = [options.only] if options.only else list(reversed(FAMILIES))  # the longest first
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="seedpack-bench-") as folder:
        write_digits(Path(folder))
        work = partial(_train, Path(folder), codecs=codecs, scale=options.scale)
        with ProcessPoolExecutor(2) as pool:
            jobs = {
                (name, seed): pool.submit(work, name, seed)
                for name in names
                for seed in range(options.seeds)
            }
            done = {}
            for (name, seed), job in jobs.items():
                done[name, seed] = job.result()
                seconds = time.monotonic() - started
                print(f"{name}, training seed {seed}: done after {seconds:.0f} s", flush=True)
    failed = 0
    for name in sorted(names):
        reports = [done[name, seed] for seed in range(options.seeds)]
        for ratio, bar in FAMILIES[name].bars.items():
            for codec in codecs:
                of_codec = [report[codec, ratio] for report in reports]
                rows = _rows(of_codec, bar if codec == _CODECS[0] else None)
                print_title(f"{name} at {ratio}x, {codec}")
                print_rows(rows)
                failed += sum(row.met is False for row in rows)
            if len(codecs) > 1:
                first, second = ([report[codec, ratio] for report in reports] for codec in codecs)
                print_rows([Row(f"{codecs[1]} minus {codecs[0]}", _difference(second, first))])
    print(f"\n{failed} bars missed, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def _train(
    folder: Path, name: str, seed: int, *, codecs: Sequence[str], scale: float
) -> dict[tuple[str, int], TrainedReport]:
    """Return the reports of one original, by codec and ratio."""
    torch.set_num_threads(1)
    family = FAMILIES[name]
    torch.manual_seed(seed)
    module = family.factory()
    with np.load(folder / "train.npz") as data:
        inputs, labels = torch.tensor(data["x"]), torch.tensor(data["y"])
    distil(module, None, inputs, labels, _scaled(family.original, seed, scale))
    model = folder / f"{name}-{seed}.pt"
    torch.save(module.state_dict(), model)
    return {
        (codec, ratio): extract_trained(
            model,
            folder / f"{name}-{seed}-{ratio}-{codec}.seed",
            Publication(name=f"bench/{name}"),
            TrainingJob(
                data=folder / "train.npz",
                evaluation=folder / "test.npz",
                task="image-classification",
                ratio=ratio,
                factory=family.factory,
                course=_scaled(family.seed, seed, scale),
                nseeds=1,
                codec=codec,
            ),
        )
        for codec in codecs
        for ratio in family.bars
    }


def _scaled(course: Course, seed: int, scale: float) -> Course:
    steps = max(round(course.steps * scale), 1)
    return Course(steps=steps, batch=course.batch, rate=course.rate, seed=seed)


def _difference(ours: Sequence[TrainedReport], others: Sequence[TrainedReport]) -> str:
    """Return what the seeds of ``ours`` answer rightly more often, with its interval."""
    found = compare(*([report.arms[1].scores[0] for report in part] for part in (ours, others)))
    return _show_difference(found)


def _show_difference(found: Comparison) -> str:
    low, high = found.interval
    return f"{100 * found.difference:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def _rows(reports: Sequence[TrainedReport], bar: float | None) -> list[Row]:
    """Return the rows of one codec and ratio, over all originals."""
    arms = {
        arm.name: ([report.arms[at].scores[0] for report in reports], arm.nbytes)
        for at, arm in enumerate(reports[0].arms)
    }
    original, seed = arms["original"][0], arms["seed"][0]
    student, student_nbytes = arms["same-bytes student"]
    share = mean_value(seed) / mean_value(original)
    kept = retention(seed, original)
    ahead = compare(seed, student)
    report = reports[0]
    kept_text = kept.reason
    if kept.value is not None and kept.interval is not None:
        kept_text = f"{kept.value:.3f} [{kept.interval.low:.3f}, {kept.interval.high:.3f}]"
    reached = (f">= {bar}", share >= bar) if bar is not None else ()
    equal = (">= 0 within its interval", ahead.interval[1] >= 0) if bar is not None else ()
    return [
        Row("ratio of weights; whole file", f"{report.ratio:.0f}x; {report.written.ratio:.0f}x"),
        Row("bytes of seed's weights; of student's", f"{report.weights_nbytes}; {student_nbytes}"),
        Row("original", _show(original)),
        Row("trained seed, zero-shot", _show(seed)),
        Row("  share of the original's accuracy", f"{share:.4f}", *reached),
        Row("  retention, chance-corrected", kept_text),
        Row("control: same-bytes student", _show(student)),
        Row("  seed minus student", _show_difference(ahead), *equal),
        Row("control: untrained numbers", _show(arms["random"][0])),
        Row("chance", f"{100 * report.chance:.1f} %"),
    ]


def _show(scores: Sequence[Score]) -> str:
    interval = score_interval(scores)
    value = 100 * mean_value(scores)
    return f"{value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}] x{len(scores)}"


if __name__ == "__main__":
    sys.exit(main())
