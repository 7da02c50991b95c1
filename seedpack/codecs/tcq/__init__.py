"""Codec ``tcq``: trellis-coded quantisation, entropy coded (spec/codecs/tcq.md).

    value --the cheapest path through a trellis--> level --rANS, two tables--> stream
    value = f32(level) * f32(half step), then nearest in the layer's dtype (COD-TCQ-7)

Even and odd levels take turns as the trellis says, so that values lie on a grid twice as fine
as the one they are paid for. That brings half of what lies between ``ecq`` and the limit.
"""

from __future__ import annotations

from seedpack.codecs.tcq.codec import CODEC, configure, encode_weighted
from seedpack.codecs.tcq.paths import Weights

__all__ = ["CODEC", "Weights", "configure", "encode_weighted"]
