"""How tunings, defences and audits read on a terminal: the verdict first, then what led to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedpack.audits import AuditReport, AuditResult
    from seedpack.audits.results import Figure, Gate
    from seedpack.backdoors.defence.report import DefenceReport
    from seedpack.tune import ArmReport, TuneReport
    from seedpack_cli.tuning import Outcome


def describe_outcome(outcome: Outcome) -> tuple[dict[str, Any], list[str]]:
    """Return what followed the assembly, for JSON and as lines."""
    import msgspec  # noqa: PLC0415

    row: dict[str, Any] = {}
    lines: list[str] = []
    if outcome.tuned is not None:
        row["tuning"] = outcome.tuned.as_dict()
        lines.append(_describe_tuning(outcome.tuned))
    if outcome.defence is not None:
        row["defence"] = msgspec.to_builtins(outcome.defence)
        lines += _describe_defence(outcome.defence)
    if outcome.audit is not None:
        row["audit"] = msgspec.to_builtins(outcome.audit)
        lines.append(describe(outcome.audit))
    return row, lines


def _describe_tuning(report: TuneReport) -> str:
    """Return the report as lines: every figure beside what it is to be compared with."""
    seeds = f"{len(report.seeds)} seed{'s' if len(report.seeds) > 1 else ''}"
    lines = [f"{report.task}, {report.samples} samples, {seeds}"]
    for index, metric in enumerate(report.arms[0].metrics):
        lines.append(
            f"{metric.metric} on {metric.n} examples "
            f"(chance {metric.chance:.3f}, majority {metric.majority:.3f})"
        )
        lines += [f"  {_arm_line(arm, index)}" for arm in report.arms]
    if report.control_difference is not None:
        value, (low, high) = report.control_difference
        p = f"p {report.control_p:.3f}"
        lines.append(f"assembled - random-init: {value:+.3f} [{low:+.3f}, {high:+.3f}], {p}")
    if report.retention is not None:
        lines.append(_retention_line(report))
    return "\n".join(lines)


def _arm_line(arm: ArmReport, index: int) -> str:
    metric = arm.metrics[index]
    low, high = metric.interval
    return f"{arm.arm:<12} {metric.value:.3f} [{low:.3f}, {high:.3f}]"


def _retention_line(report: TuneReport) -> str:
    kept = report.retention
    if kept is None or kept.value is None or kept.interval is None:
        return f"retention undefined: {kept.reason if kept else 'no original'}"
    low, high = kept.interval
    return f"retention {kept.value:.3f} [{low:.3f}, {high:.3f}] of the original above chance"


def _describe_defence(report: DefenceReport) -> list[str]:
    before, after, untaught = (
        "none" if rate.interval is None else f"{rate.hits / rate.n:.3f}{_bounds(rate.interval)}"
        for rate in (report.accuracy_before, report.accuracy_after, report.untaught.accuracy)
    )
    lost = f"{report.accuracy_lost:+.3f}{_bounds(report.accuracy_lost_interval)}"
    gained = f"{report.untaught.gained:+.3f}{_bounds(report.untaught.gained_interval)}"
    lines = [
        f"defence ({report.samples} samples, {report.seconds:.0f} s): {report.claim}",
        f"    accuracy {before} before, {after} after, lost {lost}",
        f"    control: {report.untaught.start} tuned alike without this model: {untaught}",
        f"    so this model adds {gained}",
    ]
    for method in report.methods:
        cost = "not tried" if method.accuracy_lost is None else f"{method.accuracy_lost:+.3f} lost"
        lines.append(
            f"    {method.method}: removed {method.removed} of {method.tried} planted, {cost}"
        )
    lines += [
        f"    trigger {found.name}: {found.before.hits} of {found.before.n} before, "
        f"{found.after.hits} of {found.after.n} after"
        for found in report.found
    ]
    for comeback in report.comebacks:
        sooner = "no sooner" if comeback.no_sooner else "SOONER"
        lines.append(f"    reactivation of {comeback.attack}: {sooner} than in a clean twin")
    if not report.guard_kept:
        lines.append(
            "    it costs more accuracy on held-out samples than it should, or leaves a trigger"
        )
    return lines


def describe(report: AuditReport) -> str:
    """Return the report as lines: the verdict first, then what led to it."""
    from seedpack.report.wording import visible  # noqa: PLC0415 -- only where there is a report

    lines = [_headline(report)]
    for result in report.results:
        lines += _describe_result(result)
    lines += [f"not run: {name}: {reason}" for name, reason in report.skipped]
    return "\n".join(map(visible, lines))  # names in it are the seed's and the data's


def explain_status(result: AuditResult) -> str:
    """Return why an audit did not pass: its own reason, or the gates that did not."""
    gates = [gate for gate in result.gates if gate.status.value != "pass"]
    return result.reason or "; ".join(
        f"{gate.name}: {gate.reason or 'beyond its threshold'}" for gate in gates
    )


def _headline(report: AuditReport) -> str:
    """Return the verdict and how far it goes: what was left out, and whether anybody vouches."""
    text = f"audit ({report.profile}): {report.status.value.upper()}"
    ran = len(report.results)
    if report.skipped:
        text += f", {ran} of {ran + len(report.skipped)} audits run"
    return text if report.subject.verified else f"{text}; the seed is NOT verified"


def _describe_result(result: AuditResult) -> list[str]:
    lines = [f"{result.status.value:<9} {result.audit}: {result.title} ({result.seconds:.0f} s)"]
    if result.reason:
        lines.append(f"    {result.reason}")
    for finding in result.findings:
        grade = f"{finding.severity.value}, confidence {finding.confidence.value}"
        lines.append(f"    finding ({grade}): {finding.title}")
        lines.append(f"        {finding.evidence}")
    lines += [f"    {_describe_gate(gate)}" for gate in result.gates]
    lines += [f"    {_describe_figure(figure)}" for figure in result.figures]
    return lines


def _describe_gate(gate: Gate) -> str:
    text = f"gate {gate.status.value}: {gate.statement}"
    if gate.value is not None:
        text += f": {gate.value:.3f}{_bounds(gate.interval)}, {gate.side} {gate.threshold:g}"
    return text + (f" ({gate.reason})" if gate.reason else "")


def _describe_figure(figure: Figure) -> str:
    value = "undefined" if figure.value is None else f"{figure.value:.3f}"
    text = f"{figure.name}: {value}{_bounds(figure.interval)} {figure.unit}, n {figure.n}"
    if figure.seeds > 1:
        text += f", {figure.seeds} seeds"
    if figure.control is not None:
        text += f"; control {figure.control:.3f}{_bounds(figure.control_interval)}"
    if figure.chance is not None:
        text += f"; chance {figure.chance:.3f}"
    return text + (f" ({figure.note})" if figure.note else "")


def _bounds(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
