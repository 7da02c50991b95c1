"""Bytes of a container: parsing and writing, no keys and no tensors (spec: seed-format.md).

preamble        64 fixed bytes                          before any signature
signature_area  records of fixed size                   before any signature
profile         bounded walk over msgpack               after the signature holds
manifest        typed decode, one encoding per value    "
rules           sums, names, limits                     "
payload         presence bitmap -> place of each chunk  "
planes          verbatim bytes or one zstd frame        after the chunk's digest holds
"""
