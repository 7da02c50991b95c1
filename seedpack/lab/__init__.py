"""Experiments that the product's figures come from.

zoo ──clean and planted models──> benchmark ──detectors, defences──> figures with intervals
"""
