"""Write the corpora: ``python -m fuzz.make_corpus``, best after a long run.

To what each target begins with, add the smallest input that the fuzzer found for each
verdict. What is there already stays as it is; to make it anew, delete it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fuzz.harness import CORPUS, FOLDER, load_target, target_names
from seedpack.errors import SeedError

if TYPE_CHECKING:
    from pathlib import Path

    from fuzz.harness import Target

_MAX_NBYTES: Final = 8192  # of one file; larger ones are for the mutators to make


def main() -> None:
    """Write the corpora."""
    for name in target_names():
        target, folder = load_target(name), CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for start, data in target.starts().items():
            keep(folder / f"start-{start}", data)
        verdicts = {verdict(target, path.read_bytes()) for path in folder.iterdir()}
        work = FOLDER / "work" / name
        found = [path.read_bytes() for path in work.iterdir()] if work.is_dir() else []
        for data in sorted(found, key=len):
            rule = verdict(target, data)
            if rule not in verdicts:
                keep(folder / f"found-{rule}", data)
                verdicts.add(rule)


def keep(path: Path, data: bytes) -> None:
    """Write one input, unless it is large or already there."""
    if len(data) <= _MAX_NBYTES and not path.exists():
        path.write_bytes(data)


def verdict(target: Target, data: bytes) -> str:
    """Return the rule that refuses ``data``, or ``accepted``."""
    try:
        target.check(data)
    except SeedError as refusal:
        return refusal.rule
    return "accepted"


if __name__ == "__main__":
    main()
