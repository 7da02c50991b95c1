"""One audit, from what it is about to its result, kept (AUD-6, AUD-8).

Spec ──open_split: data, checked──> open_context ──Audit.prepare──> beside the arms, for
                                                 ──Audit.run──> AuditResult ──conclude──>
what cannot be judged is undecided ──> results/KEY.json, whole
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import msgspec

from seedpack.audits.arms import Arms
from seedpack.audits.base import Context, Spec
from seedpack.audits.gates import conclude, undecided
from seedpack.audits.kept import check_writable, result_path, save_result
from seedpack.audits.registry import get_audit
from seedpack.audits.scratch import scratch_folder
from seedpack.errors import SeedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from seedpack.audits.base import Audit
    from seedpack.audits.profiles import Profile
    from seedpack.audits.results import AuditResult
    from seedpack.training import Split

MIN_EVALUATION: Final = 100  # fewer examples decide nothing: AUD-6


def open_split(spec: Spec) -> Split | None:
    """Read and check the data of ``spec``; None where it has none.

    Raises:
        TrainingError: TRN-1 to TRN-9.
    """
    if not spec.task:
        return None
    from seedpack.training import Columns  # noqa: PLC0415 -- numpy
    from seedpack.tune import TunePlan, load_split  # noqa: PLC0415

    plan = TunePlan(samples=spec.samples, seed=spec.random_seed)
    return load_split(spec.task, spec.train, spec.evaluation, plan, columns=Columns(*spec.columns))


def run_audit(
    spec: Spec,
    name: str,
    profile: Profile,
    folder: Path,
    progress: Callable[[int, int, str], None] | None = None,
    *,
    spent: float = 0.0,
) -> AuditResult:
    """Run one audit in this process; keep its result in ``folder``.

    Args:
        spec: What is audited.
        name: In the registry.
        profile: How hard.
        folder: Where arms and results are kept.
        progress: Called with steps done, steps in all, and what is being done.
        spent: Seconds of its preparations.

    Raises:
        AuditError: AUD-1.
        StoreError: OUT.
    """
    audit, start = get_audit(name), time.monotonic()
    with open_context(spec, profile, folder, progress) as context:
        try:
            result = conclude(_judge_size(audit.run(context), audit, context))
            check_writable(result)
        except SeedError as error:
            hint = f"; {error.hint}" if error.hint else ""
            result = undecided(name, audit.title, f"{error}{hint}")
    seconds = round(spent + time.monotonic() - start, 1)
    result = msgspec.structs.replace(result, seconds=seconds)
    save_result(result_path(folder, spec, profile, name), result)
    return result


def prepare_audit(spec: Spec, name: str, number: int, profile: Profile, folder: Path) -> float:
    """Do one preparation of an audit in this process; return the seconds that it took.

    What refuses is left to the audit itself, which meets the same.
    """
    start = time.monotonic()
    with contextlib.suppress(SeedError), open_context(spec, profile, folder) as context:
        get_audit(name).prepare(context, number)
    return time.monotonic() - start


@contextlib.contextmanager
def open_context(
    spec: Spec,
    profile: Profile,
    folder: Path,
    progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[Context]:
    """Yield what an audit is given; its scratch folder is removed afterwards."""
    split = open_split(spec)
    arms = None if split is None else Arms(spec, split, folder / "arms")
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as scratch:
        yield Context(spec, profile, scratch, split=split, arms=arms, progress=progress)


def _judge_size(result: AuditResult, audit: Audit, context: Context) -> AuditResult:
    """Take the right to pass from an audit with hardly any evaluation (AUD-6)."""
    if "data" not in audit.needs or context.split is None or result.reason:
        return result
    n = len(context.split.evaluation)
    if n >= MIN_EVALUATION:
        return result
    return msgspec.structs.replace(
        result, reason=f"{n} evaluation examples; fewer than {MIN_EVALUATION} decide nothing"
    )
