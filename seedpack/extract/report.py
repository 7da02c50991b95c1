"""What an extraction did, for whoever asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seedpack.codecs.registry import CONSTANT_ID
from seedpack.extract.targets import TARGET_CODECS

if TYPE_CHECKING:
    from seedpack.container.manifest import Claim
    from seedpack.frameworks import LeftOut


@dataclass(frozen=True)
class LayerReport:
    """One layer of the new seed."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    codec: str  # that was used; ``raw`` where the one asked for did not apply
    raw_nbytes: int
    stored_nbytes: int


@dataclass(frozen=True)
class Expectation:
    """How like the original's the output of the seed's model was: no figure of any task."""

    cosine: float  # mean over texts, of the mean of the last hidden states
    interval: tuple[float, float]  # of 95 %, over texts
    control: float  # cosine of the original's own outputs for different texts
    inputs: str  # ``random tokens`` or ``calibration text``, held out from everything else
    count: int  # of texts


@dataclass(frozen=True)
class ExtractReport:
    """Sizes, and everything that is not as one might expect.

    Attributes:
        seed_id: SHA-256 of the manifest, 64 hex digits.
        codec: The one asked for.
        layers: In the seed's order.
        attachments: Names of the files that travel along.
        attachments_nbytes: Stored size of all of them.
        parity_nbytes: Size of all parity chunks.
        file_nbytes: Size of the whole file.
        left_out: What stood beside the tensors and the seed does not carry, and why.
        unused: Layers that no parameter of the architecture takes; carried all the same.
        target: The size asked for; None without one.
        sensitivity: How it was found which layers need bits most: ``data-free probe`` or ``equal
            relative error``. None without a target. How much the seed keeps is not known
            from either (EXT-19): that is measured on a task.
        expected: What the seed's model did on held-out inputs (EXT-63); None where it was not
            run.
    """

    seed_id: str
    codec: str
    layers: tuple[LayerReport, ...]
    attachments: tuple[str, ...]
    attachments_nbytes: int
    parity_nbytes: int
    file_nbytes: int
    left_out: tuple[LeftOut, ...]
    unused: tuple[str, ...]
    target: str | None = None
    sensitivity: str | None = None
    expected: Expectation | None = None

    @property
    def raw_nbytes(self) -> int:
        """Size of all tensors."""
        return sum(layer.raw_nbytes for layer in self.layers)

    @property
    def ratio(self) -> float:
        """Size of all tensors over that of the whole file, parity and attachments included."""
        return self.raw_nbytes / self.file_nbytes

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """Names of the layers that the chosen codec did not take (EXT-13), const aside (EXT-20).

        With a target, ``ecq`` stands in for ``tcq`` where it comes as near.
        """
        own = {self.codec, CONSTANT_ID, *(TARGET_CODECS if self.target is not None else ())}
        return tuple(layer.name for layer in self.layers if layer.codec not in own)


@dataclass(frozen=True)
class StudentReport:
    """A seed that holds a student, and of what (EXT-44).

    Attributes:
        seed: Sizes of the seed; its ``raw_nbytes`` are the student's.
        kind: ``static`` or ``shallow``.
        why: Why it is that architecture.
        teacher: Name of the folder that the teacher stood in.
        teacher_digest: Of the names and digests of all of the teacher's tensors.
        teacher_nbytes: Size of them.
        ntexts: How many texts it learned from.
        claim: What was measured, on texts that it did not learn from.
    """

    seed: ExtractReport
    kind: str
    why: str
    teacher: str
    teacher_digest: str
    teacher_nbytes: int
    ntexts: int
    claim: Claim

    @property
    def ratio(self) -> float:
        """Size of the teacher's tensors over that of the whole file."""
        return self.teacher_nbytes / self.seed.file_nbytes
