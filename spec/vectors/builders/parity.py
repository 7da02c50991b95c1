"""Vectors of section 10: parity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .reed_solomon import parity_chunks
from .writer import Draft, Part, attachment, layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector

SCHEME = "rs-vandermonde-gf256"


def chunked(name: str, sizes: list[int], first: int) -> Part:
    """Return a layer of chunks of `sizes[0]` bytes, the last one shorter; all bytes differ."""
    elements = bytes((first + 7 * i) % 251 for i in range(sum(sizes)))
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    stored = [elements[end - n : end] for end, n in zip(ends, sizes, strict=True)]
    return layer(name, elements=elements, stored=stored, params={"chunk_values": sizes[0]})


def protected(width: int, percent: int, *, sizes: list[int] | None = None) -> Draft:
    """Return a seed of two layers and an attachment with parity."""
    layers = [chunked("a", sizes or [20, 20, 20, 9], 1), chunked("b", [16, 16], 2)]
    draft = Draft(layers, [attachment()])
    stored = parity_chunks(draft.chunks(), width, percent)
    draft.parity = Part({"percent": percent, "scheme": SCHEME, "stripe_nchunks": width}, stored)
    return draft


def without(width: int, percent: int, stored: list[bytes]) -> Draft:
    """Return the same seed with other parity chunks."""
    draft = protected(8, 50)
    record = {"percent": percent, "scheme": SCHEME, "stripe_nchunks": width}
    draft.parity = Part(record, stored)
    return draft


def vectors() -> Iterator[Vector]:
    """Build the area."""
    cases = {
        "half": (protected(8, 50), "one parity chunk for two chunks"),
        "one-percent": (protected(8, 1), "the least: one parity chunk a stripe"),
        "stripes-of-1": (protected(1, 1000), "ten copies of each chunk"),
        "stripes-of-2": (protected(2, 100), "several stripes in a class"),
        "stripe-232": (protected(232, 10), "232 and 24 chunks a stripe, 256 in all"),
        "stripe-25-at-900": (protected(25, 900), "25 and 225 chunks a stripe"),
    }
    for name, (draft, about) in cases.items():
        yield accepted(f"parity/{name}", draft.build(), about, shows=("PAR-3",))
    yield from _refused()
    yield from _shapes()


def _refused() -> Iterator[Vector]:
    good = protected(8, 50)
    parity = good.parity
    if parity is None:
        return
    for name, scheme in {"empty": "", "xor": "xor", "case": SCHEME.upper()}.items():
        data = _with(parity.change(scheme=scheme))
        yield refused(f"parity/scheme-{name}", data, "PAR-1", f"the scheme {scheme!r}")
    limits = {
        "stripe-0": (0, 50, "stripes of no chunk"),
        "stripe-256": (256, 1, "stripes of 256 chunks"),
        "percent-0": (8, 0, "no parity at all"),
        "percent-1001": (8, 1001, "more than tenfold"),
        "shards-257": (255, 1, "255 and 3 chunks a stripe"),
        "shards-258": (129, 100, "129 and 129 chunks a stripe"),
        "stripe-2-63": (2**63 - 1, 1, "stripes of 2^63 - 1 chunks"),
    }
    for name, (width, percent, about) in limits.items():
        data = without(width, percent, parity.stored).build()
        yield refused(f"parity/{name}", data, "PAR-2", about, attack=(133,))


def _with(parity: Part) -> bytes:
    draft = protected(8, 50)
    draft.parity = parity
    return draft.build()


def _shapes() -> Iterator[Vector]:
    good = protected(8, 50).parity
    if good is None:
        return
    stored = good.stored
    longer = [stored[0] + b"\0", *stored[1:]]
    shorter = [stored[0][:-1], *stored[1:]]
    cases = {
        "none": ([], "no parity chunk"),
        "one-less": (stored[:-1], "a parity chunk is missing"),
        "one-more": ([*stored, stored[-1]], "a parity chunk too many"),
        "one-longer": (longer, "a parity chunk is longer than its stripe"),
        "one-shorter": (shorter, "a parity chunk is shorter than its stripe"),
        "reversed": (stored[::-1], "the stripes stand in reverse order"),
    }
    for name, (chunks, about) in cases.items():
        data = _with(Part(good.record, chunks))
        yield refused(f"parity/chunks-{name}", data, "PAR-3", about, attack=(133,))
    nothing = Draft([], parity=Part(good.record, []))
    yield refused("parity/no-data", nothing.build(), "PAR-3", "nothing to protect", attack=(133,))
    forged = protected(8, 50)
    whole = forged.build()
    changed = whole[:-1] + bytes([whole[-1] ^ 1])
    about = "a byte of a parity chunk is forged"
    yield refused("parity/forged", changed, "CHK-2", about, attack=(132,))
