"""Numbers from npz, and images in one folder per class (spec: TRN-1, TRN-2, TRN-4, TRN-9).

An npz is a zip of arrays. What each entry's header claims is compared with what the zip
holds before numpy allocates anything; pickled entries are never loaded.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from seedpack.errors import TrainingError
from seedpack.training.examples import MAX_ARRAYS_NBYTES, MAX_EXAMPLES, Examples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_INPUTS: Final = ("x", "X", "inputs", "images", "data")
_TARGETS: Final = ("y", "Y", "targets", "labels", "target")
_IMAGE_ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif"})
# What the readers of zip and npy raise on bytes that are none.
_ZIP_ERRORS: Final = (
    EOFError,
    MemoryError,
    NotImplementedError,  # a method of compression that is not there
    OSError,
    RuntimeError,  # encrypted
    SyntaxError,
    ValueError,
    TypeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_MAX_HEADER_NBYTES: Final = 10_000


def read_npz(path: Path) -> Examples:
    """Read arrays ``x`` (or ``X``) and ``y``.

    Raises:
        TrainingError: TRN-1, no such arrays; TRN-2, too large; TRN-4, no ``y``; TRN-9, not numbers.
    """
    where = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_bounds(archive, where)
            inputs = _read(archive, _INPUTS, where)
            targets = _read(archive, _TARGETS, where)
    except _ZIP_ERRORS as error:
        raise TrainingError(f"not npz: {error}"[:200], rule="TRN-1", where=where) from error
    if inputs is None:
        raise TrainingError("no array x", rule="TRN-1", where=where, hint="np.savez(x=..., y=...)")
    if targets is None:
        raise TrainingError("no array y", rule="TRN-4", where=where, hint="np.savez(x=..., y=...)")
    _check_count(inputs, where)
    _check_count(targets, where)
    _check_inputs(inputs, where)
    if targets.ndim != 1 or inputs.ndim == 0 or len(inputs) != len(targets):
        raise TrainingError(
            f"x of shape {list(inputs.shape)} and y of shape {list(targets.shape)}",
            rule="TRN-1",
            where=where,
            hint="y has one entry per entry of x",
        )
    return Examples("arrays", inputs, _as_targets(targets, where), where)


def _check_bounds(archive: zipfile.ZipFile, where: str) -> None:
    nbytes = sum(member.file_size for member in archive.infolist())
    if nbytes > MAX_ARRAYS_NBYTES:
        raise TrainingError(
            f"{nbytes} bytes of arrays, at most {MAX_ARRAYS_NBYTES} are read",
            rule="TRN-2",
            where=where,
        )


def _read(archive: zipfile.ZipFile, names: tuple[str, ...], where: str) -> NDArray[Any] | None:
    members = {member.filename: member for member in archive.infolist()}
    name = next((f"{name}.npy" for name in names if f"{name}.npy" in members), None)
    if name is None:
        return None
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"version {version}")
        shape, _, dtype = read_header(file, max_header_size=_MAX_HEADER_NBYTES)
        header_nbytes = file.tell()
    if dtype.hasobject:
        raise TrainingError(f"{name} holds Python objects", rule="TRN-9", where=where)
    if math.prod(shape) * dtype.itemsize != members[name].file_size - header_nbytes:
        raise TrainingError(f"{name} is not as long as it says", rule="TRN-1", where=where)
    with archive.open(name) as file:
        array: NDArray[Any] = np.lib.format.read_array(
            file, allow_pickle=False, max_header_size=_MAX_HEADER_NBYTES
        )
        return array


def _check_count(array: NDArray[Any], where: str) -> None:
    """Refuse more entries than are read: where each has no bytes, no size of a file bounds them."""
    if array.ndim and len(array) > MAX_EXAMPLES:
        raise TrainingError(
            f"{len(array)} examples, at most {MAX_EXAMPLES} are read", rule="TRN-2", where=where
        )


def _check_inputs(inputs: NDArray[Any], where: str) -> None:
    if inputs.dtype.kind not in "iufb":
        raise TrainingError(f"x is {inputs.dtype}, not numbers", rule="TRN-9", where=where)
    if not np.isfinite(inputs).all():
        raise TrainingError("x holds NaN or infinity", rule="TRN-9", where=where)


def _as_targets(targets: NDArray[Any], where: str) -> list[str] | NDArray[np.float32]:
    if targets.dtype.kind in "iubU":
        kept = targets.astype(np.int8) if targets.dtype.kind == "b" else targets
        return [str(value) for value in kept.tolist()]
    if targets.dtype.kind != "f":
        raise TrainingError(f"y is {targets.dtype}", rule="TRN-9", where=where)
    if not np.isfinite(targets).all():
        raise TrainingError("y holds NaN or infinity", rule="TRN-9", where=where)
    return targets.astype(np.float32)


def read_image_folder(folder: Path) -> Examples:
    """List the images of a folder with one folder per class.

    Raises:
        TrainingError: TRN-3, no images; TRN-4, images outside of classes.
    """
    where = str(folder)
    inputs: list[Path] = []
    targets: list[str] = []
    for entry in sorted(folder.iterdir()):
        if entry.is_file() and entry.suffix.lower() in _IMAGE_ENDINGS:
            raise TrainingError(
                "an image outside of a class",
                rule="TRN-4",
                where=str(entry),
                hint="DATA/CLASS/IMAGE.png",
            )
        if not entry.is_dir() or entry.name.startswith("."):
            continue
        images = [p for p in sorted(entry.iterdir()) if p.suffix.lower() in _IMAGE_ENDINGS]
        inputs += images
        targets += [entry.name] * len(images)
        if len(inputs) > MAX_EXAMPLES:
            break
    return Examples("images", inputs, targets, where)
