"""Backdoors put into models on purpose, so that search and defence can be held to them.

    base      Attack: trigger, target, victims; poison, asr           (images and texts)
    images    patch, blended, sinusoidal, source-specific, clean-label, as data
    edits     weights changed afterwards: class flips, neurons, low-rank differences, codes

Only twins and the zoo of ``seedpack lab`` are ever planted, never what a user gave.
"""
