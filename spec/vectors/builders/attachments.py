"""Vectors of section 8: attachments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .frames import frame, rle_block, zeros
from .writer import BLAKE3, Draft, attachment, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector
    from .writer import Part

MIB = 1 << 20


def of(*parts: Part) -> bytes:
    """Return a file with these attachments."""
    return Draft(attachments=[*parts]).build()


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _names()
    yield from _pairs()
    yield from _sizes()
    yield from _endings()
    yield from _contents()


def _accepted() -> Iterator[Vector]:
    names = ("LICENSE", "vocab.txt", "a/b/c/d.json", "tokenizer.model", "x.tiktoken", "0.yaml")
    endings = ("chat.jinja", "CARD.md", "_", "console/auxiliary.txt", "a.b.c.json", "com.txt")
    long = "/".join(["d" * 63, "e" * 63, "f" * 63, "g" * 58 + ".json"])
    cases: dict[str, tuple[list[Part], str, str]] = {
        "names": ([attachment(name) for name in names], "names as they may be", "ATT-1"),
        "endings": ([attachment(name) for name in endings], "more such names", "ATT-4"),
        "name-255": ([attachment(long)], "a name of 255 bytes in 4 components", "ATT-1"),
        "empty": ([attachment("empty.txt", b"")], "an empty file has no chunk", "ATT-3"),
        "pieces": ([attachment("a.txt", b"abcdefg", chunk_nbytes=3)], "3 pieces", "ATT-3"),
        "chunk-of-1": ([attachment("a.txt", b"abc", chunk_nbytes=1)], "1 byte each", "ATT-3"),
        "chunk-4-mib": ([attachment(chunk_nbytes=4 * MIB)], "the largest pieces", "ATT-3"),
        "siblings": (
            [attachment("a/b"), attachment("a/c"), attachment("a-b")],
            "a folder",
            "ATT-2",
        ),
        "kinds": (
            [attachment(k, kind=k) for k in ("card", "config", "licence", "tokenizer", "other")],
            "every kind",
            "ATT-5",
        ),
    }
    for name, (parts, about, rule) in cases.items():
        yield accepted(f"attachments/{name}", of(*parts), about, shows=(rule,))
    content = b"z" * 3000 + b"y"
    stored = [zeros(1000, 122), b"z" * 1000, zeros(1000, 122), b"y"]
    part = attachment("a.txt", content, chunk_nbytes=1000, stored=stored)
    yield accepted("attachments/compressed", of(part), "frames and verbatim pieces in turn")


def _names() -> Iterator[Vector]:
    names = {
        "empty": "", "dot": ".", "dot-dot": "..", "parent": "../a.txt", "absolute": "/etc/passwd",
        "inner-parent": "a/../b.txt", "drive": "C:\\a.txt", "drive-relative": "C:a.txt",
        "unc": "\\\\?\\C:\\a.txt", "backslash": "a\\b.txt", "slash-last": "a/",
        "two-slashes": "a//b", "hidden": ".bashrc", "hidden-folder": ".git/config",
        "dot-last": "a.txt.", "dot-only-last": "a.", "folder-dot-last": "a./b.txt",
        "space": "a b.txt", "space-last": "a.txt ", "tilde": "~/a.txt", "hyphen-first": "-rf",
        "colon": "a.txt:b.txt", "5-components": "a/b/c/d/e.txt", "con": "CON",
        "con-lower": "con.txt", "nul-folder": "nul/a.txt", "aux-mixed": "Aux.json",
        "prn-two-dots": "prn.tar.txt", "com0": "COM0", "com1": "com1.txt", "lpt9": "LPT9.md",
        "not-ascii": "\u00e9.txt", "full-width-slash": "a\uff0fb.txt",
        "percent": "%2e%2e/a.txt", "dollar": "$HOME.txt", "star": "*.txt",
        "256-bytes": "/".join(["d" * 63] * 3 + ["g" * 64]),
    }  # fmt: skip
    for name, value in names.items():
        about = f"a file named {value!r}" if len(value) < 50 else "a file name of 256 bytes"
        data = of(attachment(value))
        yield refused(f"attachments/name-{name}", data, "ATT-1", about, attack=(119,))


def _pairs() -> Iterator[Vector]:
    pairs = {
        "same": ("a.txt", "a.txt"),
        "case": ("a.txt", "A.txt"),
        "case-of-folder": ("a/b.txt", "A/b.txt"),
        "folder": ("a", "a/b.txt"),
        "folder-after": ("a/b.txt", "a"),
        "folder-deep": ("a/b/c/d", "a/b"),
        "folder-case": ("A", "a/b.txt"),
    }
    for name, pair in pairs.items():
        data = of(*map(attachment, pair))
        about = f"two files named {pair[0]} and {pair[1]}"
        yield refused(f"attachments/pair-{name}", data, "ATT-2", about, attack=(119,))


def _sizes() -> Iterator[Vector]:
    good = attachment("a.txt", b"abcdef", chunk_nbytes=3)
    above = 256 * MIB + 1
    many = attachment("a.txt", b"", chunk_nbytes=4 * MIB, stored=[b"x"] * 65)
    cases: dict[str, tuple[Part, str, tuple[int, ...]]] = {
        "nbytes-above": (many.change(nbytes=above), "256 MiB and one byte", (66,)),
        "nbytes-2-63": (many.change(nbytes=2**42), "4 TiB", (66,)),
        "chunk-0": (attachment("a.txt", b"").change(chunk_nbytes=0), "pieces of nothing", (21,)),
        "chunk-above": (attachment().change(chunk_nbytes=4 * MIB + 1), "pieces too large", (13,)),
        "one-chunk-more": (good.change(nbytes=3), "a chunk more than pieces", (53,)),
        "one-chunk-less": (good.change(nbytes=7), "a chunk less than pieces", (53,)),
        "chunk-for-empty": (good.change(nbytes=0), "chunks of an empty file", (53,)),
        "piece-too-long": (attachment("a.txt", b"abc", stored=[b"abcd"]), "a long piece", (53,)),
        "last-too-long": (
            attachment("a.txt", b"abcd", chunk_nbytes=3, stored=[b"abc", b"de"]),
            "the last piece is longer than what is left",
            (53,),
        ),
    }
    for name, (part, about, attack) in cases.items():
        yield refused(f"attachments/{name}", of(part), "ATT-3", about, attack=attack)


def _endings() -> Iterator[Vector]:
    endings = (
        "py",
        "bin",
        "pkl",
        "pt",
        "so",
        "exe",
        "sh",
        "html",
        "js",
        "JSON",
        "Txt",
        "safetensors",
    )
    for ending in endings:
        data = of(attachment(f"a.{ending}"))
        about = f"a file that ends in .{ending}"
        yield refused(f"attachments/ending-{ending}", data, "ATT-4", about, attack=(51,))
    names = {"txt-exe": "a.txt.exe", "dotted-name": "v1.2", "folder-txt": "a.txt/b.py"}
    for name, value in names.items():
        data = of(attachment(value))
        yield refused(f"attachments/ending-{name}", data, "ATT-4", f"a file named {value}")
    for kind in ("", "code", "Card", "license"):
        data = of(attachment(kind=kind))
        about = f"the kind {kind!r}"
        yield refused(f"attachments/kind-{kind or 'empty'}", data, "ATT-5", about)


def _contents() -> Iterator[Vector]:
    inner = zeros(900, 120)
    outer = frame(rle_block(0, 400, last=False) + rle_block(1, 100), 500)
    cases = {
        "other-content": (attachment().change(digest=digest(BLAKE3, b"other")), "other", (55,)),
        "zero-digest": (attachment().change(digest=bytes(32)), "a digest of zero", (61,)),
        "pieces-swapped": (
            attachment("a.txt", b"abcdef", chunk_nbytes=3, stored=[b"def", b"abc"]),
            "the publisher swapped two pieces",
            (55,),
        ),
        "nested": (
            attachment("a.txt", inner).change(digest=digest(BLAKE3, b"x" * 900)),
            "the digest is that of the frame's content, the file is the frame",
            (82,),
        ),
        "decoded-otherwise": (attachment("a.txt", b"z" * 500, stored=[outer]), "a frame", (80,)),
    }
    for name, (part, about, attack) in cases.items():
        data = of(part)
        yield refused(f"attachments/{name}", data, "ATT-6", about, mode="decode", attack=attack)
