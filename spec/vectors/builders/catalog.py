"""What a vector is, and how it is described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .writer import NOW

CODES = {  # of a rule or of its family; the error classes of section 12
    **dict.fromkeys(["PRE", "SIG", "MAN", "LAY", "CHK", "ATT", "ARC", "PAR", "PRT"], "SP100"),
    **dict.fromkeys(["KEY-1", "KEY-2"], "SP202"),
    **dict.fromkeys(["KEY-3", "KEY-4"], "SP600"),
    **dict.fromkeys(["CHK-2", "PRT-3", "LAY-8", "ATT-6"], "SP300"),
    **dict.fromkeys(["CHK-3", "ZST", "COD", "BAS"], "SP400"),
    "BAS-1": "SP500",
    "BAS-2": "SP300",
    **dict.fromkeys(["TRU-5", "TRU-7"], "SP206"),
    **dict.fromkeys(["TRU-8", "TRU-11", "TRU-12"], "SP208"),
    **dict.fromkeys(["TRU-9", "TRU-10"], "SP207"),
    "TRU-1": "SP700",
    "TRU-2": "SP201",
    "TRU-3": "SP204",
    "TRU-4": "SP205",
    "TRU-6": "SP203",
}


Cases = Mapping[str, tuple[bytes, str, Sequence[int]]]  # name: file or part, about, attacks


class Vector(NamedTuple):
    """One file and what a reader has to say about it."""

    file: str
    data: bytes
    description: dict[str, Any]
    hedged: bool  # holds an ML-DSA signature, which comes out differently each time

    def over(self, base: str) -> Vector:
        """Return the same vector, to be decoded over a base, a file below the vectors' folder."""
        return self._replace(description=self.description | {"base": base})


def refused(  # noqa: PLR0913 -- the fields of the index
    file: str,
    data: bytes,
    rule: str,
    about: str,
    *,
    attack: Sequence[int] = (),
    mode: str = "verify",
    code: str | None = None,
    trust: str = "default",
    now: int = NOW,
    partial: bool = False,
    hedged: bool = False,
) -> Vector:
    """Describe a file that is refused; `mode` says whether decoding is needed to find out."""
    code = code or CODES.get(rule) or CODES[rule.split("-", maxsplit=1)[0]]
    description: dict[str, Any] = {"expect": "refuse", "code": code, "rule": rule, "mode": mode}
    if partial:
        description["partial"] = True
    return _vector(file, data, description, about, attack, trust, now, hedged=hedged)


def accepted(  # noqa: PLR0913 -- the fields of the index
    file: str,
    data: bytes,
    about: str,
    *,
    shows: tuple[str, ...] = (),
    attack: Sequence[int] = (),
    missing: tuple[str, ...] | None = None,
    trust: str = "default",
    now: int = NOW,
    hedged: bool = False,
) -> Vector:
    """Describe a file that is accepted; `missing` names the parts that a partial one lacks."""
    description: dict[str, Any] = {"expect": "accept", "code": None, "rule": None, "mode": "decode"}
    if shows:
        description["shows"] = list(shows)
    if missing is not None:
        description |= {"partial": True, "missing": list(missing)}
    return _vector(file, data, description, about, attack, trust, now, hedged=hedged)


def _vector(  # noqa: PLR0913, PLR0917 -- the fields of the index
    file: str,
    data: bytes,
    description: dict[str, Any],
    about: str,
    attack: Sequence[int],
    trust: str,
    now: int,
    *,
    hedged: bool,
) -> Vector:
    common = {"attack": list(attack), "trust": f"trust/{trust}.json", "now": now, "about": about}
    return Vector(f"{file}.seed", data, {"file": f"{file}.seed"} | description | common, hedged)
