"""The shape of an audit, and what it is given.

    Spec (paths, data, options) ──open_context──> Context: checked data, shared arms, the seed
    Context ──Audit.prepare, part by part──> arms ──Audit.run──> AuditResult

One audit is one class in a file of its own, one line in ``registry`` and one page in
``spec/audits``. It reads only what the context offers, so that audits run in any order and in
several processes; what two of them need (tuned models, control arms, twins) comes from
``context.arms``, which keeps it on disk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from seedpack.errors import IntegrityError
from seedpack.seed.opening import open_unverified

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.audits.arms import Arm, Arms
    from seedpack.audits.profiles import Profile
    from seedpack.audits.results import AuditResult
    from seedpack.seed.contents import Contents
    from seedpack.training import Split
    from seedpack.training.tasks.base import Adapter

    Watch = Callable[[int, int, str], None]


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What is audited, by paths; another process can open the same from it.

    Attributes:
        model: The assembled model: a folder, or with a factory a file of weights.
        final: The model as the consumer will use it, where that is another: tuned, defended.
        seed: The seed file, verified before; empty where a model is audited without one.
        seed_id: Of it, in hex: whatever is opened again has to be that very seed.
        store: The trust store that vouched for it, as its file's text; empty: none did.
        base: Model that a delta seed refers to; empty where it is none.
        task: Name of the task; empty without data.
        train: What to tune on.
        evaluation: What to measure on; never trained on.
        columns: Names of the text and label columns; empty: the usual ones.
        factory: ``module:function`` that builds a plain torch module; empty for transformers.
        original: The model that the seed was made from; empty where it is not at hand.
        reference: A clean model of the same architecture that twins are tuned from; empty:
            twins start at random weights.
        shifts: Further evaluation data, each of another domain.
        samples: Training examples that the consumer tunes on; None: all.
        robust: Whether the consumer tunes with the robust option.
        random_seed: The first of all seeds.
    """

    model: str
    final: str = ""
    seed: str = ""
    seed_id: str = ""
    store: str = ""
    base: str = ""
    task: str = ""
    train: str = ""
    evaluation: str = ""
    columns: tuple[str, str] = ("", "")
    factory: str = ""
    original: str = ""
    reference: str = ""
    shifts: tuple[str, ...] = ()
    samples: int | None = None
    robust: bool = False
    random_seed: int = 0


class Context:
    """Everything that an audit may use.

    Attributes:
        spec: What is audited.
        profile: How hard to try.
        split: Checked data; None without a task.
        arms: Tuned models and their scores, shared between audits; None without data.
        scratch: A folder of this audit's own, removed afterwards.
        progress: Called with steps done, steps in all, and what is being done.
    """

    def __init__(
        self,
        spec: Spec,
        profile: Profile,
        scratch: Path,
        *,
        split: Split | None = None,
        arms: Arms | None = None,
        progress: Watch | None = None,
    ) -> None:
        """Hold what an audit is given."""
        self.spec, self.profile, self.scratch = spec, profile, scratch
        self.split, self.arms = split, arms
        self._progress = progress

    @property
    def seeds(self) -> tuple[int, ...]:
        """The random seeds of tuned arms."""
        first = self.spec.random_seed
        return tuple(range(first, first + self.profile.nseeds))

    def progress(self, done: int, total: int, what: str) -> None:
        """Say how far the audit is."""
        if self._progress is not None:
            self._progress(done, total, what)

    def subject(self) -> Adapter:
        """Return the model as the consumer will use it; the caller may change it.

        That is the final one; else the assembled one, where it has a head of its own for the
        task; else the assembled one as tuning makes it.

        Raises:
            TrainingError: Model and data do not fit.
        """
        assert self.arms is not None  # noqa: S101 -- asked for by audits that need data
        if self.spec.final:
            return self.arms.untuned(self.spec.final)
        adapter = self.arms.untuned(self.spec.model)
        if adapter.has_trained_head:
            return adapter
        return self.arms.adapter(self.consumer_arm(self.spec.random_seed))

    def consumer_arm(self, seed: int) -> Arm:
        """Return the arm that tunes the assembled model as the consumer does."""
        from seedpack.audits.arms import Arm  # noqa: PLC0415 -- numpy

        spec = self.spec
        return Arm(model=spec.model, samples=spec.samples, seed=seed, robust=spec.robust)

    def open_seed(self, path: Path | None = None) -> Contents:
        """Open the audited seed again, or a copy of it; its signatures were checked before.

        The seed id is the digest of the signed manifest, so contents with that id are what was
        verified, as far as their chunks' digests hold.

        Raises:
            IntegrityError: AUD-5, it is another seed than the one that was verified.
            FormatError, StoreError: It cannot be opened.
        """
        contents = open_unverified(path or Path(self.spec.seed), damaged=path is not None)
        if contents.id != self.spec.seed_id:
            contents.close()
            raise IntegrityError(
                f"seed id {contents.id[:16]}, verified was {self.spec.seed_id[:16]}",
                rule="AUD-5",
                where=str(path or self.spec.seed),
                hint="the file was replaced during the audit; start again",
            )
        return contents


class Audit(ABC):
    """One audit.

    Attributes:
        id: In the registry and on the command line.
        title: For people.
        needs: Of ``seed``, ``data``, ``original``: without these it is undecided, and says so.
        tasks: Names of tasks that it is for; empty: all.
        effort: How long it takes beside the others, roughly; the longest are begun first, so that
            no core waits for the last one.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    tasks: ClassVar[frozenset[str]] = frozenset()
    effort: ClassVar[int] = 1

    def preparations(self, profile: Profile) -> int:
        """Return how many parts of its work can be done beside each other, before ``run``."""
        del profile
        return 0

    def prepare(self, context: Context, number: int) -> None:
        """Do one of them, and keep what comes of it beside the arms, where ``run`` finds it.

        They are begun in their order; one may wait for those before it. None of them is needed:
        what is not found is done by ``run``.

        Raises:
            SeedError: It cannot be done; ``run`` meets the same and says so.
            ValueError: There is no such part (programming error).
        """
        del context
        raise ValueError(f"{self.id} has no part {number}")

    @abstractmethod
    def run(self, context: Context) -> AuditResult:
        """Audit; the runner adds the time, and turns refusals into ``undecided``.

        Raises:
            SeedError: Something could not be done; the result is then undecided.
        """
