"""The tiny models and data of the tuning tests."""

from __future__ import annotations

from tests.tune.conftest import data, models, one_thread

__all__ = ["data", "models", "one_thread"]
