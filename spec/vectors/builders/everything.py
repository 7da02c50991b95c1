"""All vectors and all trust stores, in the order of the index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import (
    architecture,
    attachments,
    codec_bf16,
    codec_const_init,
    codec_delta,
    codec_ecq,
    codec_fastfood,
    codec_hash,
    codec_parts,
    codec_q8,
    codec_raw,
    codec_scatter,
    codec_tcq,
    keys_and_signatures,
    layers,
    manifest_encoding,
    manifest_meaning,
    parity,
    partial,
    preamble,
    signature_area,
    trust,
    zstd,
)
from .stores import STORES

if TYPE_CHECKING:
    from pathlib import Path

    from .catalog import Vector

AREAS = (
    preamble,
    signature_area,
    keys_and_signatures,
    manifest_encoding,
    manifest_meaning,
    layers,
    zstd,
    codec_raw,
    codec_ecq,
    codec_fastfood,
    codec_hash,
    codec_parts,
    codec_q8,
    codec_bf16,
    codec_const_init,
    codec_tcq,
    codec_scatter,
    codec_delta,
    attachments,
    architecture,
    parity,
    partial,
    trust,
)


def all_vectors() -> list[Vector]:
    """Build every vector in memory."""
    vectors = [vector for area in AREAS for vector in area.vectors()]
    if len({vector.file for vector in vectors}) < len(vectors):
        raise ValueError("two vectors have one name")
    return vectors


def index_text(vectors: list[Vector]) -> str:
    """Return the index, one vector a line so that a change shows as one line."""
    lines = [json.dumps(vector.description, ensure_ascii=False) for vector in vectors]
    return '{"schema": 1, "vectors": [\n' + ",\n".join(lines) + "\n]}\n"


def store_texts() -> dict[str, str]:
    """Return the trust stores by file name."""
    return {f"trust/{name}.json": json.dumps(s, indent=1) + "\n" for name, s in STORES.items()}


def write(folder: Path, *, force: bool) -> list[Path]:
    """Write everything below `folder` and return the files written."""
    vectors = all_vectors()
    files = {name: text.encode() for name, text in store_texts().items()}
    files |= codec_delta.bases()
    files["index.json"] = index_text(vectors).encode()
    for vector in vectors:
        if force or not (vector.hedged and (folder / vector.file).exists()):
            files[vector.file] = vector.data
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return [folder / name for name in files]
