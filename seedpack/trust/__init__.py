"""Whom the consumer trusts, for what, and what has been seen (spec: trust-store.md)."""
