"""Codec ``ecq``: a uniform grid, entropy coded (spec/codecs/ecq.md).

    value --rate-distortion rounding--> level --rANS--> stream | escaped values, verbatim
    value = f32(level) * f32(step), then nearest in the layer's dtype (COD-ECQ-7)

What the table has no symbol for (outliers, rare levels) is stored exactly: one huge value
changes neither the step nor any other value.
"""

from __future__ import annotations

from seedpack.codecs.ecq.codec import CODEC, EcqCodec, configure, encode_integers

__all__ = ["CODEC", "EcqCodec", "configure", "encode_integers"]
