"""Tampers with copies of the very seed, and shows that each one is refused (spec: integrity.md).

    the seed ──one copy──> changed, a mutation at a time ──verify --decode──> rule │ accepted
    unchanged, before and after ─────────────────────────────────────────> accepted (control)

Where the trust store that vouched for the seed is given, it judges the copies, too. Else a key
made for this run signs the copy first: manifest and payload are the very seed's, and whoever
changes them has no better key than an attacker.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack import limits
from seedpack.assemble import open_base
from seedpack.audits.base import Audit
from seedpack.audits.gates import decide
from seedpack.audits.mutations import Replay, Target, draw_mutations, verify_fully
from seedpack.audits.results import (
    AuditResult,
    Confidence,
    Figure,
    Finding,
    Severity,
    Status,
    Table,
)
from seedpack.crypto.keys import Algorithm, generate_private_key
from seedpack.extract import extract
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.signing import sign_seed
from seedpack.training.statistics import wilson_interval
from seedpack.trust.store import TrustStore, parse_trust_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seedpack.audits.base import Context, Spec
    from seedpack.audits.mutations import Mutation
    from seedpack.seed.contents import Contents

    Check = Callable[..., None]

_MAX_DONOR_NBYTES: Final = 512 * limits.MIB  # of a model that is extracted again, to splice from
_SHOWN: Final = 5  # accepted copies that a finding describes
_RULE_OF_THREE: Final = 3.0  # none of n: 95 % sure that the share is below 3 / n


class Tally(NamedTuple):
    """What became of the copies.

    Attributes:
        refused: By kind and rule.
        accepted: Those that should not have been.
        before: What the verifier said of the unchanged copy at the start; empty: accepted.
        after: The same at the end.
    """

    refused: Counter[tuple[str, str]]
    accepted: list[Mutation]
    before: str
    after: str

    @property
    def tried(self) -> int:
        """How many changed copies were offered."""
        return self.refused.total() + len(self.accepted)


class Integrity(Audit):
    """Is every change of the file noticed?"""

    id = "integrity"
    title = "Tampering with the seed"
    needs = frozenset({"seed"})

    def __init__(self, check: Check = verify_fully) -> None:
        """Take the verifier; tests give one that accepts what it should not."""
        self._check = check

    def run(self, context: Context) -> AuditResult:
        """Replay tampering.

        Raises:
            SeedError: The seed cannot be opened or copied.
        """
        with _open_target(context) as target, _base(context.spec, target) as base:
            replay = Replay(
                target,
                context.scratch / "copy.seed",
                lambda path, store: self._check(path, store, base),
            )
            tally = _try_all(replay, target, context)
            donor = target.donor is not None
        return _report(tally, context, donor=donor)


@contextlib.contextmanager
def _open_target(context: Context) -> Iterator[Target]:
    path, store = Path(context.spec.seed), None
    if context.spec.store:
        store = parse_trust_store(context.spec.store.encode())
    else:
        key = generate_private_key(Algorithm.ED25519)
        path = Path(shutil.copyfile(path, context.scratch / "signed.seed"))
        sign_seed(path, key)
        store = TrustStore.of_keys([key.public])
    context.open_seed(path).close()  # AUD-5: the very seed
    with contextlib.ExitStack() as stack:
        contents = stack.enter_context(open_seed(path, store=store))
        donor = _make_donor(context, contents)
        if donor is not None:
            stack.enter_context(donor)
        yield Target(contents, store, donor)


def _make_donor(context: Context, contents: Contents) -> Contents | None:
    """Extract the assembled model again, otherwise coded, as a later version by somebody else."""
    model = Path(context.spec.model)
    if contents.manifest.decoded_nbytes > _MAX_DONOR_NBYTES or not model.exists():
        return None
    codecs = Counter(layer.codec for layer in contents.manifest.layers)
    donor = context.scratch / "donor.seed"
    extract(
        model,
        donor,
        name=contents.manifest.name,
        codec="raw" if codecs["q8"] else "q8",
        version=min(contents.manifest.version + 1, limits.MAX_VERSION),
        key=generate_private_key(Algorithm.ED25519),
    )
    return open_unverified(donor)  # our own, written a moment ago


@contextlib.contextmanager
def _base(spec: Spec, target: Target) -> Iterator[object]:
    if not spec.base:
        yield None
        return

    def open_contents(path: Path) -> Contents:
        if spec.store:
            return open_seed(path, store=target.store)
        return open_unverified(path)  # the user asked for a seed that nobody vouches for

    with open_base(Path(spec.base), open_contents) as base:
        yield base


def _try_all(replay: Replay, target: Target, context: Context) -> Tally:
    total = context.profile.ntrials
    before = replay.judge_unchanged().message
    refused: Counter[tuple[str, str]] = Counter()
    accepted = []
    mutations = draw_mutations(target, seed=context.spec.random_seed)
    for done, mutation in enumerate(islice(mutations, 0 if before else total)):
        context.progress(done, total, mutation.kind)
        outcome = replay.judge(mutation)
        if outcome.rule:
            refused[mutation.kind, outcome.rule] += 1
        else:
            accepted.append(mutation)
    return Tally(refused, accepted, before, replay.judge_unchanged().message)


def _report(tally: Tally, context: Context, *, donor: bool) -> AuditResult:
    bad = float(len(tally.accepted))
    reason = _reason(tally)
    gate = decide(
        "tampering-refused",
        "none of the changed copies is accepted",
        value=bad,
        interval=(bad, bad),
        at_most=0.0,
        # A copy that was accepted is a failure, whatever else was wrong.
        reason="" if tally.accepted else reason,
    )
    return AuditResult(
        audit=Integrity.id,
        title=Integrity.title,
        status=Status.UNDECIDED,
        reason=reason,
        searched=_searched(tally, context, donor=donor),
        findings=_findings(tally) if tally.tried else (),
        figures=(_figure(tally),) if tally.tried else (),
        gates=(gate,),
        tables=(_table(tally),),
        seeds=(context.spec.random_seed,),
    )


def _reason(tally: Tally) -> str:
    if tally.before:
        return f"the unchanged copy is refused, so that refusals say nothing: {tally.before}"
    if tally.after:
        return f"the copy was not restored between changes: {tally.after}"
    return "" if tally.tried else "no change of this seed could be made"


def _searched(tally: Tally, context: Context, *, donor: bool) -> str:
    judge = (
        "the trust store that vouched for the seed"
        if context.spec.store
        else "a key made for this run, which signed the copy beside the signatures that it has"
    )
    other = "" if donor else "; nothing was spliced in, as there was no second seed of this model"
    return (
        f"{tally.tried} changed copies, each different, of {len(_kinds(tally))} kinds; judged as "
        f"`seedpack verify --decode` judges, by {judge}{other}"
    )


def _kinds(tally: Tally) -> list[str]:
    kinds = [kind for kind, _ in tally.refused] + [m.kind for m in tally.accepted]
    return sorted(set(kinds))


def _findings(tally: Tally) -> tuple[Finding, ...]:
    if tally.accepted:
        shown = "; ".join(f"{m.kind}: {m.what}" for m in tally.accepted[:_SHOWN])
        return (
            Finding(
                title="Changed copies of the seed are accepted",
                severity=Severity.CRITICAL,
                confidence=Confidence.HIGH,
                evidence=f"{len(tally.accepted)} of {tally.tried} were accepted, such as {shown}",
                hint="do not rely on this verifier; report the change with the seed",
            ),
        )
    bound = 100 * _RULE_OF_THREE / tally.tried
    return (
        Finding(
            title="Every changed copy of the seed was refused",
            severity=Severity.INFO,
            confidence=Confidence.HIGH,
            evidence=(
                f"{tally.tried} of {tally.tried} refused, the unchanged copy accepted before and "
                f"after; with none missed, at most {bound:.2g} % of such changes go unnoticed "
                "(95 %)"
            ),
        ),
    )


def _figure(tally: Tally) -> Figure:
    refused = tally.refused.total()
    low, high = wilson_interval(refused, tally.tried)
    return Figure(
        name="changed copies refused",
        value=refused / tally.tried,
        interval=(low, high),
        n=tally.tried,
        unit="share",
        control=float(bool(tally.before)),
        note="control: the unchanged copy, which has to be accepted (0)",
    )


def _table(tally: Tally) -> Table:
    accepted = Counter(mutation.kind for mutation in tally.accepted)
    rows = []
    for kind in _kinds(tally):
        rules = {rule: count for (k, rule), count in tally.refused.items() if k == kind}
        refused = sum(rules.values())
        named = ", ".join(f"{rule} {rules[rule]}" for rule in sorted(rules))
        rows.append((kind, refused + accepted[kind], refused, named))
    return Table(
        title="Changes, and the rules that refused them",
        columns=("change", "tried", "refused", "by rule"),
        rows=tuple(rows),
    )
