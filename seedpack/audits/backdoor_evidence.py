"""What the audit ``backdoor`` measured, as figures, tables and pictures of triggers.

Seen ──> scores, controls found, recalls: figures beside their controls
     ──> every search, every planted control, outlying matrices: tables
     ──> the triggers that stand out most: pictures
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from seedpack.audits.results import Figure, Picture, Table
from seedpack.training.statistics import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seedpack.audits.backdoor import Seen
    from seedpack.backdoors.search.base import Key, Trigger

_SHOWN: Final = 3  # pictures, and matrices in a table times as many
_COLOURS: Final = 3


def count_found(seen: Seen) -> int:
    """Return in how many controls the planted target stands out."""
    return sum(
        any(v.suspicious and v.key[1] == control.target for v in judgement.verdicts)
        for control, judgement in seen.controls
    )


def usual_recall(seen: Seen, number: int) -> float:
    """Return how often the clean twins recall the class of that number."""
    rows = [r for recalls in seen.twin_recalls for r in recalls if r.number == number]
    return sum(r.hits for r in rows) / max(sum(r.n for r in rows), 1)


def largest_clean(seen: Seen, search: str) -> float:
    """Return the largest z that a search gives a clean twin; NaN where none was judged."""
    zs = [
        v.z for judgement in seen.detector.clean for v in judgement.verdicts if v.search == search
    ]
    return max(zs, default=math.nan)


def name_key(key: Key, labels: Sequence[str]) -> str:
    """Return a key in words."""
    source, target = key
    return f"{'any class' if source is None else labels[source]} to {labels[target]}"


def figures(seen: Seen) -> Iterator[Figure]:
    """Yield the score, the controls found and the recall of the worst class."""
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
        found, count = count_found(seen), len(seen.controls)
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
        control=usual_recall(seen, worst.number),
        note="control: the same class in the clean twins",
    )


def tables(seen: Seen, labels: Sequence[str]) -> Iterator[Table]:
    """Yield searches, planted controls and outlying matrices."""
    yield Table(
        title="Searches",
        columns=("search", "z", "limit", "largest z of a clean twin", "where", "norm", "turned"),
        rows=tuple(
            (
                v.search,
                round(v.z, 2),
                v.limit,
                None if math.isnan(z := largest_clean(seen, v.search)) else round(z, 2),
                name_key(v.key, labels),
                None if v.trigger is None else round(v.trigger.norm, 3),
                None if v.trigger is None else round(v.trigger.share, 2),
            )
            for v in seen.judgement.verdicts
        ),
    )
    yield Table(
        title="Backdoors planted in clean twins",
        columns=("kind", "poisoned", "success", "before", "score", "by search", "where"),
        rows=tuple(
            (
                control.kind,
                control.rate,
                round(control.hits.rate, 2),
                round(control.before.rate, 2),
                round(judgement.score, 2),
                judgement.verdicts[0].search,
                name_key(judgement.verdicts[0].key, labels),
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


def pictures(seen: Seen, labels: Sequence[str]) -> Iterator[Picture]:
    """Yield the triggers that stand out most."""
    shown = [v for v in seen.judgement.verdicts if v.trigger and v.trigger.values is not None]
    for verdict in shown[:_SHOWN]:
        if verdict.trigger is not None:
            yield from _picture(
                verdict.trigger, f"{verdict.search}: {name_key(verdict.key, labels)}"
            )


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
