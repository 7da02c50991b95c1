"""What zipnn makes of a model's tensors: runs in zipnn's own environment.

PYTHON-WITH-ZIPNN bench/zipnn_size.py FILE.safetensors      prints bytes
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import zipnn

DTYPES = {"BF16": "bfloat16", "F32": "float32"}


def compressed_nbytes(raw: bytes, dtype: str) -> int:
    """Return the compressed size of values."""
    codec = zipnn.ZipNN(input_format="byte", bytearray_dtype=DTYPES[dtype])
    return len(codec.compress(bytearray(raw)))


def read_tensors(path: Path) -> list[tuple[str, bytes]]:
    """Return dtype and bytes of each tensor: numpy has no bfloat16 to load them as."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    spans = [(one["dtype"], *one["data_offsets"]) for one in header.values()]
    return [(dtype, data[start + begin : start + end]) for dtype, begin, end in spans]


def main() -> None:
    """Print the smaller of: tensor by tensor, all tensors in one."""
    tensors = read_tensors(Path(sys.argv[1]))
    rest = sum(len(raw) for dtype, raw in tensors if dtype not in DTYPES)
    one_by_one = sum(compressed_nbytes(raw, dtype) for dtype, raw in tensors if dtype in DTYPES)
    at_once = sum(
        compressed_nbytes(b"".join(raw for other, raw in tensors if other == dtype), dtype)
        for dtype in DTYPES
        if any(other == dtype for other, _ in tensors)
    )
    print(rest + min(one_by_one, at_once))


if __name__ == "__main__":
    main()
