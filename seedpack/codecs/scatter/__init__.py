"""Codec ``scatter``: each chunk holds values from all over the tensor (spec/codecs/scatter.md).

    values --order--> K rows of M, a row from every place --ecq or raw--> a chunk per row
    value = top, or f32(top) + f32(low) where low bits have chunks of their own

Whoever loses a chunk loses spread-out values, not rows, and each chunk decodes alone: steps and
code tables stand in the params, which are signed.
"""

from __future__ import annotations

from seedpack.codecs.scatter.codec import CODEC, Cutting, ScatterCodec, configure

__all__ = ["CODEC", "Cutting", "ScatterCodec", "configure"]
