"""Redundancy over chunks: lost ones are computed from the rest of their stripe (spec: PAR).

    stripe of k data chunks --encode_stripe--> m parity chunks
    any k of the k + m, by place --recover_stripe--> the lost ones, bit for bit

Which chunks make a stripe is in ``seedpack.container.stripes``. Nothing here knows
digests: whoever repairs checks what comes out (PAR-4).
"""

from seedpack.container.stripes import Stripe, stripe_layout
from seedpack.parity.reedsolomon import encode_stripe, recover_stripe

__all__ = ["Stripe", "encode_stripe", "recover_stripe", "stripe_layout"]
