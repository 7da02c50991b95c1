"""Writes ``.safetensors`` one tensor at a time.

    u64 header length | JSON header, padded to 8 bytes | tensors without gaps

The library's own writer wants all tensors in memory at once. Ours knows every size
beforehand and puts each tensor at its place, in whatever order they come.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from seedpack.frameworks.safetensors_files import CODES, LENGTH_NBYTES, METADATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import BinaryIO

    from seedpack.frameworks.sources import NamedTensor, TensorInfo

_ALIGNMENT_NBYTES: Final = 8  # of the first tensor, as the library does
_FORMAT: Final = {"format": "pt"}  # transformers refuses files that do not say which framework


def write_safetensors(
    file: BinaryIO,
    infos: Sequence[TensorInfo],
    tensors: Iterable[NamedTensor],
    notes: Mapping[str, str] | None = None,
) -> int:
    """Write all tensors of ``infos``; return the size of the file.

    Args:
        file: Empty and seekable.
        infos: All that will be written, names unique.
        tensors: The same tensors, each once, in any order.
        notes: What else the header's metadata say.

    Raises:
        ValueError: ``tensors`` are not those of ``infos`` (programming error).
    """
    # Widest elements first keeps each tensor aligned to its itemsize without padding, which
    # torch needs to map the file; sorting is stable, so an unaltered file comes out the same.
    ordered = sorted(infos, key=lambda info: -info.dtype.itemsize)
    offsets: dict[str, int] = {}
    end = 0
    for info in ordered:
        offsets[info.name] = end
        end += info.nbytes
    head = _header(ordered, offsets, notes or {})
    file.write(head)
    expected = {info.name: info for info in infos}
    for tensor in tensors:
        info = expected.pop(tensor.name)
        if (info.dtype, info.shape, info.nbytes) != (tensor[1], tensor[2], len(tensor.data)):
            raise ValueError(f"tensor {tensor.name} is not as announced")
        file.seek(len(head) + offsets[tensor.name])
        file.write(tensor.data)
    if expected:
        raise ValueError(f"tensors never given: {sorted(expected)}")
    return len(head) + end


def _header(
    ordered: Sequence[TensorInfo], offsets: dict[str, int], notes: Mapping[str, str]
) -> bytes:
    header: dict[str, object] = {METADATA: {**_FORMAT, **notes}}
    for info in ordered:
        begin = offsets[info.name]
        header[info.name] = {
            "dtype": CODES[info.dtype.name],
            "shape": list(info.shape),
            "data_offsets": [begin, begin + info.nbytes],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT_NBYTES)
    return len(text).to_bytes(LENGTH_NBYTES, "little") + text
