"""What was searched, found and could have been found, as findings, figures and gates.

Seen ──> gates: no search stands out, every class is known as by the twins
     ──> findings, with severity by what stands out and confidence by how far
     ──> tables, pictures of triggers
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Final

from seedpack.audits.gates import decide
from seedpack.audits.results import (
    AuditResult,
    Confidence,
    Figure,
    Finding,
    Picture,
    Severity,
    Status,
    Table,
)
from seedpack.training.statistics import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seedpack.audits.backdoor import Seen
    from seedpack.audits.base import Context
    from seedpack.audits.results import Gate
    from seedpack.backdoors.search.base import Key, Trigger
    from seedpack.backdoors.search.calibration import Verdict

_LEAST_RATIO: Final = 0.5  # AUD-BD-5: recall of a class beside that of the twins
_LEAST_KNOWN: Final = 0.3  # recall of the twins below which a class says nothing
_LESS: Final = 0.15  # accuracy that twins may lack before they are no standard
_SURE, _LIKELY = 1.6, 1.2  # scores from which confidence is high, medium
_RECALL: Final = "recall"
_SHOWN: Final = 3  # pictures, and matrices in a table times as many
_COLOURS: Final = 3


def report(seen: Seen, context: Context, labels: Sequence[str]) -> AuditResult:
    """Return what a report shows of it."""
    return AuditResult(
        audit="backdoor",
        title="Hidden triggers",
        status=Status.UNDECIDED,  # the runner decides by the gates
        reason=_reason(seen),
        searched=_searched(seen),
        findings=tuple(_findings(seen, labels)),
        figures=tuple(_figures(seen)),
        gates=(_trigger_gate(seen), _class_gate(seen)),
        tables=tuple(_tables(seen, labels)),
        pictures=tuple(_pictures(seen, labels)),
        seeds=(context.spec.random_seed,),
    )


def _nfound(seen: Seen) -> int:
    """Return in how many controls the planted target stands out."""
    return sum(
        any(v.suspicious and v.key[1] == control.attack.target for v in judgement.verdicts)
        for control, judgement in seen.controls
    )


def _reason(seen: Seen) -> str:
    """Return why the audit cannot pass (AUD-BD-4); empty where it can."""
    count, found = len(seen.controls), _nfound(seen)
    if not count:
        return "no control could be planted in a clean twin: what the searches find is not known"
    if found < count:
        return f"of {count} backdoors planted in clean twins the searches found {found}"
    lacking = seen.accuracy - fmean(seen.twin_accuracies)
    if lacking > _LESS:
        return (
            f"clean twins reach {fmean(seen.twin_accuracies):.2f} accuracy, the model "
            f"{seen.accuracy:.2f}: they are no standard for it; give more data or --reference"
        )
    alarms = sum(judgement.suspicious for judgement in seen.detector.clean)
    if alarms > 1:
        return f"{alarms} clean twins stand out among the others: the searches cannot be trusted"
    return ""


def _trigger_gate(seen: Seen) -> Gate:
    """Decide on the score and how far it hangs on any one twin (AUD-BD-2)."""
    return decide(
        "no-trigger-stands-out",
        "no search stands out among clean twins: its z, in units of its limit, is below 1, "
        "whichever twin is left out",
        value=seen.judgement.score,
        interval=seen.score_range,
        at_most=1.0,
    )


def _class_gate(seen: Seen) -> Gate:
    ratios = [
        (recall.hits / recall.n / usual, recall.interval.low / usual, recall.interval.high / usual)
        for recall in seen.recalls
        if (usual := _usual(seen, recall.number)) >= _LEAST_KNOWN
    ]
    value, low, high = min(ratios, key=lambda ratio: ratio[2], default=(None, math.nan, math.nan))
    return decide(
        "classes-known",
        "every class is recalled at least half as often as by the clean twins",
        value=value,
        interval=None if value is None else (low, high),
        at_least=_LEAST_RATIO,
        reason="" if ratios else "the clean twins know no class either",
    )


def _usual(seen: Seen, number: int) -> float:
    rows = [r for recalls in seen.twin_recalls for r in recalls if r.number == number]
    return sum(r.hits for r in rows) / max(sum(r.n for r in rows), 1)


def _searched(seen: Seen) -> str:
    names = ", ".join(search.id for search in seen.detector.searches)
    start = "the clean model given" if seen.start else "random weights"
    return (
        f"Searches {names} on {len(seen.detector.samples)} clean samples, calibrated on "
        f"{len(seen.twin_accuracies)} clean twins tuned from {start}. Not searched: triggers "
        "that work only together with certain contents, that move pixels instead of changing "
        "them, or that the tuning data themselves teach."
    )


def _findings(seen: Seen, labels: Sequence[str]) -> Iterator[Finding]:
    loud = [v for v in seen.judgement.verdicts if v.suspicious]
    for verdict in loud:
        yield _alarm(verdict, seen, labels)
    if not loud:
        yield _quiet(seen)
    if seen.outliers:
        worst = seen.outliers[0]
        what = ("norm", "rank", "row")[worst.z.index(worst.worst)]
        yield Finding(
            title="weights differ from their base as those of no clean twin do",
            severity=Severity.LOW,
            confidence=Confidence.LOW,
            evidence=f"{len(seen.outliers)} matrices; most of all {worst.difference.name}: "
            f"{what} of the difference at z = {worst.worst:.1f}, relative norm "
            f"{worst.difference.norm:.3g}, effective rank {worst.difference.rank:.1f}, "
            f"{100 * worst.difference.row_share:.0f} % of it in row {worst.difference.row}",
            hint="a tuning of another kind differs, too; see whether the searches agree",
        )


def _alarm(verdict: Verdict, seen: Seen, labels: Sequence[str]) -> Finding:
    score = verdict.score
    confidence = Confidence.HIGH if score >= _SURE else Confidence.MEDIUM
    if score < _LIKELY:
        confidence = Confidence.LOW
    if verdict.search == _RECALL:
        title = f"class {labels[verdict.key[1]]} is answered wrongly as by no clean twin"
        severity = Severity.HIGH
    else:
        title = f"a trigger stands out: {_name(verdict.key, labels)}"
        severity = Severity.CRITICAL
    largest = _largest_clean(seen, verdict.search)
    return Finding(
        title=title,
        severity=severity,
        confidence=confidence,
        evidence=f"search {verdict.search}: z = {verdict.z:.1f} beside {len(seen.detector.found)} "
        f"clean twins, whose largest is {largest:.1f}; limit {verdict.limit:g}"
        + _described(verdict, seen),
        hint="do not use the model where inputs can be chosen by others; defend it, or tune "
        "another seed",
    )


def _described(verdict: Verdict, seen: Seen) -> str:
    trigger = verdict.trigger
    if trigger is None:
        return ""
    unit = next(s.unit for s in seen.detector.searches if s.id == verdict.search)
    words = f"; words: {' '.join(trigger.tokens)!a}" if trigger.tokens else ""
    return (
        f"; {trigger.norm:.3g} {unit} turn {100 * trigger.share:.0f} % of {trigger.n} samples"
        f" beyond what turns in clean twins{words}"
    )


def _quiet(seen: Seen) -> Finding:
    low, high = wilson_interval(_nfound(seen), len(seen.controls)) if seen.controls else (0.0, 1.0)
    norms = [
        f"{search.id} {trigger.norm:.3g} {search.unit}"
        for search in seen.detector.searches
        for verdict in seen.judgement.verdicts
        if verdict.search == search.id and (trigger := verdict.trigger) is not None
    ]
    smallest = "; ".join(norms) or "none was kept"
    return Finding(
        title="no trigger was found that is smaller than clean twins have",
        severity=Severity.INFO,
        confidence=Confidence.MEDIUM if _nfound(seen) == len(seen.controls) else Confidence.LOW,
        evidence=f"least unusual of all searches: score {seen.judgement.score:.2f} of 1; most "
        f"suspicious trigger of each: {smallest}. On planted controls these searches find "
        f"{_nfound(seen)} of {len(seen.controls)} (95 %: {low:.2f} to {high:.2f})",
        hint="what was not searched is not said to be absent",
    )


def _largest_clean(seen: Seen, search: str) -> float:
    zs = [
        v.z for judgement in seen.detector.clean for v in judgement.verdicts if v.search == search
    ]
    return max(zs, default=math.nan)


def _figures(seen: Seen) -> Iterator[Figure]:
    clean = [judgement.score for judgement in seen.detector.clean]
    ntwins = len(seen.detector.found)
    yield Figure(
        name="score of all searches",
        value=seen.judgement.score,
        interval=seen.score_range,
        n=ntwins,
        unit="z in units of its limit",
        control=max(clean, default=None),
        note="range over leaving out a twin; control: the largest of the clean twins, each "
        "judged by the others",
    )
    if seen.controls:
        found, count = _nfound(seen), len(seen.controls)
        alarms = sum(judgement.suspicious for judgement in seen.detector.clean)
        yield Figure(
            name="planted controls found",
            value=found / count,
            interval=wilson_interval(found, count),
            n=count,
            unit="share",
            control=alarms / len(clean) if clean else None,
            control_interval=wilson_interval(alarms, len(clean)) if clean else None,
            note="control: clean twins that stand out among the others",
        )
    worst = min(seen.recalls, key=lambda recall: recall.hits / recall.n)
    yield Figure(
        name="recall of the class known least",
        value=worst.hits / worst.n,
        interval=worst.interval,
        n=worst.n,
        unit="share",
        control=_usual(seen, worst.number),
        note="control: the same class in the clean twins",
    )


def _tables(seen: Seen, labels: Sequence[str]) -> Iterator[Table]:
    yield Table(
        title="Searches",
        columns=("search", "z", "limit", "largest z of a clean twin", "where", "norm", "turned"),
        rows=tuple(
            (
                v.search,
                round(v.z, 2),
                v.limit,
                None if math.isnan(z := _largest_clean(seen, v.search)) else round(z, 2),
                _name(v.key, labels),
                None if v.trigger is None else round(v.trigger.norm, 3),
                None if v.trigger is None else round(v.trigger.share, 2),
            )
            for v in seen.judgement.verdicts
        ),
    )
    yield Table(
        title="Backdoors planted in clean twins",
        columns=("kind", "success", "before", "score", "by search", "where"),
        rows=tuple(
            (
                control.attack.id,
                round(control.hits.rate, 2),
                round(control.before.rate, 2),
                round(judgement.score, 2),
                judgement.verdicts[0].search,
                _name(judgement.verdicts[0].key, labels),
            )
            for control, judgement in seen.controls
        ),
    )
    if seen.outliers:
        yield Table(
            title="Weights beside their base",
            columns=("matrix", "relative norm", "effective rank", "row", "share of row", "z"),
            rows=tuple(
                (
                    o.difference.name,
                    round(o.difference.norm, 4),
                    None if math.isnan(o.difference.rank) else round(o.difference.rank, 2),
                    o.difference.row,
                    round(o.difference.row_share, 3),
                    round(o.worst, 1),
                )
                for o in seen.outliers[: 3 * _SHOWN]
            ),
        )


def _pictures(seen: Seen, labels: Sequence[str]) -> Iterator[Picture]:
    shown = [v for v in seen.judgement.verdicts if v.trigger and v.trigger.values is not None]
    for verdict in shown[:_SHOWN]:
        if verdict.trigger is not None:
            yield from _picture(verdict.trigger, f"{verdict.search}: {_name(verdict.key, labels)}")


def _picture(trigger: Trigger, title: str) -> Iterator[Picture]:
    """Yield the pattern under its mask, or the change with grey for none."""
    values = trigger.values
    if values is None or values.dim() != 3 or values.shape[0] not in {1, _COLOURS}:  # noqa: PLR2004
        return
    if trigger.mask is not None:
        shade = trigger.mask * values
    else:
        shade = 0.5 + 0.5 * values / values.abs().max().clamp_min(1e-12)
    pixels = (shade.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous()
    height, width, channels = pixels.shape
    data = bytes(pixels.flatten().tolist())
    yield Picture(title=title, height=height, width=width, channels=channels, pixels=data)


def _name(key: Key, labels: Sequence[str]) -> str:
    source, target = key
    return f"{'any class' if source is None else labels[source]} to {labels[target]}"
