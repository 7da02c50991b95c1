"""Codec ``hash``: few trained numbers, spread over many weights (spec/codecs/hash.md)."""

from __future__ import annotations

from seedpack.codecs.numbers.codec import CODEC, configure

__all__ = ["CODEC", "configure"]
