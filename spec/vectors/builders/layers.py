"""Vectors of section 7: layers and chunks, with the codec `raw` where one is needed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .frames import frame, rle_block, zeros
from .writer import BLAKE3, ITEMSIZES, SHA2, Draft, attachment, digest, layer, tensor_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector
    from .writer import Part

NAN = {  # values that are not finite
    "float8_e4m3fn-nan": ("float8_e4m3fn", b"\xff"),
    "float8_e5m2-infinity": ("float8_e5m2", b"\x7c"),
    "float8_e5m2-nan": ("float8_e5m2", b"\x7f"),
    "float16-infinity": ("float16", struct.pack("<e", float("inf"))),
    "float16-nan": ("float16", b"\x01\xfc"),
    "bfloat16-infinity": ("bfloat16", b"\x80\x7f"),
    "bfloat16-nan": ("bfloat16", b"\x81\xff"),
    "float32-infinity": ("float32", struct.pack("<f", float("inf"))),
    "float32-minus-infinity": ("float32", struct.pack("<f", float("-inf"))),
    "float32-nan": ("float32", b"\x01\x00\x80\x7f"),
    "float64-infinity": ("float64", struct.pack("<d", float("inf"))),
    "float64-nan": ("float64", struct.pack("<Q", 0x7FF0000000000001)),
}


def one(part: Part) -> bytes:
    """Return a file with one layer."""
    return Draft([part]).build()


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _names()
    yield from _records()
    yield from _chunk_sizes()
    yield from _stored_digests()
    yield from _values()


def _accepted() -> Iterator[Vector]:
    for dtype, itemsize in ITEMSIZES.items():
        elements = bytes([1] * itemsize + [0] * itemsize * 2)
        data = one(layer("w", dtype, [3], elements))
        yield accepted(f"layers/dtype-{dtype}", data, f"three values of {dtype}", shows=("LAY-2",))
    for name, (dtype, element) in NAN.items():
        data = one(layer("w", dtype, [2], element * 2, finite=False))
        about = "a value that is not finite, declared so"
        yield accepted(f"layers/declared-{name}", data, about, shows=("LAY-7",))
    highest = layer("w", "float8_e4m3fn", [2], b"\x7e\xfe")
    cases: dict[str, tuple[list[Part], str, tuple[str, ...]]] = {
        "zero-dimensions": ([layer("w", "float32", [], bytes(4))], "a scalar", ("LAY-3",)),
        "eight-dimensions": ([layer("w", "uint8", [1] * 7 + [8])], "8 dimensions", ("LAY-3",)),
        "empty": ([layer("w", "float32", [0], b"")], "an empty tensor", ("LAY-4",)),
        "empty-2-40": ([layer("w", "uint8", [0, 2**40], b"")], "empty, 2^40 wide", ("LAY-4",)),
        "name-255": ([layer("n" * 255)], "a layer name of 255 bytes", ("LAY-1",)),
        "name-characters": ([layer("_0.a:B-9.weight")], "each allowed character", ("LAY-1",)),
        "names-differ-in-case": ([layer("w"), layer("W")], "two names differ in case", ("LAY-1",)),
        "two-layers": ([layer("a"), layer("b", elements=b"12")], "two layers", ()),
        "same-bytes": ([layer("a"), layer("b")], "two layers of equal bytes, stored twice", ()),
        "e4m3fn-highest": ([highest], "the highest finite float8_e4m3fn", ("LAY-7",)),
        "negative-zero": ([layer("w", "float32", [1], b"\0\0\0\x80")], "the float -0.0", ()),
        "subnormal": ([layer("w", "float32", [1], b"\1\0\0\0")], "the least subnormal", ()),
    }
    for name, (parts, about, shows) in cases.items():
        yield accepted(f"layers/{name}", Draft(parts).build(), about, shows=shows)


def _names() -> Iterator[Vector]:
    names = {
        "empty": ("", (44,)), "metadata": ("__metadata__", (45,)), "dot-first": (".w", ()),
        "hyphen-first": ("-w", ()), "slash": ("a/w", (34,)), "backslash": ("a\\w", (34,)),
        "dot-dot": ("../w", (34, 119)), "absolute": ("/etc/w", (34, 119)), "space": ("a w", ()),
        "markup": ("[red]w", ()), "nfc": ("caf\u00e9", (27,)), "cyrillic": ("\u0430", (34,)),
        "256-bytes": ("n" * 256, ()), "drive": ("C:\\w", (119,)), "brace": ("{w}", ()),
    }  # fmt: skip
    for name, (value, attack) in names.items():
        about = f"a layer named {value!r}" if len(value) < 30 else "a layer name of 256 bytes"
        yield refused(f"layers/name-{name}", one(layer(value)), "LAY-1", about, attack=attack)
    twice = Draft([layer("w"), layer("v"), layer("w", elements=b"1")]).build()
    about = "two layers have one name"
    yield refused("layers/name-twice", twice, "LAY-1", about, attack=(47,))


def _records() -> Iterator[Vector]:
    for dtype in ("float128", "object", "O", ">f4", "<f4", "F32", "", "string", "float8_e4m3fnuz"):
        data = one(layer().change(dtype=dtype))
        name = {"": "empty", ">f4": "big-endian", "<f4": "numpy-code"}.get(dtype, dtype)
        about = f"the dtype {dtype!r}"
        yield refused(f"layers/dtype-unknown-{name}", data, "LAY-2", about, attack=(51,))
    data = one(layer().change(shape=[1] * 8 + [8]))
    yield refused("layers/nine-dimensions", data, "LAY-3", "9 dimensions", attack=(50,))
    shapes: dict[str, tuple[str, list[int], tuple[int, ...], str]] = {
        "2-66": ("uint8", [2**33, 2**33], (48,), "2^66 elements, which is 0 in 64 bits"),
        "2-128": ("uint8", [2**62, 2**62, 2**4], (48,), "2^128 elements"),
        "empty-2-63": ("uint8", [0, 2**63 - 1], (49,), "empty, but 2^63 - 1 wide"),
        "2-40-plus-1": ("uint8", [2**40 + 1], (66,), "one byte above the limit"),
        "2-38-plus-1-floats": ("float32", [2**38 + 1], (66,), "one float above the limit"),
        "itemsize-overflow": ("float64", [2**61], (48,), "2^64 bytes, which is 0 in 64 bits"),
    }
    for name, (dtype, shape, attack, about) in shapes.items():
        data = one(layer("w", dtype, [1], bytes(ITEMSIZES[dtype])).change(shape=shape))
        yield refused(f"layers/shape-{name}", data, "LAY-4", about, attack=attack)
    for codec in ("", "RAW", "pickle", "zstd", "raw2"):
        data = one(layer().change(codec=codec))
        name = codec or "empty"
        yield refused(f"layers/codec-unknown-{name}", data, "LAY-5", f"the codec {codec!r}")
    params = {
        "33": ({f"p{i:02}": i for i in range(33)}, "33 params"),
        "binary-4097": ({"chunk_values": 8, "table": bytes(4097)}, "a param of 4,097 bytes"),
    }
    for name, (value, about) in params.items():
        data = one(layer().change(params=value))
        yield refused(f"layers/params-{name}", data, "LAY-6", about, attack=(42,))
    for dtype in ("uint8", "bool", "int64"):
        data = one(layer("w", dtype, [1], bytes(ITEMSIZES[dtype]), finite=False))
        yield refused(f"layers/not-finite-{dtype}", data, "LAY-7", f"{dtype}, not finite")


def _chunk_sizes() -> Iterator[Vector]:
    limit = 4 * 1024 * 1024 + 65_536
    sizes = {"0": (0, "a chunk of no bytes", (21,)), "above": (limit + 1, "above its limit", (13,))}
    for name, (nbytes, about, attack) in sizes.items():
        chunk = [nbytes, digest(BLAKE3, b"")]
        absent = Draft([layer().change(chunks=[chunk]), layer("v")], absent=frozenset({0}))
        data = absent.build()
        yield refused(f"layers/chunk-{name}", data, "CHK-1", about, attack=attack)
    n = 4 * 1024 * 1024
    for name, size in {"4-mib": n, "4-mib-plus-1": n + 1}.items():
        content = struct.pack("<I", len(zeros(size))) + zeros(size)
        data = one(layer("w", "uint8", [size], bytes(size), stored=[content]))
        if size == n:
            about = "a chunk of 4 MiB decoded, the most"
            yield accepted(f"layers/decodes-to-{name}", data, about, shows=("CHK-1",))
        else:
            about = "a chunk decodes to one byte more than 4 MiB"
            yield refused(
                f"layers/decodes-to-{name}",
                data,
                "CHK-1",
                about,
                mode="decode",
                code="SP400",
                attack=(66,),
            )


def _stored_digests() -> Iterator[Vector]:
    a, b = layer("a", elements=b"\1" * 8), layer("b", elements=b"\2" * 8)
    draft = Draft([a, b], [attachment()])
    whole, payload = draft.build(), draft.payload()
    base = whole[: len(whole) - len(payload)]
    cases = {
        "first-bit": (_flip(payload, 0), "the first bit of the payload changed", (80,)),
        "last-bit": (_flip(payload, -1), "the last byte of the payload changed", (80,)),
        "attachment-bit": (_flip(payload, 17), "a byte of the attachment changed", (80,)),
        "swapped": (payload[8:16] + payload[:8] + payload[16:], "two layers swapped", (55, 56)),
        "zero": (bytes(len(payload)), "the payload is all zero", (80,)),
        "spliced": (b"\3" * 8 + payload[8:], "a layer of another seed", (59,)),
        "first-twice": (payload[:8] * 2 + payload[16:], "one layer's bytes for two", (54,)),
        "rotated": (payload[-8:] + payload[:-8], "all chunks moved on by one", (56,)),
    }
    for name, (changed, about, attack) in cases.items():
        data = base + changed
        yield refused(f"layers/stored-{name}", data, "CHK-2", about, attack=attack)
    about = "another encoding of the same tensor, of equal size"
    yield refused("layers/stored-reencoded", _reencoded(), "CHK-2", about, attack=(83,))
    wrong = layer().change(chunks=[[8, digest(SHA2, bytes(range(8)))]])
    about = "a chunk's digest is of the other algorithm"
    yield refused("layers/stored-other-algorithm", one(wrong), "CHK-2", about, attack=(60,))
    inner = layer().change(chunks=[[8, digest(BLAKE3, digest(BLAKE3, bytes(range(8))))]])
    about = "the digest of a digest stands for the chunk's"
    yield refused("layers/stored-digest-of-digest", one(inner), "CHK-2", about, attack=(63,))


def _reencoded() -> bytes:
    """Return a file in which a frame became another one of the same content and size."""
    ends = rle_block(114, 50, last=False) + rle_block(114, 50), rle_block(114, 49, last=False)
    frames = frame(ends[0], 100), frame(ends[1] + rle_block(114, 51), 100)
    first, second = (struct.pack("<I", len(one)) + one for one in frames)
    data = one(layer("w", "uint8", [100], b"r" * 100, stored=[first]))
    return data[: -len(first)] + second


def _flip(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def _values() -> Iterator[Vector]:
    for name, (dtype, element) in NAN.items():
        data = one(layer("w", dtype, [2], bytes(len(element)) + element))
        about = "a value that is not finite, declared finite"
        yield refused(
            f"layers/{name}", data, "LAY-7", about, mode="decode", code="SP400", attack=(68,)
        )
    elements = bytes(range(8))
    digests = {
        "other-elements": tensor_digest(BLAKE3, "uint8", [8], elements[::-1]),
        "other-dtype": tensor_digest(BLAKE3, "int8", [8], elements),
        "other-shape": tensor_digest(BLAKE3, "uint8", [2, 4], elements),
        "no-dimensions": tensor_digest(BLAKE3, "uint8", [], elements),
        "other-algorithm": tensor_digest(SHA2, "uint8", [8], elements),
        "elements-alone": digest(BLAKE3, elements),
        "zero": bytes(32),
    }
    for name, value in digests.items():
        data = one(layer().change(digest=value))
        about = f"the digest of the decoded tensor is wrong: {name.replace('-', ' ')}"
        attack = (63,) if name == "elements-alone" else (56,)
        yield refused(f"layers/digest-{name}", data, "LAY-8", about, mode="decode", attack=attack)
    swapped = Draft([layer("a", elements=b"1"), layer("b", elements=b"2")])
    swapped.layers[0].stored, swapped.layers[1].stored = [b"2"], [b"1"]
    about = "the publisher swapped the chunks of two layers"
    yield refused(
        "layers/chunks-swapped", swapped.build(), "LAY-8", about, mode="decode", attack=(55,)
    )
