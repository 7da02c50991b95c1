"""Tensors from ``.safetensors`` files, without torch.

    file --safetensors library: whole file accounted for--> header --> slices by pread

The library validates; the bytes are then read by position, because its Python interface
hands out bfloat16 and float8 through torch only. What it lets through all the same
(duplicate names, since 0.8) is refused here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from seedpack.dtypes import DTYPES
from seedpack.errors import ExtractError
from seedpack.files import InputFile
from seedpack.frameworks.sources import NamedTensor, TensorInfo, check_info, check_unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from seedpack.frameworks.sources import LeftOut

CODES: Final = {  # name of ours -> code of the format
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}
_DTYPES: Final = {code: DTYPES[name] for name, code in CODES.items()}
LENGTH_NBYTES: Final = 8  # of the header's length, u64, in front of it
METADATA: Final = "__metadata__"


class _Entry(NamedTuple):
    info: TensorInfo
    offset: int  # from the start of the file


class SafetensorsWeights:
    """The tensors of one ``.safetensors`` file, in the order of their bytes."""

    left_out: tuple[LeftOut, ...] = ()

    def __init__(self, path: Path) -> None:
        """Validate the file and read its header.

        Raises:
            ExtractError: EXT-4, not a sound file; EXT-6 to EXT-8, a tensor no seed can carry.
        """
        _validate(path)
        # The publisher's own folders are full of links (the cache of the hub is): follow them.
        self._path = path.resolve()
        with InputFile(self._path) as file:
            header_nbytes = int.from_bytes(file.read(0, LENGTH_NBYTES), "little")
            text = file.read(LENGTH_NBYTES, header_nbytes)
        header = _parse_header(text, where=str(path))
        start = LENGTH_NBYTES + header_nbytes
        entries = [_entry(name, raw, start) for name, raw in header.items() if name != METADATA]
        self._entries = tuple(sorted(entries, key=lambda entry: entry.offset))

    def infos(self) -> tuple[TensorInfo, ...]:
        """Return what the header says."""
        return tuple(entry.info for entry in self._entries)

    def tensors(self) -> Iterator[NamedTensor]:
        """Read one tensor after another.

        Raises:
            IntegrityError: FIL-2, the file was cut or changed meanwhile.
        """
        with InputFile(self._path) as file:
            for entry in self._entries:
                yield _read_entry(file, entry)
            file.check_unchanged()

    def read(self, name: str) -> NamedTensor:
        """Read one of the tensors.

        Raises:
            IntegrityError: FIL-2, the file was cut.
        """
        (entry,) = (entry for entry in self._entries if entry.info.name == name)
        with InputFile(self._path) as file:
            return _read_entry(file, entry)


def _read_entry(file: InputFile, entry: _Entry) -> NamedTensor:
    data = bytearray(entry.info.nbytes)
    file.read_into(entry.offset, memoryview(data))
    return NamedTensor(*entry.info, memoryview(data).toreadonly())


def _validate(path: Path) -> None:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 -- 30 ms

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ExtractError(
            f"not a sound safetensors file: {error}"[:300], rule="EXT-4", where=str(path)
        ) from error


def _parse_header(text: bytes, *, where: str) -> dict[str, Any]:
    def refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        check_unique((name for name, _ in pairs), where=where)
        return dict(pairs)

    header: dict[str, Any] = json.loads(text, object_pairs_hook=refuse_duplicates)
    return header


def _entry(name: str, raw: dict[str, Any], start: int) -> _Entry:
    where = f"tensor {name[:80]!a}"
    if raw["dtype"] not in _DTYPES:
        raise ExtractError(
            f"dtype {raw['dtype']!a} cannot be carried",
            rule="EXT-6",
            where=where,
            hint=f"possible are {', '.join(_DTYPES)}; dequantise the model first",
        )
    info = TensorInfo(name, _DTYPES[raw["dtype"]], tuple(raw["shape"]))
    check_info(info)
    begin, end = raw["data_offsets"]
    if end - begin != info.nbytes:
        raise ExtractError("bytes and shape disagree", rule="EXT-4", where=where)
    return _Entry(info, start + begin)
