"""Codec ``delta``: a tensor as its difference from that of a base (spec/codecs/delta.md).

    params --method--> same | ecq | lowrank | sign --chunks--> difference, float32
    value = f32(base) + difference, then nearest in the layer's dtype (COD-DLT-7)

The base is another model, named in the manifest by the digest of all its tensors; what reads it
is handed in (``BaseTensors``), and has been checked before.
"""

from __future__ import annotations

from seedpack.codecs.delta.codec import CODEC

__all__ = ["CODEC"]
