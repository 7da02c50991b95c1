"""Hostile chunks of layers that are otherwise valid, in every codec and dtype (spec: CHK, COD).

Input: msgpack [codec, dtype, finite, shape, params, [stored bytes of each chunk]].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from fuzz.harness import Target, demand, reference, shared_codecs
from fuzz.samples import drafts, make_values
from fuzz.trees import edit_bytes, edit_number, mutate_tree, pack, unpack
from seedpack.codecs import encode_tensor, init, make_decoder
from seedpack.codecs.registry import SHAPED_IDS
from seedpack.codecs.scatter import Cutting, ScatterCodec
from seedpack.codecs.tensors import base_digest, tensor_digest
from seedpack.codecs.values import all_finite
from seedpack.container.manifest import decode_manifest
from seedpack.container.rules import validate_manifest
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_MAX_NBYTES: Final = 1 << 20  # decoded; the most that this target declares
_FIELDS: Final = ("codec", "dtype", "finite", "shape", "params")
_U32_NBYTES: Final = 4
_TENSOR: Final = "w"  # of every layer, and the only one of the base that deltas refer to


class _Base:
    """A base with one tensor, of whatever dtype and shape the layer has."""

    def __init__(self, layer: Layer) -> None:
        self.dtype = DTYPES[layer.dtype]
        self.shape = tuple(layer.shape)
        self.values = make_values(self.dtype, math.prod(layer.shape))

    def digest(self, algorithm: str) -> bytes:
        """Return its digest as a base."""
        own = tensor_digest(algorithm, self.dtype, self.shape, self.values)
        return base_digest(algorithm, {_TENSOR: own})

    def describe(self, name: str) -> tuple[DType, tuple[int, ...]] | None:
        """Return dtype and shape of the one tensor."""
        return (self.dtype, self.shape) if name == _TENSOR else None

    def read(self, name: str) -> np.ndarray:
        """Return the values of the one tensor."""
        assert name == _TENSOR
        return self.values


def _check(data: bytes) -> None:
    layer, stored = _read_layer(unpack(data))
    try:
        values = _decode(layer, stored, range(len(stored)))
    except CodecError as refusal:
        # Without a digest that could hold, it must find a fault before it looks at that.
        theirs = _read_independently(layer, stored, bytes(32))
        demand(theirs not in {None, "LAY-8"}, f"only {refusal}")
        raise
    kind = DTYPES[layer.dtype]
    assert values.dtype.str == kind.storage
    assert values.shape == (math.prod(layer.shape),)
    assert all_finite(values, kind) or not layer.finite
    backwards = _decode(layer, stored, reversed(range(len(stored))))
    assert values.tobytes() == backwards.tobytes()
    expected = tensor_digest("blake3-256", kind, layer.shape, values)
    assert _read_independently(layer, stored, expected) is None
    _check_lossless(values, kind)


def _decode(layer: Layer, stored: list[bytes], order: Iterable[int]) -> np.ndarray:
    try:
        decoder = make_decoder(layer, DTYPES[layer.dtype], _Base(layer))
    except CodecError as refusal:
        demand(refusal.rule != "LAY-4", "memory beyond what the layer declares")
        raise
    for index in order:
        decoder.decode_chunk(index, memoryview(stored[index]))
    return decoder.finish()


def _read_independently(layer: Layer, stored: list[bytes], expected: bytes) -> str | None:
    """Return the rule by which the independent reader refuses the layer, if it does."""
    tree = drafts()["small"].tree
    part = msgspec.to_builtins(layer, builtin_types=(bytes,)) | {"digest": expected}
    base = _Base(layer)
    named = {"digest": base.digest(tree["digest_algorithm"]), "name": "acme/base"}
    tensors = {_TENSOR: (layer.dtype, layer.shape, base.values.tobytes())}
    manifest = tree | {"layers": [part], "base": named}
    try:
        reference().check_contents(manifest, stored, decode=True, base=tensors)
    except reference().RefusedError as refusal:
        return str(refusal.args[0])
    return None


def _check_lossless(values: np.ndarray, kind: DType) -> None:
    encoded = encode_tensor("raw", values, kind, chunk_raw_nbytes=256)
    tree = ["raw", kind.name, False, [values.size], encoded.params, encoded.chunks]
    tree[2] = kind.kind != "float"
    again = _decode(*_read_layer(tree), range(len(encoded.chunks)))
    assert again.tobytes() == values.tobytes()


def _read_layer(tree: Any) -> tuple[Layer, list[bytes]]:  # noqa: ANN401 -- any msgpack value
    """Return a layer record that the manifest's rules accept, and its stored bytes.

    Raises:
        FormatError: There is none: not what is tested here.
    """
    try:
        *fields, stored = tree
        stored = [*stored]
        layer = dict(zip(_FIELDS, fields, strict=True)) | {"name": _TENSOR, "digest": bytes(32)}
        layer["chunks"] = [[len(memoryview(chunk)), bytes(32)] for chunk in stored]
        nbytes = math.prod(layer["shape"]) * DTYPES[layer["dtype"]].itemsize
        manifest = drafts()["small"].tree | {"layers": [layer], "decoded_nbytes": nbytes}
        packed = pack(manifest)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise FormatError("no layer", rule="MAN-1", where="input") from error
    decoded = decode_manifest(packed)
    validate_manifest(decoded, codecs=shared_codecs())
    if decoded.decoded_nbytes > _MAX_NBYTES:
        raise FormatError("larger than this target asks for", rule="MAN-10", where="input")
    return decoded.layers[0], stored


def _starts() -> dict[str, bytes]:
    starts = {}
    for name, kind in DTYPES.items():
        starts[f"raw-{name}"] = _encode("raw", kind, make_values(kind, 96))
    for codec in sorted(shared_codecs() - {"delta", "raw"}):
        for name in ("bfloat16", "float16", "float32"):
            values = make_values(DTYPES[name], 300)
            if codec == "const":
                values = values[:1].repeat(300)
            elif codec == "init":
                values = init.make_values(5, 0.5, 300, DTYPES[name])
            elif codec == "sparse":
                values[np.arange(300) % 9 > 0] = 0
            elif codec in SHAPED_IDS:
                values = values.reshape(30, 10)
            starts[f"{codec}-{name}"] = _encode(codec, DTYPES[name], values)
    for name in _HALVES:
        starts[f"scatter-{name}"] = _scattered(DTYPES[name], top_bits=False)
    starts["scatter-low-float32"] = _scattered(DTYPES["float32"], top_bits=True)
    return starts | {f"delta-{m}-{name}": _delta(name, m) for name in _HALVES for m in _METHODS}


_HALVES: Final = ("bfloat16", "float16", "float32")
_METHODS: Final[dict[str, tuple[dict[str, Any], list[bytes]]]] = {
    "same": ({}, []),
    "sign": ({"chunk_rows": 3}, [b"\x80\x3e" * 3 + bytes(range(6)), b"\0\0\1\1"]),
    "lowrank": (
        {"bits": 4, "rank": 2, "scale": b"\0\0\0\x3c", "weights": b"\1\0\2\0"},
        [bytes(range(14))],
    ),
    "signs": (
        {"bits": 8, "rank": 1, "scale": b"\0\0\0\x3c", "weights": b"\5\0", "seed": bytes(8)},
        [b"\1\2\x80\0"],
    ),
}


def _delta(dtype: str, name: str) -> bytes:
    params, stored = _METHODS[name]
    method = "lowrank" if name == "signs" else name
    return pack(["delta", dtype, True, [4, 10], {"method": method, **params}, stored])


def _scattered(kind: DType, *, top_bits: bool) -> bytes:
    codec = ScatterCodec(exact=not top_bits, cutting=Cutting(64), top_bits=top_bits)
    encoded = codec.encode(make_values(kind, 2500), kind, chunk_raw_nbytes=4096)
    assert encoded is not None
    return pack([encoded.codec, kind.name, True, [2500], encoded.params, encoded.chunks])


def _encode(codec: str, kind: DType, values: np.ndarray, chunk_raw_nbytes: int = 256) -> bytes:
    encoded = encode_tensor(codec, values, kind, chunk_raw_nbytes=chunk_raw_nbytes)
    return pack([encoded.codec, kind.name, True, [*values.shape], encoded.params, encoded.chunks])


def _mutate(data: bytes, random: Random) -> bytes:
    tree = unpack(data)
    try:
        _read_layer(tree)
    except FormatError:
        return _make_fresh(random)
    stored = tree[-1]
    at = random.randrange(len(stored)) if stored else 0
    match random.randrange(6):
        case 0:
            return _make_fresh(random)
        case 1:
            tree = mutate_tree(tree, random)
        case 2 if stored:
            stored[at] = _edit_length(stored[at], random)
        case 3:
            tree[2] = not tree[2]
        case _ if stored:
            stored[at] = edit_bytes(stored[at], random)
    return pack(tree)


def _edit_length(chunk: bytes, random: Random) -> bytes:
    """Change one of the first numbers of a chunk: the lengths of its planes."""
    start = random.randrange(4) * _U32_NBYTES
    end = start + _U32_NBYTES
    number = edit_number(int.from_bytes(chunk[start:end], "little"), random)
    return chunk[:start] + (number % (1 << 32)).to_bytes(_U32_NBYTES, "little") + chunk[end:]


def _make_fresh(random: Random) -> bytes:
    kind = random.choice(list(DTYPES.values()))
    count = random.choice([0, 1, 2, 63, 64, 65, 200, 1000])
    values = make_values(kind, count)
    if count and kind.kind != "bool" and random.random() < 0.5:  # noqa: PLR2004 -- any bits
        raw = values.view(np.uint8)
        raw[random.randrange(raw.size)] ^= random.randrange(256)
    codec = random.choice(sorted(shared_codecs()))
    if codec == "delta":
        return _delta(random.choice(_HALVES), random.choice(list(_METHODS)))
    return _encode(codec, kind, values, random.choice([16, 256, 4096]))


TARGET: Final = Target(_check, _starts, _mutate, memory_mib=128, max_input_nbytes=8192)
