"""Codec ``lowrank``: two integer factors, and what they miss on a grid (spec/codecs/lowrank.md).

chunks = codes of the factors, as ecq stores them | residual, as ecq stores it
value  = f32(left @ right) * scale + residual, then nearest in the layer's dtype
"""

from __future__ import annotations

from seedpack.codecs.lowrank.codec import CODEC, configure

__all__ = ["CODEC", "configure"]
