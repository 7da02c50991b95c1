"""A model becomes a seed.

    MODEL ──frameworks──> ModelSource
        tensors, one after another ──layers──> codec, chunks, digests ┐  threads
        files                      ──files───> planes, digests        ├─> spill (temporary file)
        data chunks of a stripe    ──parity──> parity chunks          ┘   and records
    records + architecture + recipe ──> manifest ──the reader's own checks──> signature, if a key
    header | spill ──atomic_output──> S.seed

With a target size all of it is done in rounds, two or three, until the file has that size:

    tensors ──allocation──> rates     what a step would cost            ┐
    model   ──sensitivity─> harm      what an error would do; no data   ├─> a step for each matrix
    size of the last round ──targets──> level                           ┘

With data and a factory the seed's numbers are trained (``extract_trained`` in ``trained``), with
data and a base those of a delta (``train_delta`` in ``delta_training``):

    tensors ──budget──> few numbers ──training, beside its controls──> chunks of the codec

The manifest stands in front of the payload and holds its digests, so the payload waits in
an unnamed temporary file beside the output. Memory is that of a few layers, whatever the
model's size; and nothing has the output's name before it is complete.
"""

from __future__ import annotations

from seedpack.extract.coding import Choice, Coding
from seedpack.extract.delta_training import train_delta
from seedpack.extract.deltas import extract_delta
from seedpack.extract.extraction import extract
from seedpack.extract.publication import Publication
from seedpack.extract.publishing import publish
from seedpack.extract.report import ExtractReport, LayerReport
from seedpack.extract.trained_deltas import extract_trained_delta

__all__ = [
    "Choice",
    "Coding",
    "ExtractReport",
    "LayerReport",
    "Publication",
    "extract",
    "extract_delta",
    "extract_trained_delta",
    "publish",
    "train_delta",
]
