"""Codec ``raw`` on a model of bfloat16: MiniLM-L6, cast. Sizes only.

python -m bench.bfloat16 MODEL.safetensors OUT.safetensors      casts, and prints sizes as JSON
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench import rivals
from bench.measure import python_command, run
from bench.table import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

_ZIPNN_FACTOR = 1.01
_LIMIT = 1.50  # of the model's size: its exponents' entropy, and all other bits verbatim


def measure(model: Path, environment: Mapping[str, str]) -> list[Row]:
    """Return the rows of size, for ``model`` cast to bfloat16."""
    with tempfile.TemporaryDirectory() as folder:
        cast = Path(folder) / "cast.safetensors"
        figures = json.loads(run(python_command("bfloat16", model, cast), environment).output)
        stored, nbytes = figures["stored_nbytes"], figures["raw_nbytes"]
        zstd, what = figures["zstd19_nbytes"], "stored / zipnn size"
        rows = [
            Row("original / stored size", f"{nbytes / stored:.4f}x (limit {_LIMIT:.2f}x)"),
            Row("stored / zstd -19 size", f"{stored / zstd:.4f}x", "< 1x", stored < zstd),
        ]
        python, bar = rivals.zipnn_python(), f"<= {_ZIPNN_FACTOR}x"
        if python is None:
            return [*rows, Row(what, "zipnn is not installed", bar)]
        program = Path(__file__).with_name("zipnn_size.py")
        theirs = int(run([str(python), str(program), str(cast)], environment).output)
    figure = f"{stored / theirs:.4f}x (zipnn {nbytes / theirs:.4f}x)"
    return [*rows, Row(what, figure, bar, stored <= _ZIPNN_FACTOR * theirs)]


# ---------------------------------------------------------------- in the child


def write_cast(model: Path, out: Path) -> int:
    """Write ``model`` with float32 as the nearest bfloat16; return the bytes of its values."""
    from safetensors.numpy import load_file  # noqa: PLC0415 -- in the child only

    from seedpack.codecs.floats import round_bfloat16  # noqa: PLC0415

    header, pieces, at = {}, [], 0
    for name, values in load_file(model).items():
        if values.dtype.name != "float32":
            continue
        piece = round_bfloat16(values.reshape(-1)).tobytes()
        offsets = [at, at := at + len(piece)]
        header[name] = {"dtype": "BF16", "shape": values.shape, "data_offsets": offsets}
        pieces.append(piece)
    packed = json.dumps(header).encode()
    out.write_bytes(len(packed).to_bytes(8, "little") + packed + b"".join(pieces))
    return at


def measure_sizes(model: Path, out: Path) -> dict[str, int]:
    """Return sizes in bytes."""
    import zstandard  # noqa: PLC0415

    import seedpack  # noqa: PLC0415

    nbytes, seed_path = write_cast(model, out), out.with_suffix(".seed")
    seedpack.extract_seed(out, seed_path, name="bench/bfloat16", codec="raw")
    with seedpack.open_unverified(seed_path) as seed:
        stored_nbytes = sum(chunk.stored_nbytes for chunk in seed.manifest.chunks)
    zstd19 = zstandard.ZstdCompressor(level=19, threads=-1).compress(out.read_bytes())
    return {"raw_nbytes": nbytes, "stored_nbytes": stored_nbytes, "zstd19_nbytes": len(zstd19)}


if __name__ == "__main__":
    print(json.dumps(measure_sizes(Path(sys.argv[1]), Path(sys.argv[2]))))
