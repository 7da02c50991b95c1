"""Destroys chunks of the seed, and measures what is left (spec: corruption.md)."""

from seedpack.audits.corruption.audit import Corruption

__all__ = ["Corruption"]
