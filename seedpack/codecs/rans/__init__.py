"""Interleaved rANS: symbols <-> bytes near their entropy, in integers only (spec/codecs/rans.md).

    stream = state of each lane, u32 | 16-bit words in the order in which the lanes ask for them

    symbol i: row i // lanes, lane i % lanes
             lane 0   lane 1     ...
    row 0      0        1               decoded first; a lane whose state fell below 2^16
    row 1    lanes   lanes + 1          takes the next word
    ...
    tail     the last rows take no words: their states run down to 0

A row is a dozen numpy calls over all lanes, and most of their cost is that of calling. So
there should be many lanes, but each has to pay for its state: a thousand values per lane
are a good measure. Streams of equally many symbols are worked on side by side, as if they
were one with as many lanes as all of them.

Source: Duda, arXiv:1311.2540 (2013); lanes after Giesen, arXiv:1402.3392 (2014).
"""

from __future__ import annotations

from seedpack.codecs.rans.decoding import OneTable, Stream, decode_streams
from seedpack.codecs.rans.encoding import encode_streams, longest_tail
from seedpack.codecs.rans.layouts import Layout
from seedpack.codecs.rans.switching import Automaton, JointTable, SwitchedTables
from seedpack.codecs.rans.tables import CodeTable

__all__ = [
    "Automaton",
    "CodeTable",
    "JointTable",
    "Layout",
    "OneTable",
    "Stream",
    "SwitchedTables",
    "decode_streams",
    "encode_streams",
    "longest_tail",
]
