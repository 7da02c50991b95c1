"""Names that become paths on some system (spec: ATT-1, ATT-2, ATT-4).

Input: UTF-8 names, joined by NUL.
"""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

from fuzz.harness import Target, reference, same_verdict
from fuzz.trees import edit_text
from seedpack.container.names import check_attachment_name, check_attachment_names

if TYPE_CHECKING:
    from random import Random

_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}
)


def _check(data: bytes) -> None:
    names = data.decode(errors="replace").split("\0")
    with same_verdict(lambda: reference().check_attachments(list(map(_record, names)))):
        for index, name in enumerate(names):
            check_attachment_name(name, where=f"attachments[{index}]")
        check_attachment_names(names)
    for name in names:
        _check_path(name)
    taken = {name.casefold() for name in names}
    assert len(taken) == len(names)
    folders = {str(folder).casefold() for name in names for folder in PurePosixPath(name).parents}
    assert not taken & folders


def _check_path(name: str) -> None:
    """Demand that ``name`` is one plain path below a folder, wherever it is written."""
    assert name.isascii()
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        assert not path.is_absolute()
        assert not path.drive
        assert not path.root
        assert list(path.parts) == name.split("/")
        assert not any(set(part) <= {".", " "} or part[-1] in ". " for part in path.parts)
    stems = {part.split(".")[0].casefold() for part in name.split("/")}
    assert not stems & _DEVICES


def _record(name: str) -> dict[str, object]:
    return {"name": name, "kind": "card", "nbytes": 0, "chunk_nbytes": 1, "chunks": []}


def _starts() -> dict[str, bytes]:
    return {
        "usual": b"README.md\0LICENSE\0config.json\0tokenizer/tokenizer.json",
        "deep": b"a/b/c/d.txt\0a/b/c/e.txt",
        "escape": b"../../etc/passwd\0/etc/passwd\0C:\\x.txt\0a//b.json",
        "devices": b"con.json\0a/Lpt1\0AUX.x.json",
        "collide": b"a.json\0A.JSON\0b/c.json\0b",
    }


def _mutate(data: bytes, random: Random) -> bytes:
    names = data.decode(errors="replace").split("\0")
    at = random.randrange(len(names))
    match random.randrange(5):
        case 0:
            names[at] = names[at].swapcase()
        case 1:
            names.append(random.choice(names))
        case 2:
            names[at] = "/".join([names[at], random.choice(names)])
        case _:
            names[at] = edit_text(names[at], random)
    return "\0".join(names).encode(errors="surrogatepass")


TARGET: Final = Target(_check, _starts, _mutate)
