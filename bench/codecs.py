"""Lossy codecs on a real transformer: bits above the limit, speed, knowledge kept.

    python -m bench.codecs [--quick]       from the root of the repository

All on MiniLM-L6 (22.7 M weights), every figure from this one run.

distortion  bits per weight above the rate-distortion bound of a Gaussian of the same variance
            at the same squared error, everything stored counted
speed       encoding: ``encode_tensor``, one thread; decoding: what ``assemble`` does, that is
            reading, both digests of each tensor, decoding, on all cores
knowledge   mean cosine of sentence embeddings to the original's, without any tuning
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

import seedpack
from bench.lossless import default_model
from bench.table import Row, print_rows, print_title
from seedpack.codecs import encode_tensor, get_codec
from seedpack.container.manifest import Chunk, Layer
from seedpack.dtypes import DTYPES
from seedpack.seed.tensors import decode_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.codecs.base import Encoded

# Bits above the bound, mean by size: theory says 0.2546 for a uniform grid, lanes and models add
# 0.01. Weights per second over two cores.
_BARS = {"ecq": (0.265, 40e6), "tcq": (0.15, 25e6)}
_MATRICES = (
    "encoder.layer.2.intermediate.dense.weight",
    "encoder.layer.0.attention.self.query.weight",
    "embeddings.word_embeddings.weight",
)
_SHARES = (1.8, 1.45, 1.0, 0.7, 0.5, 0.25)  # of the standard deviation: 1 to 4 bits
_STEPS = (0.0242, 0.0486, 0.0685)  # one for all matrices: about 9.9, 14.2 and 19.2 times smaller
_F32 = DTYPES["float32"]
_ROUNDS = 7
_SENTENCES = 300  # of each source
_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class Stored(NamedTuple):
    """A tensor that went through a codec."""

    values: np.ndarray
    nbytes: int  # chunks and params


def main() -> None:
    """Print all sections."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    tensors = load_file(default_model() / "model.safetensors")
    for codec in _BARS:
        print_title(f"{codec}: bits per weight above the Gaussian bound at the same error")
        print_rows(list(_distortion_rows(codec, tensors)))
    print_title(f"speed, {len(os.sched_getaffinity(0))} cores")
    print_rows(
        [row for codec in _BARS for row in (_encode_row(codec, tensors), _decode_row(codec))]
    )
    if "--quick" not in sys.argv[1:]:
        print_title("knowledge kept with one step for all matrices")
        print_rows(list(_knowledge_rows(tensors)))


# ---------------------------------------------------------------- distortion


def _distortion_rows(codec: str, tensors: dict[str, np.ndarray]) -> Iterator[Row]:
    most, _ = _BARS[codec]
    for share in _SHARES:
        gaps, rates = [], []
        for name in _MATRICES:
            values = tensors[name]
            exact = values.astype(np.float64)
            stored = _store(codec, values, float(np.float32(share * exact.std())))
            rate = 8 * stored.nbytes / values.size
            error = np.square(stored.values - exact).mean()
            rates.append(rate)
            gaps.append(rate - 0.5 * math.log2(exact.var() / error))
        mean = np.average(gaps, weights=[tensors[name].size for name in _MATRICES])
        figure = " ".join(f"{gap:.3f}" for gap in gaps)
        what = f"{statistics.mean(rates):.2f} bits: FFN, attention, embedding"
        yield Row(what, figure, f"mean by size {mean:.3f} <= {most}", bool(mean <= most))


def _store(codec: str, values: np.ndarray, step: float) -> Stored:
    encoded = encode_tensor(codec, values, _F32, settings={"step": step})
    params = (len(v) if isinstance(v, bytes) else 4 for v in encoded.params.values())
    nbytes = encoded.stored_nbytes + sum(params)
    return Stored(_decode(encoded, values.shape), nbytes)


def _decode(encoded: Encoded, shape: tuple[int, ...]) -> np.ndarray:
    layer = Layer(
        chunks=[Chunk(len(chunk), bytes(32)) for chunk in encoded.chunks],
        codec=encoded.codec,
        digest=bytes(32),
        dtype=_F32.name,
        finite=True,
        name="w",
        params=encoded.params,
        shape=list(shape),
    )
    decoder = get_codec(encoded.codec).decoder(layer, _F32)
    for index, chunk in enumerate(encoded.chunks):
        decoder.decode_chunk(index, memoryview(chunk))
    return decoder.finish().reshape(shape)


