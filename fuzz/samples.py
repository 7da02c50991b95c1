"""What targets begin with: keys, a trust store, and seeds that use every part of the format.

All of it is the same in each process, so that a finding can be repeated.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec.structs import replace

from fuzz.drafts import Draft, settle, to_tree, write_container
from seedpack.codecs import encode_tensor
from seedpack.container.manifest import (
    Architecture,
    Attachment,
    Base,
    Chunk,
    Claim,
    Layer,
    Manifest,
    Parity,
)
from seedpack.container.planes import encode_plane
from seedpack.crypto.digests import digest
from seedpack.crypto.keys import Algorithm, private_key_from_secret
from seedpack.dtypes import DTYPES
from seedpack.trust.model import Policy, Principal, SeenVersion, TrustedKey, TrustStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.dtypes import DType

NOW: Final = 1_800_000_000  # when everything here happens, seconds since 1970
DAY: Final = 86_400
BUDGET_NBYTES: Final = 8 << 20  # decoded; the most that the store's policy allows
_CHUNK_VALUES: Final = 64  # small, so that a short file has many chunks
_DTYPES: Final = ("bool", "int16", "float8_e4m3fn", "float64")  # target codecs has all
_SHAPE: Final = (3, 1, 1, 1, 1, 1, 1, 5)  # as many dimensions as there may be
_ALGORITHM: Final = "blake3-256"

ALICE, OLD, BOB, EVE, DAVE, MALLORY = (
    private_key_from_secret(Algorithm.ED25519, bytes([n]) * 32) for n in range(1, 7)
)
CAROL: Final = private_key_from_secret(Algorithm.ML_DSA_65, bytes([9]) * 32)


@cache
def trust_store() -> TrustStore:
    """Return the store that all targets trust: not Mallory, no more Old, never again Eve."""
    acme = (TrustedKey(ALICE.public, NOW - DAY, NOW + DAY), TrustedKey(OLD.public, 0, NOW))
    hybrid = (TrustedKey(CAROL.public), TrustedKey(DAVE.public))
    return TrustStore(
        principals=(
            Principal("acme", acme, may_sign=("acme/*", "t*n*y"), serial=3),
            Principal("bob", (TrustedKey(BOB.public), TrustedKey(EVE.public, revoked=True))),
            Principal("hybrid", hybrid, require=tuple(Algorithm)),
        ),
        policy=Policy(codecs=frozenset({"q8", "raw"}), max_decoded_nbytes=BUDGET_NBYTES),
        seen={"acme/digits": SeenVersion(2, bytes(32))},
        last_time=NOW - DAY,
    )


def make_values(dtype: DType, count: int) -> np.ndarray:
    """Return finite values (count,) of the dtype's storage type."""
    numbers = np.arange(count)
    if dtype.name == "bfloat16":
        return (np.sin(numbers).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if dtype.kind == "float" and dtype.itemsize > 1:
        return np.sin(numbers).astype(dtype.storage)
    return (numbers % (2 if dtype.kind == "bool" else 100)).astype(dtype.storage)


def _make_layer(
    name: str, dtype: str, shape: Sequence[int], codec: str = "raw"
) -> tuple[Layer, list[bytes]]:
    kind = DTYPES[dtype]
    values = make_values(kind, math.prod(shape))
    encoded = encode_tensor(codec, values, kind, chunk_raw_nbytes=_CHUNK_VALUES * kind.itemsize)
    layer = Layer(
        chunks=[_chunk(stored) for stored in encoded.chunks],
        codec=encoded.codec,
        digest=bytes(32),
        dtype=dtype,
        finite=True,
        name=name,
        params=encoded.params,
        shape=list(shape),
    )
    return layer, encoded.chunks


def _make_file(name: str, content: bytes, kind: str) -> tuple[Attachment, list[bytes]]:
    size = _CHUNK_VALUES
    stored = [encode_plane(content[at : at + size]) for at in range(0, len(content), size)]
    chunks = [_chunk(piece) for piece in stored]
    file = Attachment(
        chunk_nbytes=size,
        chunks=chunks,
        digest=bytes(32),
        kind=kind,
        name=name,
        nbytes=len(content),
    )
    return file, stored


def _chunk(stored: bytes) -> Chunk:
    return Chunk(len(stored), digest(_ALGORITHM, stored))


def _make_draft(parts: Sequence[tuple[Layer | Attachment, list[bytes]]], **fields: object) -> Draft:
    """Return the draft of a valid and complete seed; ``settle`` fills in what depends."""
    owners = [part for part, _ in parts]
    manifest = Manifest(
        architecture=None,
        attachments=[part for part in owners if isinstance(part, Attachment)],
        base=None,
        claims=[],
        created=NOW - DAY,
        decoded_nbytes=0,
        digest_algorithm=_ALGORITHM,
        expires=None,
        layers=[part for part in owners if isinstance(part, Layer)],
        name="acme/digits",
        parity=None,
        producer="seedpack 0.1.0",
        recipe={},
        schema=1,
        version=3,
    )
    contents = {digest(_ALGORITHM, piece): piece for _, stored in parts for piece in stored}
    return settle(Draft(to_tree(replace(manifest, **fields)), contents))


_ARCHITECTURE: Final = Architecture(
    class_name="TinyModel",
    config='{\n "hidden_size": 8,\n "layers": [{"kind": "dense"}]\n}',
    framework="transformers",
    model_type="tiny",
)
_CLAIM: Final = Claim(
    chance="0.1",
    control="random weights",
    control_value="0.11",
    dataset="digits",
    evaluated=360,
    interval_high="0.97",
    interval_low="0.93",
    metric="accuracy",
    original="0.96",
    seeds=3,
    value="0.95",
)


@cache
def drafts() -> dict[str, Draft]:
    """Return valid seeds that together use every part of the format; copy before editing."""
    parity = Parity(chunks=[], percent=50, scheme="rs-vandermonde-gf256", stripe_nchunks=4)
    card = _make_file("README.md", b"# Digits\n" * 20, "card")
    tokenizer = _make_file("tokenizer/tokenizer.json", b'{"a": 1}', "tokenizer")
    q8 = _make_layer("encoder.0.weight", "bfloat16", (16, 16), "q8")
    bias = _make_layer("bias", "float32", (40,))
    return {
        "small": _make_draft([_make_layer("w", "float32", (3, 5))]),
        "dtypes": _make_draft([_make_layer(f"as_{name}", name, _SHAPE) for name in _DTYPES]),
        "parity": _make_draft([_make_layer("w", "float16", (512,)), card], parity=parity),
        "delta": _make_draft(
            [bias], base=Base(bytes(32), "acme/base"), digest_algorithm="sha2-256"
        ),
        "full": _make_draft(
            [q8, bias, _make_layer("none", "float32", (0, 1 << 20)), card, tokenizer],
            architecture=_ARCHITECTURE,
            claims=[_CLAIM],
            expires=NOW + DAY,
            parity=parity,
            recipe={"codec": "q8", "epochs": 3},
        ),
    }


def container(name: str) -> bytes:
    """Return one of the drafts as a container that the store accepts."""
    return write_container(drafts()[name], [ALICE])
