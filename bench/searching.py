"""Time of a search for triggers with quicker pooling and freed memory kept.

    the demo's network and four more ──mask search on 50 images, in a process each──> seconds
    pooling as torch has it │ channels last; memory given back │ kept ──> ratios
    what is found ──to the last bit──> the same

Run: python -m bench.searching
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Final

from bench.table import Row, format_ratio, print_rows, print_title

_ROUNDS: Final = 3
_NTWINS: Final = 4
_WAYS: Final = {
    "as torch and the C library have it": (False, False),
    "channels last": (True, False),
    "memory kept": (False, True),
    "both": (True, True),
}


def main() -> None:
    """Print a line per way; with ``--way`` search once, and print what it took and found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=_WAYS, help=argparse.SUPPRESS)
    way = parser.parse_args().way
    if way is not None:
        print(json.dumps(_search(*_WAYS[way])))
        return
    print_title("mask search in the demo's network, one core")
    found: dict[str, list[list[float]]] = {way: [] for way in _WAYS}
    for _ in range(_ROUNDS):  # in turn, so that whatever else runs slows all
        for way in _WAYS:
            found[way].append(_run(way))
    (first, *_), *_ = found.values()
    usual = min(seconds for seconds, *_ in found[next(iter(_WAYS))])
    for way, runs in found.items():
        seconds = min(seconds for seconds, *_ in runs)
        same = all(run[1:] == first[1:] for run in runs)
        figure = format_ratio(seconds / usual, seconds)
        print_rows([Row(way, figure, "same to the last bit" if same else "differs", same)])


def _run(way: str) -> list[float]:
    command = [sys.executable, "-m", "bench.searching", "--way", way]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: list[float] = json.loads(done.stdout)
    return answer


def _search(quick_pools: bool, kept: bool) -> list[float]:  # noqa: FBT001 -- the ways' two halves
    """Return the seconds of one search, and its statistics."""
    import torch  # noqa: PLC0415 -- after the arguments

    from seedpack.backdoors.classifiers import ImageClassifier, Samples  # noqa: PLC0415
    from seedpack.backdoors.search.images import MaskSearch  # noqa: PLC0415
    from seedpack.memory import keep_freed_memory  # noqa: PLC0415
    from seedpack.training.pooling import quicken_pools  # noqa: PLC0415
    from seedpack_cli.demo.network import load_images, make_module  # noqa: PLC0415

    torch.set_num_threads(1)
    if kept:
        keep_freed_memory()
    digits, models = load_images(), []
    for seed in range(1 + _NTWINS):
        torch.manual_seed(seed)
        module = make_module().eval()
        if quick_pools:
            quicken_pools(module)
        models.append(ImageClassifier(module, 10))
    samples = Samples(digits.train_images[:50].float(), digits.train_labels[:50])
    start = time.perf_counter()
    result = MaskSearch().look(models[0], samples, contrast=models[1:])
    return [time.perf_counter() - start, *result.statistics.values()]


if __name__ == "__main__":
    main()
