"""Codecs whose layers are few trained numbers: all of a chunk but its mixing.

    chunk = lead | key | mean | spread | step | codes of d numbers, 0 to 8 bits each
    value = mean + spread * PRNG unit + step * what the codec's mixing makes of the levels

A layer decodes from as few bytes as one wishes; what they hold has to be *trained*. Encoding
values that exist already keeps next to nothing of them, and is there as a control arm.
"""
