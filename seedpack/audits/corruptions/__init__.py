"""Inputs as the world delivers them: noisy, turned, dim, mistyped.

    arrays, images ──images.CORRUPTIONS──> the same shape, within the same bounds
    texts, tokens ──texts.CORRUPTIONS────> words of the same language, mostly

Targets stay as they are; everything random follows from the random seed.
"""
