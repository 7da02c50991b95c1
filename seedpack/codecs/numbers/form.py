"""A chunk of trained numbers: its few fields, and the values that they stand for.

    stored bytes --split_chunk--> Form, codes (d,) --expand, by a Mixing--> float32 values (v,)
    Form, codes  --join_chunk---> stored bytes

All is integer arithmetic, and three elementwise float32 operations in a fixed order. Rules of
the chunk are those of ``hash``, whatever the codec (spec/codecs/hash.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

import numpy as np

from seedpack.codecs import prng
from seedpack.codecs.floats import round_bfloat16, widen_bfloat16
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK_VALUES: Final = 1 << 18  # COD-HASH-2: fixed, so that a layer needs no params
MAX_BITS: Final = 8
MAX_KEY: Final = (1 << 16) - 1

_BITS_MASK: Final = 0x0F
_HAS_MEAN, _HAS_SPREAD, _HAS_KEY = 0x10, 0x20, 0x40
_FIELD_NBYTES: Final = 2
# COD-HASH-5: between them no operation overflows or leaves the normal numbers.
_LEAST, _GREATEST = 2.0**-64, 2.0**64
_SPREAD_LABEL, PLACE_LABEL = 0, 1  # of the streams that a key has


class Mixing(Protocol):
    """A linear map from d integers to v, the same for everyone who has the chunk's key.

    Attributes:
        terms: How many numbers each value is a sum of.
        uses: (d,) how many values each number is part of.
    """

    terms: int
    uses: np.ndarray

    def mix(self, levels: np.ndarray) -> np.ndarray:
        """Return the values (v,) of levels (d,), exactly if these are integers."""

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Return what the adjoint map makes of ``values`` (v,): (d,), of the same dtype."""


# Of key, d and v, 0 < d < v.
MakeMixing: TypeAlias = "Callable[[int, int, int], Mixing]"


class Form(NamedTuple):
    """All of a chunk but its codes; mean, spread and step are bfloat16 values."""

    bits: int  # per code; 0: there are none
    step: float = 0.0  # half the distance between levels; 0 without codes
    mean: float = 0.0
    spread: float = 0.0  # of the random part, which is uniform
    key: int | None = None  # of the PRNG; None where nothing is random

    def head(self) -> bytes:
        """Return the fields as they are stored."""
        has_mean, has_spread, has_key = self.mean != 0, self.spread != 0, self.key is not None
        lead = self.bits | has_mean * _HAS_MEAN | has_spread * _HAS_SPREAD | has_key * _HAS_KEY
        fields = [self.mean] * has_mean + [self.spread] * has_spread + [self.step] * (self.bits > 0)
        words = ([] if self.key is None else [self.key]) + [bfloat16_bits(x) for x in fields]
        return bytes([lead]) + np.array(words, "<u2").tobytes()


def bfloat16_bits(value: float) -> int:
    """Return the bits of the bfloat16 nearest to ``value``."""
    return int(round_bfloat16(np.array([value], np.float32))[0])


