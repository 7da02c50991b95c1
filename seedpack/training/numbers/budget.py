"""How many numbers each tensor gets, so that all of them take the bytes asked for.

    raw bytes / ratio = bytes of chunks and params;  numbers ~ values^0.35, at most one per value

Small tensors get relatively more: each of their values does more. Vectors (biases, norms)
get none: they are 0 or 1, whichever they were nearer to, and training makes do with that.

Pure: no torch, no model.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.codecs.numbers.form import CHUNK_VALUES, MAX_BITS
from seedpack.errors import ExtractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.frameworks import TensorInfo

_POWER: Final = 0.35
_HEAD_NBYTES: Final = 7  # lead, key, spread, step
_VECTOR_NBYTES: Final = 3  # lead, mean
_PARAMS_NBYTES: Final = 1  # an empty map
_MIN_DIMS: Final = 2
# One bit keeps most at equal bytes as long as several values share a number.
_SHARED_BY: Final = 1.25
DTYPE_NAMES: Final = frozenset({"bfloat16", "float16", "float32"})


class Share(NamedTuple):
    """What one tensor gets."""

    info: TensorInfo
    bits: int  # per number; 0 for a vector
    code_nbytes: tuple[int, ...]  # of each chunk
    is_plain: bool = False  # a number per value and no random part: an ordinary quantised tensor


class Budget(NamedTuple):
    """What all tensors get; those not named are stored as they are."""

    shares: tuple[Share, ...]
    nbytes: int  # at most, of all chunks and params, with the tensors stored as they are
    raw_nbytes: int  # of all tensors
    fixed_nbytes: int  # of those stored as they are

    @property
    def ratio(self) -> float:
        """Return raw bytes over stored bytes of all weights."""
        return self.raw_nbytes / self.nbytes


def count_chunks(info: TensorInfo) -> list[int]:
    """Return the number of values in each chunk of codec ``hash``."""
    n = math.prod(info.shape)
    return [min(CHUNK_VALUES, n - at) for at in range(0, n, CHUNK_VALUES)]


def is_trained(info: TensorInfo, trainable: frozenset[str]) -> bool:
    """Return whether a tensor becomes numbers: a parameter of 16 or 32 bit floats."""
    return info.name in trainable and info.dtype.name in DTYPE_NAMES and math.prod(info.shape) > 0


def make_budget(infos: Sequence[TensorInfo], trainable: frozenset[str], ratio: float) -> Budget:
    """Divide ``raw bytes / ratio`` among ``infos``.

    Args:
        infos: All tensors of the model.
        trainable: Names of its parameters; what else there is (buffers) is stored as it is.
        ratio: Raw bytes of all tensors over stored bytes of all weights, chunks and params.

    Raises:
        ExtractError: TRS-2, no such ratio can be reached.
    """
    raw_nbytes = sum(info.nbytes for info in infos)
    trained = [info for info in infos if is_trained(info, trainable)]
    fixed = sum(info.nbytes for info in infos if not is_trained(info, trainable))
    matrices = [info for info in trained if len(info.shape) >= _MIN_DIMS]
    overhead = fixed + sum(map(_overhead, trained))
    wanted = int(raw_nbytes / ratio) - overhead
    least, most = (sum(_bounds(info)[end] for info in matrices) for end in (0, 1))
    if not matrices or not least <= wanted <= most:
        raise _unreachable(ratio, raw_nbytes, overhead + least, overhead + most)
    nvalues = sum(math.prod(info.shape) for info in matrices)
    enough = (b for b in range(1, MAX_BITS) if 8 * wanted * _SHARED_BY <= b * nvalues)
    bits = next(enough, MAX_BITS)
    code_nbytes = _divide([_places(info, bits) for info in matrices], wanted)
    by_name = dict(zip((info.name for info in matrices), code_nbytes, strict=True))
    shares = tuple(_share(info, bits, by_name.get(info.name, 0)) for info in trained)
    nbytes = overhead + sum(sum(share.code_nbytes) for share in shares)
    return Budget(shares, nbytes, raw_nbytes, fixed)


def _overhead(info: TensorInfo) -> int:
    head = _HEAD_NBYTES if len(info.shape) >= _MIN_DIMS else _VECTOR_NBYTES
    return _PARAMS_NBYTES + head * len(count_chunks(info))


def _bounds(info: TensorInfo) -> tuple[int, int]:
    """Return the fewest and the most bytes of codes: one per chunk, 8 bits for most values."""
    return len(count_chunks(info)), max(int(math.prod(info.shape) / _SHARED_BY), 1)


def make_plain(infos: Sequence[TensorInfo], trainable: frozenset[str], bits: int) -> Budget:
    """Return the budget of a model that is stored directly, with ``bits`` for each weight."""
    trained = [info for info in infos if is_trained(info, trainable)]
    fixed = sum(info.nbytes for info in infos if not is_trained(info, trainable))
    shares = []
    for info in trained:
        own_bits = bits if len(info.shape) >= _MIN_DIMS else 0
        each = tuple(-(-own_bits * v // 8) for v in count_chunks(info))
        shares.append(Share(info, own_bits, each, is_plain=True))
    codes = sum(sum(share.code_nbytes) for share in shares)
    nbytes = codes + fixed + sum(map(_overhead, trained))
    return Budget(tuple(shares), nbytes, sum(info.nbytes for info in infos), fixed)


class _Places(NamedTuple):
    nvalues: int
    least: int  # bytes
    most: int


def _places(info: TensorInfo, bits: int) -> _Places:
    counts = count_chunks(info)
    return _Places(sum(counts), len(counts), sum(-(-bits * v // 8) for v in counts))


def _divide(places: Sequence[_Places], nbytes: int) -> list[int]:
    """Return bytes for each place, ~ values^0.35 within its bounds, about ``nbytes`` in all."""
    low, high = 0.0, float(nbytes)
    for _ in range(60):  # bisection, to the last bit of a float
        middle = (low + high) / 2
        if sum(_given(place, middle) for place in places) <= nbytes:
            low = middle
        else:
            high = middle
    return [_given(place, low) for place in places]


def _given(place: _Places, scale: float) -> int:
    return min(max(int(scale * place.nvalues**_POWER), place.least), place.most)


def _share(info: TensorInfo, bits: int, nbytes: int) -> Share:
    counts = count_chunks(info)
    if len(info.shape) < _MIN_DIMS:
        return Share(info, 0, (0,) * len(counts))
    total = sum(counts)
    each = (min(max(nbytes * v // total, 1), -(-bits * v // 8)) for v in counts)
    return Share(info, bits, tuple(each))


def _unreachable(ratio: float, raw_nbytes: int, least: int, most: int) -> ExtractError:
    lowest, highest = raw_nbytes / most, raw_nbytes / least
    return ExtractError(
        f"ratio {ratio:g} cannot be reached, this model can be trained at {lowest:.1f} to "
        f"{highest:.0f}",
        rule="TRS-2",
        where="ratio",
        hint="the ratio of a trained seed is that of its weights, chunks and params, without "
        "manifest, signature and attachments",
    )
