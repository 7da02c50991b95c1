"""What zipnn makes of a model's tensors: runs in zipnn's own environment.

PYTHON-WITH-ZIPNN bench/zipnn_size.py FILE.safetensors      prints bytes
"""

from __future__ import annotations

import sys

import zipnn
from safetensors.numpy import load_file


def compressed_nbytes(raw: bytes) -> int:
    """Return the compressed size of float32 values."""
    codec = zipnn.ZipNN(input_format="byte", bytearray_dtype="float32")
    return len(codec.compress(bytearray(raw)))


def main() -> None:
    """Print the smaller of: tensor by tensor, all tensors in one."""
    tensors = load_file(sys.argv[1]).values()
    floats = [values.tobytes() for values in tensors if values.dtype.name == "float32"]
    rest = sum(values.nbytes for values in tensors if values.dtype.name != "float32")
    one_by_one = sum(map(compressed_nbytes, floats))
    print(rest + min(one_by_one, compressed_nbytes(b"".join(floats))))


if __name__ == "__main__":
    main()
