"""Sizes by name (spec: extract.md, Presets)."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from seedpack.extract.targets import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.frameworks import TensorInfo

_BITS_PER_BYTE: Final = 8


class Preset(StrEnum):
    """How much is kept; what each was measured to keep stands in the specification."""

    LOSSLESS = "lossless"
    NEAR_LOSSLESS = "near-lossless"
    BALANCED = "balanced"
    SMALL = "small"
    TINY = "tiny"


# Bits of the whole file per value of a float tensor: 32 over the ratio of a float32 model.
BITS: Final = MappingProxyType(
    {Preset.NEAR_LOSSLESS: 7.0, Preset.SMALL: 2.9, Preset.TINY: 2.1}
)  # fmt: skip
CODECS: Final = MappingProxyType({Preset.LOSSLESS: "raw", Preset.BALANCED: "ecq"})


def preset_target(preset: Preset, infos: Sequence[TensorInfo]) -> Target | None:
    """Return the size that ``preset`` means for a model; None where its codec decides."""
    if preset not in BITS:
        return None
    others = sum(info.nbytes for info in infos if info.dtype.kind != "float")
    values = sum(info.nbytes // info.dtype.itemsize for info in infos if info.dtype.kind == "float")
    nbytes = max(values * BITS[preset] / _BITS_PER_BYTE + others, 1.0)
    return Target(nbytes, is_limit=False, text=f"preset {preset.value}")