def count_numbers(nbytes: int, bits: int, nvalues: int) -> int:
    """Return d: how many numbers ``nbytes`` of codes hold, no more than there are values."""
    return min(8 * nbytes // bits, nvalues) if bits else 0


def join_chunk(form: Form, codes: np.ndarray) -> bytes:
    """Return the stored bytes of a chunk.

    Args:
        form: Its fields.
        codes: (d,) 0 to 2^bits - 1, d such that ``count_numbers`` finds it again.
    """
    shifts = np.arange(form.bits)
    planes = codes.astype(np.uint8)[:, None] >> shifts & 1  # (d, bits), lowest bit first
    return (
        form.head() + np.packbits(planes.reshape(-1).astype(np.uint8), bitorder="little").tobytes()
    )


def split_chunk(stored: memoryview, nvalues: int, where: str) -> tuple[Form, np.ndarray]:
    """Return the fields and codes (d,) of a chunk for ``nvalues`` values.

    Raises:
        CodecError: COD-HASH-3 to COD-HASH-6.
    """
    form, at = _read_head(stored, where)
    nbytes = len(stored) - at
    if nbytes > -(-form.bits * nvalues // 8) or bool(nbytes) != bool(form.bits):
        message = f"{nbytes} bytes of codes of {form.bits} bits for {nvalues} values"
        raise CodecError(message, rule="COD-HASH-4", where=where)
    count = count_numbers(nbytes, form.bits, nvalues)
    _check_key(form, count, nvalues, where)
    planes = np.unpackbits(np.frombuffer(stored[at:], np.uint8), bitorder="little")
    if planes[count * form.bits :].any():
        raise CodecError("spare bits that are not zero", rule="COD-HASH-6", where=where)
    codes = planes[: count * form.bits].reshape(count, form.bits) << np.arange(form.bits)
    return form, codes.sum(axis=1, dtype=np.int32)


def _read_head(stored: memoryview, where: str) -> tuple[Form, int]:
    """Return the fields and where they end."""
    lead = stored[0] if len(stored) else 0xFF
    bits = lead & _BITS_MASK
    flags = [bool(lead & flag) for flag in (_HAS_KEY, _HAS_MEAN, _HAS_SPREAD)]
    end = 1 + _FIELD_NBYTES * (sum(flags) + (bits > 0))
    if lead & 0x80 or bits > MAX_BITS or len(stored) < end:
        raise CodecError("chunk without a proper head", rule="COD-HASH-3", where=where)
    fields = iter(np.frombuffer(stored[1:end], "<u2"))
    key = int(next(fields)) if flags[0] else None
    mean, spread, step = (
        _number(next(fields), where) if has else 0.0 for has in (*flags[1:], bits)
    )
    if spread < 0 or step < 0:
        raise CodecError("negative spread or step", rule="COD-HASH-5", where=where)
    return Form(bits, step, mean, spread, key), end


def _number(bits: np.uint16, where: str) -> float:
    value = float(widen_bfloat16(np.array([bits]))[0])
    if not _LEAST <= abs(value) <= _GREATEST:  # refuses NaN, too
        raise CodecError("mean, spread or step out of range", rule="COD-HASH-5", where=where)
    return value


def _check_key(form: Form, count: int, nvalues: int, where: str) -> None:
    """Refuse a key that nothing needs, and what needs one that is not there (COD-HASH-6)."""
    needs_key = form.spread != 0 or 0 < count < nvalues
    if needs_key != (form.key is not None):
        raise CodecError("key missing, or without use", rule="COD-HASH-6", where=where)


def is_number(value: float) -> bool:
    """Return whether mean, spread or step may have this value."""
    return _LEAST <= abs(value) <= _GREATEST


def random_units(key: int, nvalues: int) -> np.ndarray:
    """Return the random part (v,) of a key's chunk, float32 in [-1, 1)."""
    return prng.units(prng.words(prng.derive_seed(key, _SPREAD_LABEL), 0, nvalues))


def to_levels(codes: np.ndarray, bits: int) -> np.ndarray:
    """Return the levels (d,) of codes: odd integers from -2^bits + 1 to 2^bits - 1."""
    return np.asarray(2 * codes.astype(np.int32) + (1 - (1 << bits)))


def expand(
    form: Form,
    codes: np.ndarray,
    nvalues: int,
    make_mixing: MakeMixing,
) -> np.ndarray:
    """Return the float32 values (v,) of a chunk (COD-HASH-7, COD-FF-1).

    Args:
        form: Its fields.
        codes: (d,)
        nvalues: v.
        make_mixing: The codec's mixing, of key, d and v.
    """
    values = np.full(nvalues, form.mean, np.float32)
    if form.spread and form.key is not None:
        values += np.float32(form.spread) * random_units(form.key, nvalues)
    if not codes.size:
        return values
    levels = to_levels(codes, form.bits)
    if codes.size < nvalues and form.key is not None:
        levels = make_mixing(form.key, codes.size, nvalues).mix(levels)
    values += np.float32(form.step) * levels.astype(np.float32)
    return values
