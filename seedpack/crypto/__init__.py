"""Digests, keys, signatures: thin and strict around well-kept libraries."""
