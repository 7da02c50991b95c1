"""Vectors of section 6: grammar and encoding of the manifest."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .manifest_edits import (
    CLAIM,
    DEL,
    MANIFEST,
    PACKED,
    all_refused,
    with_bytes,
    with_fields,
    with_layer,
    with_producer,
    with_version,
)
from .writer import frame, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _grammar()
    yield from _types()
    yield from _canonical()
    yield from _bounds()
    yield from _numbers()
    yield from _text()


def _grammar() -> Iterator[Vector]:
    for key in ("architecture", "expires", "layers", "version"):
        data = with_fields(**{key: DEL})
        about = f"the key {key} is missing"
        yield refused(f"manifest/without-{key}", data, "MAN-1", about, attack=(46,))
    for key, name in {"a": "first", "critical": "middle", "zzz": "last", "x-note": "extra"}.items():
        data = with_fields(**{key: 0})
        about = f"an unknown key, {key}"
        yield refused(f"manifest/unknown-{name}", data, "MAN-1", about, attack=(40, 41))
    chunk = MANIFEST["layers"][0]["chunks"][0]
    cases = {
        "layer-without-finite": (with_layer(finite=DEL), "a layer lacks a key", (46,)),
        "layer-unknown-key": (with_layer(offset=0), "a layer gives an offset", (18, 40, 54)),
        "chunk-of-3": (with_layer(chunks=[[*chunk, 0]]), "a chunk gives an offset", (18, 20, 54)),
        "chunk-of-1": (with_layer(chunks=[chunk[:1]]), "a chunk has no digest", (46,)),
        "claim-incomplete": (
            with_fields(claims=[{k: v for k, v in CLAIM.items() if k != "control_value"}]),
            "a claim without its control arm",
            (46,),
        ),
        "base-with-url": (
            with_fields(base={"digest": bytes(32), "name": "b", "url": "https://example.org"}),
            "the base gives an address",
            (40, 65),
        ),
        "trailing-nil": (frame(PACKED + b"\xc0"), "a second value behind the manifest", (38,)),
        "twice": (frame(PACKED + PACKED), "the manifest stands twice", (38,)),
        "cut-by-one": (frame(PACKED[:-1]), "the last byte is missing", (39,)),
        "cut-in-number": (with_version(b"\xcd\x01"), "ends inside a number", (39,)),
        "byte-c1": (with_version(b"\xc1"), "a byte that msgpack never uses", ()),
        "root-nil": (frame(b"\xc0"), "the manifest is nil", ()),
        "root-array": (frame(pack(list(MANIFEST.values()))), "the manifest is an array", ()),
        "root-empty": (frame(b"\x80"), "the manifest is an empty map", (46,)),
    }
    yield from all_refused("grammar", "MAN-1", cases)


def _types() -> Iterator[Vector]:
    digest = MANIFEST["layers"][0]["digest"]
    cases = {
        "version-true": (with_fields(version=True), "true as a number", (30,)),
        "schema-true": (with_fields(schema=True), "true as 1", (30,)),
        "finite-1": (with_layer(finite=1), "1 as true", (30,)),
        "shape-true": (with_layer(shape=[8, True]), "true as a dimension", (30,)),
        "expires-false": (with_fields(expires=False), "false as nil", (30,)),
        "name-nil": (with_fields(name=None), "nil as a text", ()),
        "name-binary": (with_fields(name=b"acme/tiny"), "a binary as a text", (26,)),
        "digest-hex": (with_layer(digest=digest.hex()), "a digest in hexadecimal", (62,)),
        "digest-text": (with_layer(digest="d" * 32), "a text as a digest", (26, 62)),
        "version-text": (with_fields(version="7"), "a text as a number", ()),
        "layers-map": (with_fields(layers={}), "a map as an array", ()),
        "layers-nil": (with_fields(layers=None), "nil as an array", ()),
        "recipe-array": (with_fields(recipe=[]), "an array as a map", ()),
        "recipe-nested": (with_fields(recipe={"a": {"a": 1}}), "a map inside the recipe", (65,)),
        "recipe-bool": (with_fields(recipe={"a": True}), "true in the recipe", (30,)),
        "parity-false": (with_fields(parity=False), "false as nil", ()),
    }
    yield from all_refused("type", "MAN-1", cases)


def _canonical() -> Iterator[Vector]:
    first = b"\xacarchitecture\xc0"
    last = b"\xa6schema\x01\xa7version\x07"
    two = pack(MANIFEST | {"recipe": {"a": 1, "b": 2}})
    grown = b"\xde\x00\x10"  # one key more than the 15 of a short header
    same = grown + PACKED[1:] + b"\xa7version\x07"
    other = grown + PACKED[1:] + b"\xa7version\x09"
    binary = grown + PACKED[1:] + b"\xc4\x07version\x07"
    recipe_twice = two.replace(b"\x82\xa1a\x01\xa1b\x02", b"\x82\xa1a\x01\xa1a\x02")
    cases = {
        "duplicate-same": (frame(same), "a key stands twice with one value", (25,)),
        "duplicate-other": (frame(other), "a key stands twice with two values", (25,)),
        "duplicate-inside": (frame(recipe_twice), "a key stands twice in the recipe", (25,)),
        "duplicate-binary": (frame(binary), "a key stands twice, as text and as binary", (26,)),
        "key-binary": (
            with_bytes(b"\xa7version", b"\xc4\x07version"),
            "a key is a binary",
            (26,),
        ),
        "key-integer": (
            frame(two.replace(b"\x82\xa1a\x01", b"\x82\x05\x01")),
            "a key is an integer",
            (26,),
        ),
        "key-nil": (frame(two.replace(b"\x82\xa1a\x01", b"\x82\xc0\x01")), "a key is nil", ()),
        "unsorted": (
            with_bytes(last, b"\xa7version\x07\xa6schema\x01"),
            "two keys change places",
            (29,),
        ),
        "unsorted-inside": (
            frame(two.replace(b"\xa1a\x01\xa1b\x02", b"\xa1b\x02\xa1a\x01")),
            "two keys of the recipe change places",
            (29,),
        ),
        "unsorted-first-last": (
            frame(PACKED[:1] + PACKED[1 + len(first) :] + first),
            "the first key stands last",
            (29,),
        ),
    }
    yield from all_refused("canonical", "MAN-2", cases)
    yield from _long_forms()


def _long_forms() -> Iterator[Vector]:
    name = b"\xa4name\xa1w"
    shape = b"\xa5shape\x91\x08"
    digest = b"\xa6digest\xc4\x20"
    recipe = b"\xa6recipe\x80"
    cases = {
        "uint8": (with_version(b"\xcc\x07"), "7 in two bytes", (28,)),
        "uint16": (with_version(b"\xcd\x00\x07"), "7 in three bytes", (28,)),
        "uint32": (with_version(b"\xce\0\0\0\x07"), "7 in five bytes", (28,)),
        "uint64": (with_version(b"\xcf" + bytes(7) + b"\x07"), "7 in nine bytes", (28,)),
        "uint16-of-255": (with_version(b"\xcd\x00\xff"), "255 in three bytes", (28,)),
        "str8": (with_bytes(name, b"\xa4name\xd9\x01w"), "a short text with str 8", (28,)),
        "str16": (with_bytes(name, b"\xa4name\xda\x00\x01w"), "with str 16", (28,)),
        "str32": (with_bytes(name, b"\xa4name\xdb\0\0\0\x01w"), "with str 32", (28,)),
        "str8-key": (with_bytes(name, b"\xd9\x04name\xa1w"), "a key with str 8", (28,)),
        "bin16": (with_bytes(digest, b"\xa6digest\xc5\x00\x20"), "bin 16", (28,)),
        "bin32": (with_bytes(digest, b"\xa6digest\xc6\0\0\0\x20"), "bin 32", (28,)),
        "array16": (with_bytes(shape, b"\xa5shape\xdc\x00\x01\x08"), "array 16", (28,)),
        "array32": (with_bytes(shape, b"\xa5shape\xdd\0\0\0\x01\x08"), "array 32", (28,)),
        "map16": (with_bytes(recipe, b"\xa6recipe\xde\x00\x00"), "map 16", (28,)),
        "map32": (with_bytes(recipe, b"\xa6recipe\xdf\0\0\0\0"), "map 32", (28,)),
    }
    yield from all_refused("long", "MAN-2", cases)


def _bounds() -> Iterator[Vector]:
    huge = {
        "array32": b"\xdd\x7f\xff\xff\xff",
        "array32-all-ones": b"\xdd\xff\xff\xff\xff",
        "map32": b"\xdf\x7f\xff\xff\xff",
        "bin32": b"\xc6\x7f\xff\xff\xff",
        "str32": b"\xdb\x7f\xff\xff\xff",
        "array16": b"\xdc\xff\xff",
        "map16": b"\xde\xff\xff",
        "bin8": b"\xc4\xff",
        "str8": b"\xd9\xff",
        "chain-of-array16": b"\xdc\xff\xff" * 7,
    }
    for name, encoded in huge.items():
        attack = (37,) if "chain" in name else (36,)
        about = f"a header that announces more than follows: {name.replace('-', ' ')}"
        data = with_version(encoded)
        yield refused(f"manifest/announces-{name}", data, "MAN-3", about, attack=attack)
    for depth in (20, 5_000):
        for name, opener in {"arrays": b"\x91", "maps": b"\x81\xa1a"}.items():
            data = with_version(opener * depth + b"\xc0")
            about = f"{depth} {name} inside one another"
            yield refused(f"manifest/nested-{depth}-{name}", data, "MAN-3", about, attack=(35,))


def _numbers() -> Iterator[Vector]:
    floats = {
        "7.0": struct.pack(">d", 7.0),
        "7.0-single": struct.pack(">f", 7.0),
        "nan": struct.pack(">d", float("nan")),
        "infinity": struct.pack(">d", float("inf")),
        "minus-0.0": struct.pack(">d", -0.0),
    }
    for name, encoded in floats.items():
        data = with_version((b"\xcb" if len(encoded) == 8 else b"\xca") + encoded)
        attack = (31,) if name.startswith("7") else (32, 67)
        yield refused(f"manifest/float-{name}", data, "MAN-4", f"the float {name}", attack=attack)
    recipe = pack(MANIFEST | {"recipe": {"a": float("nan")}})
    about = "a recipe's parameter is not a number"
    yield refused("manifest/float-in-recipe", frame(recipe), "MAN-4", about, attack=(67,))
    extensions = {
        "fixext1": b"\xd4\x05\x00",
        "ext8": b"\xc7\x03\x05abc",
        "ext32": b"\xc9\0\0\0\x01\x05a",
        "timestamp32": b"\xd6\xff\x65\x00\x00\x00",
        "timestamp64": b"\xd7\xff" + bytes(8),
        "timestamp96": b"\xc7\x0c\xff" + bytes(12),
    }
    for name, encoded in extensions.items():
        data = with_version(encoded)
        about = f"the extension type {name}"
        yield refused(f"manifest/ext-{name}", data, "MAN-4", about, attack=(33,))
    integers = {
        "minus-1": b"\xff",
        "minus-128": b"\xd0\x80",
        "minus-2-63": b"\xd3\x80" + bytes(7),
        "2-63": b"\xcf\x80" + bytes(7),
        "2-64-minus-1": b"\xcf" + b"\xff" * 8,
    }
    for name, encoded in integers.items():
        data = with_version(encoded)
        attack = (43, 112) if name.startswith("2") else (43,)
        about = f"the integer {name.replace('-', ' ')}"
        yield refused(f"manifest/integer-{name}", data, "MAN-5", about, attack=attack)
    for form, encoded in {"d0": b"\xd0\x03", "d3": b"\xd3" + bytes(7) + b"\x03"}.items():
        data = with_version(encoded)
        yield refused(f"manifest/integer-signed-{form}", data, "MAN-5", "3 in a signed form")
    data = with_layer(shape=[8, -1])
    yield refused("manifest/integer-in-shape", data, "MAN-5", "a dimension of -1", attack=(43,))


def _text() -> Iterator[Vector]:
    raw = {
        "utf8-lone-continuation": b"\x80",
        "utf8-cut": b"\xe2\x82",
        "utf8-overlong": b"\xc0\xaf",
        "utf8-surrogate": b"\xed\xa0\x80",
        "utf8-above-10ffff": b"\xf4\x90\x80\x80",
        "utf8-ff": b"\xff",
    }
    for name, encoded in raw.items():
        data = with_producer(bytes([0xA0 + len(encoded)]) + encoded)
        about = f"not UTF-8: {encoded.hex(' ')}"
        yield refused(f"manifest/{name}", data, "MAN-6", about, attack=(34,))
    points = {
        "nul": 0, "tab": 9, "lf": 10, "cr": 13, "escape": 0x1B, "delete": 0x7F, "nel": 0x85,
        "soft-hyphen": 0xAD, "zero-width-space": 0x200B, "right-to-left-override": 0x202E,
        "line-separator": 0x2028, "paragraph-separator": 0x2029, "word-joiner": 0x2060,
        "isolate": 0x2066, "private-use": 0xE000, "byte-order-mark": 0xFEFF,
        "tag": 0xE0041,
    }  # fmt: skip
    for name, point in points.items():
        data = with_fields(producer=f"a{chr(point)}b")
        about = f"text with U+{point:04X}"
        yield refused(f"manifest/text-{name}", data, "MAN-6", about, attack=(34,))
    for name, point in {"unassigned": 0x0378, "noncharacter": 0xFFFF}.items():
        data = with_fields(producer=f"a{chr(point)}b")
        about = f"text with U+{point:04X}, which no reader may judge"
        yield accepted(f"manifest/text-{name}", data, about, shows=("MAN-6",))
    more = {
        "nfd": (with_fields(producer="e\u0301"), "text in NFD", (27,)),
        "nfd-hangul": (with_fields(producer="\u1112\u1161"), "Hangul as jamo", (27,)),
        "singleton": (with_fields(producer="\u212b"), "the angstrom sign, whose NFC is Å", (27,)),
        "4097": (with_fields(producer="p" * 4097), "text of 4,097 bytes", ()),
        "4097-not-ascii": (with_fields(producer="é" * 2048 + "p"), "4,097 bytes, fewer chars", ()),
        "recipe-key": (with_fields(recipe={"a\u200bb": 1}), "a key of the recipe", (34,)),
        "recipe-value": (with_fields(recipe={"a": "\x1b[31m"}), "a value of the recipe", (34,)),
        "claim": (with_fields(claims=[CLAIM | {"metric": "\u202etset"}]), "a claim's text", (34,)),
        "base-name": (
            with_fields(base={"digest": bytes(32), "name": "a\0b"}),
            "the name of the base",
            (34,),
        ),
        "param-key": (with_layer(params={"chunk\u200b_values": 8}), "a key of params", (34,)),
    }
    yield from all_refused("text", "MAN-6", more)
