"""How figures beside their control arms are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.extract.trials import Arm
    from seedpack.training.statistics import Comparison, Retention


def describe(arms: Sequence[Arm], kept: Retention) -> dict[str, Any]:
    """Return the arms as a part of a JSON row."""
    first = arms[0].scores[0]
    return {
        "metric": first.metric,
        "evaluated": first.n,
        "trainings": len(arms[0].scores),
        "chance": first.chance,
        "arms": {arm.name: _describe_arm(arm) for arm in arms},
        "retention": {"value": kept.value, "interval": kept.interval, "reason": kept.reason},
    }


def describe_difference(found: Comparison | None) -> dict[str, Any] | None:
    """Return a difference of two arms as a part of a JSON row."""
    if found is None:
        return None
    return {"value": found.difference, "interval": list(found.interval), "p": found.p}


def lines(arms: Sequence[Arm], kept: Retention) -> list[str]:
    """Return the arms as text: what was measured, each arm, chance, retention."""
    first = arms[0].scores[0]
    about = (
        f"{first.metric} on {first.n} examples that were not trained on, mean of "
        f"{len(arms[0].scores)} trainings, 95 % interval:"
    )
    text = [about, *map(_line, arms), f"  chance              {first.chance:.3f}"]
    if kept.value is None:
        text.append(f"  retention is undefined: {kept.reason}")
    elif kept.interval is not None:
        interval = f"[{kept.interval.low:.3f}, {kept.interval.high:.3f}]"
        text.append(f"  retention           {kept.value:.3f}  {interval}")
    return text


def difference_line(name: str, found: Comparison) -> str:
    """Return the difference of two arms as text."""
    interval = f"[{found.interval.low:+.3f}, {found.interval.high:+.3f}]"
    return f"  {name:18}  {found.difference:+.3f}  {interval}  p {found.p:.3f}"


def _describe_arm(arm: Arm) -> dict[str, Any]:
    return {"value": arm.value, "interval": list(arm.interval), "nbytes": arm.nbytes}


def _line(arm: Arm) -> str:
    low, high = arm.interval
    nbytes = f"  {arm.nbytes:,} bytes" if arm.nbytes else ""
    return f"  {arm.name:18}  {arm.value:.3f}  [{low:.3f}, {high:.3f}]{nbytes}"
