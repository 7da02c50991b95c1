"""Vectors of section 11: files that lack chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .parity import protected
from .writer import Draft, attachment, layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector


def draft(absent: set[int], *, nlayers: int = 3) -> Draft:
    """Return a seed of small layers and an attachment that lacks these chunks."""
    layers = [layer(f"w{i}", elements=bytes([i, 255])) for i in range(nlayers)]
    return Draft(layers, [attachment()], absent=frozenset(absent))


def with_presence(absent: set[int], presence: bytes, *, nlayers: int = 3) -> bytes:
    """Return the same with another bitmap; the payload stays that of `absent`."""
    one = draft(absent, nlayers=nlayers)
    one.presence = lambda: presence  # type: ignore[method-assign]
    return one.build()


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _bitmaps()
    yield from _parts()


def _accepted() -> Iterator[Vector]:
    everything = ("w0", "w1", "w2", "README.md")
    pieces = Draft(
        [layer(elements=b"abcd", stored=[b"ab", b"cd"], params={"chunk_values": 2}), layer("v")],
        absent=frozenset({1}),
    )
    no_parity = protected(8, 50)
    n = len(no_parity.chunks()) - len(no_parity.parity.stored if no_parity.parity else [])
    no_parity.absent = frozenset(range(n, len(no_parity.chunks())))
    only_parity = protected(8, 50)
    only_parity.absent = frozenset(range(n))
    cases: dict[str, tuple[Draft, str, tuple[str, ...]]] = {
        "first-layer-absent": (draft({0}), "the first of three layers is absent", ("w0",)),
        "last-layer-absent": (draft({2}), "the last layer is absent", ("w2",)),
        "attachment-absent": (draft({3}), "only the attachment is absent", ("README.md",)),
        "one-layer": (draft({0, 2, 3}), "one layer alone", ("w0", "w2", "README.md")),
        "nothing": (draft({0, 1, 2, 3}), "a signed manifest alone", everything),
        "half-a-layer": (pieces, "one of a layer's two chunks is absent", ("w",)),
        "eight-chunks": (draft({7}, nlayers=7), "a bitmap of exactly one byte", ("README.md",)),
        "nine-chunks": (draft({0}, nlayers=8), "a bitmap of two bytes", ("w0",)),
        "without-parity": (no_parity, "all data, no parity", ()),
        "parity-alone": (only_parity, "parity, no data", ("a", "b", "README.md")),
    }
    for name, (one, about, missing) in cases.items():
        data = one.build()
        yield accepted(f"partial/{name}", data, about, shows=("PRT-2",), missing=missing)


def _bitmaps() -> Iterator[Vector]:
    sizes = {
        "two-bytes-for-four": (b"\x0e\0", "a byte too many"),
        "64-kib": (b"\x0e" + bytes(65_535), "the largest bitmap for four chunks"),
    }
    for name, (presence, about) in sizes.items():
        data = with_presence({0}, presence)
        yield refused(f"partial/bitmap-{name}", data, "PRT-1", about, attack=(130,))
    data = with_presence({0}, b"\xfe", nlayers=8)
    yield refused("partial/bitmap-short", data, "PRT-1", "a byte too few", attack=(130,))
    nothing = Draft([])
    nothing.presence = lambda: b"\0"  # type: ignore[method-assign]
    about = "a bitmap where there is no chunk"
    yield refused("partial/bitmap-for-nothing", nothing.build(), "PRT-1", about, attack=(130,))
    bits = {
        "all-present": (set(), b"\x0f", "a bitmap that says that nothing is absent"),
        "unused-bit": ({0}, b"\x1e", "a bit behind the last chunk"),
        "unused-highest": ({0}, b"\x8e", "the highest bit is used"),
        "all-ones": (set(), b"\xff", "all bits are set"),
    }
    for name, (absent, presence, about) in bits.items():
        data = with_presence(absent, presence)
        yield refused(f"partial/bitmap-{name}", data, "PRT-2", about, attack=(131,))


def _parts() -> Iterator[Vector]:
    cases = {
        "claims-more": (with_presence({0}, b"\x0d"), True, "it holds another chunk than it says"),
        "claims-two": (with_presence({0, 1}, b"\x0e"), False, "it claims a chunk it lacks"),
        "claims-whole": (with_presence({0}, b""), False, "a partial seed claims to be whole"),
        "claims-none": (with_presence({0}, b"\0"), False, "it holds chunks that it denies"),
    }
    for name, (data, digests_tell, about) in cases.items():
        rule = "CHK-2" if digests_tell else "MAN-14"
        yield refused(f"partial/{name}", data, rule, about, attack=(129, 131), partial=True)
    for name, absent in {"a-layer": {1}, "all": {0, 1, 2, 3}, "the-attachment": {3}}.items():
        about = "a partial seed where a whole one is asked for"
        data = draft(absent).build()
        yield refused(f"partial/lacks-{name}", data, "PRT-3", about, attack=(131,))
    spliced = draft({0}).build()
    other = draft({0}).payload()
    about = "a chunk of another seed stands in a partial one"
    data = spliced[: -len(other)] + b"\x09\x09" + other[2:]
    yield refused("partial/spliced", data, "CHK-2", about, attack=(59, 129), partial=True)
