"""Codec ``hash``: few trained numbers, spread over many weights (spec/codecs/hash.md).

    chunk = lead | key | mean | spread | step | codes of d numbers, 0 to 8 bits each
    value = mean + spread * PRNG unit + sign * step * level of codes[hash(index)]

A layer decodes from as few bytes as one wishes; what they hold has to be *trained*. Encoding
values that exist already keeps next to nothing of them, and is there as a control arm.
"""

from __future__ import annotations

from seedpack.codecs.hashed.codec import CODEC, configure

__all__ = ["CODEC", "configure"]
