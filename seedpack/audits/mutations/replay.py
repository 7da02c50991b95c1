"""One copy of the seed, changed, offered to the verifier, and made whole again."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from seedpack.errors import SeedError
from seedpack.seed.opening import open_seed
from seedpack.seed.verify import verify_seed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.audits.mutations.base import Mutation, Target
    from seedpack.codecs.base import BaseTensors
    from seedpack.trust.store import TrustStore

    Check = Callable[[Path, TrustStore], None]


class Outcome(NamedTuple):
    """What the verifier said of one copy."""

    rule: str  # by which it was refused; empty where it was accepted
    message: str  # of the refusal


def verify_fully(path: Path, store: TrustStore, base: BaseTensors | None = None) -> None:
    """Do what ``seedpack verify --decode`` does (AUD-INT-1).

    Raises:
        SeedError: Of the rule that is broken.
    """
    with open_seed(path, store=store) as seed:
        verify_seed(seed, decode=True, base=base)


class Replay:
    """A copy of a seed that mutations are tried on.

    Cost:
        What a mutation writes, and writes back; the file itself is copied once.
    """

    def __init__(self, target: Target, copy: Path, check: Check) -> None:
        """Copy the seed of ``target`` to ``copy``.

        Args:
            target: Open; the file itself is never written (AUD-INT-4).
            copy: Where the copy goes.
            check: The verifier: raises ``SeedError``, or accepts.
        """
        self._target, self._copy, self._check = target, copy, check
        shutil.copyfile(target.contents.file.path, copy)

    def judge_unchanged(self) -> Outcome:
        """Offer the copy as it is: where that is refused, no refusal says anything (AUD-INT-3)."""
        return self._judge(self._target.store)

    def judge(self, mutation: Mutation) -> Outcome:
        """Offer the copy with ``mutation``, then restore it."""
        written = [(patch.offset, len(patch.data)) for patch in mutation.patches]
        nbytes = self._target.nbytes if mutation.nbytes is None else mutation.nbytes
        try:
            self._write(mutation.patches, nbytes)
            return self._judge(mutation.store or self._target.store)
        finally:
            lost = (nbytes, self._target.nbytes - nbytes)  # what was cut off, if anything
            ranges = [*written, lost] if lost[1] > 0 else written
            originals = [(at, self._target.read(at, size)) for at, size in ranges]
            self._write(originals, self._target.nbytes)

    def _judge(self, store: TrustStore) -> Outcome:
        try:
            self._check(self._copy, store)
        except SeedError as refusal:
            return Outcome(refusal.rule, str(refusal))
        return Outcome("", "")

    def _write(
        self, patches: list[tuple[int, bytes]] | tuple[tuple[int, bytes], ...], nbytes: int
    ) -> None:
        with self._copy.open("r+b") as file:
            for offset, data in patches:
                os.pwrite(file.fileno(), data, offset)
            file.truncate(nbytes)
