"""Vectors of delta seeds: the codec `delta`, and the base that its layers refer to."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, NamedTuple

from .catalog import accepted, refused
from .codec_ecq import Ecq
from .writer import BLAKE3, ITEMSIZES, SHA2, Draft, Map, Part, digest, layer, tensor_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .catalog import Vector


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _refused_bases()
    yield from _refused_params()
    yield from _refused_lowrank()
    yield from _refused_sign()
    yield from _refused_values()


# ---------------------------------------------------------------- bases

FILE = "bases/tiny.safetensors"
OTHER = "bases/swapped.safetensors"
CODES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "uint8": "U8"}
MATRIX = [(i * 37 % 23 - 11) / 8 for i in range(24)]
HUGE = 3.0e38


class Tensor(NamedTuple):
    """A tensor of a base."""

    dtype: str
    shape: list[int]
    elements: bytes


def encode(dtype: str, values: Sequence[float]) -> bytes:
    """Round each value to float32, and then to the dtype."""
    singles = struct.pack(f"<{len(values)}f", *values)
    if dtype == "float32":
        return singles
    if dtype == "float16":
        return struct.pack(f"<{len(values)}e", *struct.unpack(f"<{len(values)}f", singles))
    words = struct.unpack(f"<{len(values)}I", singles)
    return b"".join(struct.pack("<H", (w + 0x7FFF + (w >> 16 & 1)) >> 16) for w in words)


def _matrix(values: Sequence[float], dtype: str = "float32") -> Tensor:
    return Tensor(dtype, [4, 6], encode(dtype, values))


TINY = {
    "bytes": Tensor("uint8", [3], b"\1\2\3"),
    "float16": _matrix(MATRIX, "float16"),
    "bfloat16": _matrix(MATRIX, "bfloat16"),
    "float32": _matrix(MATRIX),
    "huge": _matrix([HUGE] * 24),
    "odd": Tensor("float32", [3, 4], bytes(48)),
    "nan": _matrix([float("nan"), *MATRIX[1:]]),
    "vector": Tensor("float32", [8], encode("float32", MATRIX[:8])),
}
# The same tensors under one another's names: no tensor's digest is another.
SWAPPED = TINY | {"float32": TINY["huge"], "huge": TINY["float32"]}


def bases() -> dict[str, bytes]:
    """Return the files of the bases, by name."""
    return {FILE: _safetensors(TINY), OTHER: _safetensors(SWAPPED)}


def _safetensors(tensors: dict[str, Tensor]) -> bytes:
    header: Map = {}
    data = b""
    for name, tensor in sorted(tensors.items(), key=lambda item: -ITEMSIZES[item[1].dtype]):
        span = [len(data), len(data) + len(tensor.elements)]
        data += tensor.elements
        header[name] = {"dtype": CODES[tensor.dtype], "shape": tensor.shape, "data_offsets": span}
    text = json.dumps(header).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    return struct.pack("<Q", len(text)) + text + data


def base_digest(algorithm: str = BLAKE3) -> bytes:
    """Return the digest of `tiny` as a base."""
    text = b"seedpack-base-v1\0" + struct.pack("<Q", len(TINY))
    for name, tensor in sorted(TINY.items()):
        text += struct.pack("<H", len(name)) + name.encode()
        text += tensor_digest(algorithm, *tensor)
    return digest(algorithm, text)


def _draft(part: Part, algorithm: str = BLAKE3, **fields: object) -> Draft:
    base = {"digest": base_digest(algorithm), "name": "acme/tiny-base"}
    return Draft([part], fields={"base": base, "digest_algorithm": algorithm} | fields)


# ---------------------------------------------------------------- layers


def over(tensor: str, differences: Sequence[float]) -> bytes:
    """Return the sums of a tensor of the base and differences: all of them exact in float32."""
    dtype, _, elements = TINY[tensor]
    form = {"float32": "f", "float16": "e"}.get(dtype, "H")
    values = struct.unpack(f"<{len(differences)}{form}", elements)
    if dtype == "bfloat16":
        values = struct.unpack(
            f"<{len(values)}f", b"".join(struct.pack("<I", value << 16) for value in values)
        )
    return encode(dtype, [a + b for a, b in zip(values, differences, strict=True)])


class Delta(NamedTuple):
    """A layer of the codec `delta` before it is written."""

    params: Map
    stored: list[bytes]
    differences: list[float]
    tensor: str = "float32"
    name: str = ""  # that of the tensor if empty

    def part(self, **params: object) -> Part:
        """Return the layer, with other params; None leaves one out."""
        known = TINY[self.tensor]
        changed = {k: v for k, v in {**self.params, **params}.items() if v is not None}
        return layer(
            self.name or self.tensor,
            known.dtype,
            known.shape,
            over(self.tensor, self.differences),
            stored=self.stored,
            codec="delta",
            params=changed,
        )


def same(tensor: str = "float32", name: str = "", **params: object) -> Part:
    """Return a layer that is its tensor of the base."""
    known = TINY[tensor]
    return layer(
        name or tensor,
        known.dtype,
        known.shape,
        known.elements,
        stored=[],
        codec="delta",
        params={"method": "same", **params},
    )


LEVELS = Ecq([1, 2, 3, 4, 0, 2, 3, 0] * 3, (0.5, -0.25) * 3, step=0.125)


def ecq(tensor: str = "float32") -> Delta:
    """Return differences by the codec `ecq`."""
    escaped = iter(LEVELS.escaped)
    differences = [(s - 2) * LEVELS.step if s else next(escaped) for s in LEVELS.symbols]
    return Delta({"method": "ecq", **LEVELS.params()}, LEVELS.stored(), differences, tensor)


def pack_codes(codes: Sequence[int], bits: int) -> bytes:
    """Return codes as a plane, the first in the lowest bits."""
    number = sum((code % (1 << bits)) << (i * bits) for i, code in enumerate(codes))
    return number.to_bytes(-(-len(codes) * bits // 8), "little")


LEFT = [[-8], [3], [0], [7]]
RIGHT = [[1, -2, 3, -4, 5, 7]]
SEED = 0x0123456789ABCDEF
GAMMA = 0x9E3779B97F4A7C15


def signs(seed: int, count: int) -> list[int]:
    """Return signs of splitmix64."""
    mask, out = (1 << 64) - 1, []
    for n in range(-(-count // 64)):
        z = (seed + (n + 1) * GAMMA) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        out += [1 if z >> bit & 1 else -1 for bit in range(64)]
    return out[:count]


def lowrank(
    left: list[list[int]] = LEFT,
    right: list[list[int]] | None = RIGHT,
    *,
    bits: int = 4,
    weights: Sequence[int] = (3,),
    scale: float = 2.0**-6,
    tensor: str = "float32",
) -> Delta:
    """Return a product of factors; the right one is of signs if None."""
    r = len(left[0])
    params: Map = {"method": "lowrank", "bits": bits, "rank": r}
    params["scale"] = struct.pack("<f", scale)
    params["weights"] = struct.pack(f"<{r}H", *weights)
    codes = [code for row in left for code in row]
    if right is None:
        params["seed"] = struct.pack("<Q", SEED)
        drawn = signs(SEED, 6 * r)
        right = [drawn[6 * k : 6 * k + 6] for k in range(r)]
    else:
        codes += [code for row in right for code in row]
    products = [
        sum(w * a * right[k][j] for k, (w, a) in enumerate(zip(weights, row, strict=True)))
        for row in left
        for j in range(6)
    ]
    stored = [pack_codes(codes, bits)]
    return Delta(params, stored, [product * scale for product in products], tensor)


SCALES = [0x3E00, 0x3D80, 0x0000, 0x3F00]  # 1/8, 1/16, 0, 1/2
BITS = [0b101010, 0b000111, 0b111111, 0b010000]


def sign(chunk_rows: int = 4, tensor: str = "float32") -> Delta:
    """Return differences of one bit and the scale of the row."""
    scales = [struct.unpack("<f", struct.pack("<HH", 0, bits))[0] for bits in SCALES]
    differences = [
        scale if bits >> j & 1 else -scale
        for scale, bits in zip(scales, BITS, strict=True)
        for j in range(6)
    ]
    stored = []
    for at in range(0, 4, chunk_rows):
        own = slice(at, at + chunk_rows)
        stored.append(struct.pack(f"<{len(SCALES[own])}H", *SCALES[own]) + bytes(BITS[own]))
    return Delta({"method": "sign", "chunk_rows": chunk_rows}, stored, differences, tensor)


# ---------------------------------------------------------------- vectors


def _accepted() -> Iterator[Vector]:
    for dtype in ("float16", "bfloat16", "float32"):
        for delta in (ecq(dtype), lowrank(tensor=dtype), sign(tensor=dtype)):
            name = f"delta-{delta.params['method']}-{dtype}"
            yield _good(name, delta.part(), "COD-DLT-7", f"differences of {dtype}")
    cases = {
        "same": (same(), "BAS-2", "nothing differs"),
        "same-bytes": (same("bytes"), "COD-DLT-1", "nothing differs, of a dtype without grid"),
        "same-nan": (same("nan").change(finite=False), "COD-DLT-2", "a NaN of the base"),
        "skip": (same("float32", "bert.float32", skip=5), "COD-DLT-1", "a name that is longer"),
        "prefix": (same("float32", "32", prefix="float"), "COD-DLT-1", "a name that is shorter"),
        "signs": (lowrank(right=None).part(), "COD-DLT-6", "a factor from a seed"),
        "signs-8": (lowrank(right=None, bits=8).part(), "COD-DLT-6", "the same with 8 bits"),
        "lowrank-8": (
            lowrank([[-128, 1], [127, -1], [0, 2], [5, 5]], [[1] * 6, [-3] * 6], bits=8,
                    weights=[1, 65535]).part(),
            "COD-DLT-3",
            "two ranks of different weights",
        ),
        "sign-chunks": (sign(3).part(), "COD-DLT-5", "two chunks of rows"),
    }  # fmt: skip
    for name, (part, rule, about) in cases.items():
        yield _good(f"delta-{name}", part, rule, about)
    draft = _draft(same().change(digest=tensor_digest(SHA2, *TINY["float32"])), SHA2)
    yield accepted("codecs/delta-sha2", draft.build(), "a base by SHA-256", shows=("BAS-2",)).over(
        FILE
    )
    plain = Draft([layer()], fields={"base": {"digest": bytes(32), "name": "unused"}})
    yield accepted("codecs/delta-none", plain.build(), "a base that no layer needs")


def _good(name: str, part: Part, rule: str, about: str) -> Vector:
    return accepted(f"codecs/{name}", _draft(part).build(), about, shows=(rule,)).over(FILE)


def _refused(
    name: str, part: Part, rule: str, about: str, *, base: str = FILE, code: str | None = None
) -> Vector:
    code = "SP400" if rule in {"LAY-7", "CHK-1"} else code
    data = _draft(part).build()
    return refused(f"codecs/delta-{name}", data, rule, about, mode="decode", code=code).over(base)


def _refused_bases() -> Iterator[Vector]:
    data = _draft(same()).build()
    yield refused("codecs/delta-no-base", data, "BAS-1", "no base is given", mode="decode")
    yield _refused("base-swapped", same(), "BAS-2", "tensors under other names", base=OTHER)
    spliced = {"base": {"digest": base_digest()[::-1], "name": "acme/tiny-base"}}
    data = _draft(same(), **spliced).build()
    about = "the record of another base"
    yield refused("codecs/delta-base-spliced", data, "BAS-2", about, mode="decode").over(FILE)
    data = Draft([same()]).build()
    about = "a delta in a seed without base"
    yield refused("codecs/delta-unnamed", data, "BAS-4", about, mode="decode").over(FILE)
    others = {
        "tensor": (same("float32", "other"), "a tensor that the base lacks"),
        "shape": (same().change(shape=[6, 4]), "another shape"),
        "dtype": (same().change(dtype="int32"), "another dtype of the same size"),
        "skip-other": (same("float32", "bert.float32", skip=4), "a name that is not there"),
    }
    for name, (part, about) in others.items():
        yield _refused(f"base-{name}", part, "BAS-3", about)
    large = same().change(shape=[1 << 19, 1 << 19])
    yield _refused("base-large", large, "BAS-3", "a terabyte over a small tensor")


def _refused_params() -> Iterator[Vector]:
    cases = {
        "none": (same(method=None), "params without a method"),
        "method-int": (same(method=1), "a number as the method"),
        "method-unknown": (same(method="zip"), "an unknown method"),
        "same-more": (same(rank=1), "a param that the method has not"),
        "skip-0": (same(skip=0), "nothing skipped, said at length"),
        "skip-beyond": (same(skip=8), "more skipped than there is"),
        "skip-text": (same(skip="1"), "a text as the number skipped"),
        "prefix-empty": (same(prefix=""), "nothing put in front, said at length"),
        "prefix-int": (same(prefix=1), "a number in front"),
    }
    for name, (part, about) in cases.items():
        params = {k: v for k, v in part.record["params"].items() if v is not None}
        yield _refused(f"params-{name}", part.change(params=params), "COD-DLT-1", about)
    yield _refused("same-chunk", _stored(same(), [b"a"]), "CHK-3", "a chunk, but no difference")
    wrong = ecq().part().change(finite=False)
    yield _refused("not-finite", wrong, "COD-DLT-2", "differences of what may be infinite")
    of_bytes = same("bytes", chunk_rows=3).change(params={"method": "sign", "chunk_rows": 3})
    yield _refused("sign-uint8", of_bytes, "COD-DLT-2", "differences of integers")
    yield _refused("ecq-params", ecq().part(step=None), "COD-ECQ-2", "params of ecq are missing")
    short = _stored(ecq().part(), [LEVELS.stored()[0][:-1]])
    yield _refused("ecq-end", short, "COD-ECQ-6", "the last byte of an escape is missing")
    on_nan = ecq()._replace(tensor="nan", differences=[0.0] * 24).part()
    yield _refused("over-nan", on_nan, "COD-DLT-2", "differences from a NaN")


def _stored(part: Part, stored: list[bytes]) -> Part:
    part.stored = stored
    return part


def _refused_lowrank() -> Iterator[Vector]:
    good = lowrank()
    cases: dict[str, tuple[Map, str]] = {
        "no-rank": ({"rank": None}, "no rank"),
        "extra": ({"zero": 0}, "a param is unknown"),
        "rank-0": ({"rank": 0, "weights": b""}, "rank 0"),
        "rank-3": ({"rank": 3, "weights": b"\1\0" * 3}, "factors larger than their product"),
        "rank-2-62": ({"rank": 1 << 62}, "a rank beyond all memory"),
        "bits-5": ({"bits": 5}, "codes of 5 bits"),
        "bits-0": ({"bits": 0}, "codes of no bits"),
        "weights-short": ({"weights": b"\1"}, "half a weight"),
        "weights-long": ({"weights": b"\1\0" * 2}, "a weight more"),
        "weight-0": ({"weights": bytes(2)}, "a weight of zero"),
        "scale-0": ({"scale": bytes(4)}, "a scale of zero"),
        "scale-subnormal": ({"scale": b"\1\0\0\0"}, "a subnormal scale"),
        "scale-negative": ({"scale": struct.pack("<f", -1)}, "a scale of -1"),
        "scale-infinite": ({"scale": struct.pack("<f", float("inf"))}, "an infinite scale"),
        "scale-nan": ({"scale": struct.pack("<f", float("nan"))}, "a scale that is no number"),
        "scale-short": ({"scale": bytes(3)}, "a scale of three bytes"),
        "seed-short": ({"seed": bytes(7)}, "a seed of seven bytes"),
        "seed-int": ({"seed": 1}, "a number as the seed"),
    }
    for name, (params, about) in cases.items():
        yield _refused(f"lowrank-{name}", good.part(**params), "COD-DLT-3", about)
    vector = lowrank().part().change(name="vector", shape=[8])
    yield _refused("lowrank-vector", vector, "COD-DLT-3", "factors of a vector")
    (codes,) = good.stored
    yield _refused("lowrank-chunks", _stored(good.part(), []), "CHK-3", "no chunk")
    yield _refused("lowrank-two", _stored(good.part(), [codes, codes]), "CHK-3", "two chunks")
    yield _refused(
        "lowrank-long", _stored(good.part(), [codes + b"\0"]), "COD-DLT-4", "a byte more"
    )
    yield _refused("lowrank-cut", _stored(good.part(), [codes[:-1]]), "ZST-1", "a byte is missing")
    free = lowrank(right=None)
    yield _refused("lowrank-seedless", free.part(seed=None), "ZST-1", "no seed, and no codes")
    other = _stored(good.part(), [bytes(len(codes))])
    yield _refused("lowrank-other", other, "LAY-8", "other codes than were signed", code="SP300")
    narrow = Delta({**good.params}, [b"\x11\x11\x11\x11"], [0.0] * 12, "odd").part()
    yield _refused("lowrank-pad", narrow, "COD-DLT-4", "bits behind the last code")


def _refused_sign() -> Iterator[Vector]:
    good = sign()
    (rows,) = good.stored
    for name, params in {
        "none": {"chunk_rows": None},
        "rows-0": {"chunk_rows": 0},
        "extra": {"rank": 1},
    }.items():
        yield _refused(f"sign-params-{name}", good.part(**params), "COD-DLT-5", "other params")
    wide = good.part(chunk_rows=1 << 18)
    yield _refused("sign-wide", wide, "CHK-1", "chunks of more than 4 MiB of differences")
    yield _refused("sign-one-chunk", good.part(chunk_rows=2), "CHK-3", "one chunk for two")
    for name, stored in {"short": rows[:-1], "long": rows + b"\0"}.items():
        yield _refused(f"sign-{name}", _stored(good.part(), [stored]), "COD-DLT-5", "a byte off")
    for name, bits in {"negative": 0xBF80, "subnormal": 1, "infinite": 0x7F80}.items():
        stored = struct.pack("<H", bits) + rows[2:]
        part = _stored(good.part(), [stored])
        yield _refused(f"sign-scale-{name}", part, "COD-DLT-5", f"a scale that is {name}")
    pad = rows[:-1] + bytes([rows[-1] | 0x40])
    yield _refused("sign-pad", _stored(good.part(), [pad]), "COD-DLT-5", "a bit behind the last")


def _refused_values() -> Iterator[Vector]:
    huge = lowrank(scale=2.0**122)
    part = _over_huge(huge)
    yield _refused("sum-infinite", part, "LAY-7", "a sum beyond the largest float32")
    part = _over_huge(lowrank(scale=2.0**127))
    yield _refused("difference-infinite", part, "LAY-7", "a difference beyond it")
    nan = same("nan")
    yield _refused("same-nan-finite", nan, "LAY-7", "a NaN in a layer declared finite")


def _over_huge(delta: Delta) -> Part:
    part = delta._replace(tensor="huge", differences=[0.0] * 24).part()
    return part.change(digest=bytes(32))