# ---------------------------------------------------------------- speed


def _matrices(tensors: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
    return (values for values in tensors.values() if values.ndim > 1 and values.dtype == np.float32)


def _encode_row(codec: str, tensors: dict[str, np.ndarray]) -> Row:
    start = time.perf_counter()
    for values in _matrices(tensors):
        encode_tensor(codec, values, _F32)
    seconds = time.perf_counter() - start
    weights = sum(values.size for values in _matrices(tensors))
    return Row(f"{codec}: encode, one thread", f"{weights / seconds / 1e6:.1f} M weights/s")


def _decode_row(codec: str) -> Row:
    _, least = _BARS[codec]
    with tempfile.TemporaryDirectory(prefix="seedpack-bench-") as folder:
        path = Path(folder) / "minilm.seed"
        report = seedpack.extract_seed(default_model(), path, name="bench/minilm", codec=codec)
        with seedpack.open_unverified(path) as seed:
            times = []
            for _ in range(_ROUNDS):
                start = time.perf_counter()
                weights = sum(tensor.array.size for tensor in decode_layers(seed))
                times.append(time.perf_counter() - start)
    speed = weights / statistics.median(times)
    stored = sum(layer.stored_nbytes for layer in report.layers)
    what = f"{codec}: decode a seed of {8 * stored / weights:.2f} bits per weight"
    figure = f"{speed / 1e6:.0f} M weights/s (best {weights / min(times) / 1e6:.0f})"
    return Row(what, figure, f">= {least / 1e6:.0f} M/s", speed >= least)


# ---------------------------------------------------------------- knowledge


def _knowledge_rows(tensors: dict[str, np.ndarray]) -> Iterator[Row]:
    sentences = _read_sentences()
    if not sentences:
        yield Row("cosine of sentence embeddings", f"no sentences in {_DATA.name}: skipped")
        return
    encoder = _SentenceEncoder(sentences)
    original = encoder.embed(tensors)
    for step, codec in itertools.product(_STEPS, _BARS):
        kept, stored = dict(tensors), 0
        for name, values in tensors.items():
            if values.ndim > 1 and values.dtype == np.float32:
                kept[name], nbytes = _store(codec, values, float(np.float32(step)))
            else:
                nbytes = values.nbytes
            stored += nbytes
        cosine = (encoder.embed(kept) * original).sum(axis=1).mean()
        ratio = sum(values.nbytes for values in tensors.values()) / stored
        what = f"{codec}, step {step}: {ratio:.1f}x smaller"
        yield Row(what, f"cosine {cosine:.3f} ({len(sentences)} sentences)")


def _read_sentences() -> list[str]:
    sources = (_DATA / "sst2" / "dev.tsv", _DATA / "wikitext2" / "valid.txt")
    if not all(path.exists() for path in sources):
        return []
    reviews, articles = (path.read_text("utf-8").splitlines() for path in sources)
    long = [line.strip()[:300] for line in articles if len(line) > 80]
    return [line.split("\t")[0] for line in reviews[:_SENTENCES]] + long[:_SENTENCES]


class _SentenceEncoder:
    """MiniLM-L6 as its card says: mean over tokens, then length 1."""

    def __init__(self, sentences: list[str]) -> None:
        import torch  # noqa: PLC0415 -- an extra, and not in --quick
        import transformers  # noqa: PLC0415

        self._torch: Any = torch
        folder = default_model()
        self._model = transformers.AutoModel.from_pretrained(folder).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self._batches = [
            tokenizer(batch, padding=True, truncation=True, max_length=128, return_tensors="pt")
            for batch in (sentences[i : i + 64] for i in range(0, len(sentences), 64))
        ]

    def embed(self, tensors: dict[str, np.ndarray]) -> np.ndarray:
        """Return (sentences, features), each row of length 1."""
        state = {name: self._torch.from_numpy(values) for name, values in tensors.items()}
        self._model.load_state_dict(state, strict=False)
        rows = []
        with self._torch.inference_mode():
            for batch in self._batches:
                tokens = self._model(**batch).last_hidden_state
                mask = batch["attention_mask"][..., None]
                rows.append(((tokens * mask).sum(1) / mask.sum(1)).numpy())
        means = np.concatenate(rows)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


if __name__ == "__main__":
    main()
