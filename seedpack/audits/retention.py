"""What the assembled model still can, beside everything that it could be mistaken for.

tuned:      assembled │ random init (control) │ original    same samples, same seeds
zero-shot:  assembled │ original                            where they have heads of their own
constants:  majority class │ chance
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack.audits.base import Audit
from seedpack.audits.measures import (
    as_control,
    as_original,
    consumer_arm,
    data_of,
    gate_on,
    make_difference,
    make_figure,
    make_retention,
    make_zero_shot,
    score_arm,
    tell,
)
from seedpack.audits.results import AuditResult, Severity, Status
from seedpack.training.statistics import mean_value

if TYPE_CHECKING:
    from seedpack.audits.base import Context
    from seedpack.audits.results import Figure, Finding, Gate
    from seedpack.training.scores import Score

_STRONGEST: Final = "random init, thorough"
_KEPT: Final = 0.9  # AUD-RET-2: share of the original above chance


class Retention(Audit):
    """How much of the original was kept?"""

    id = "retention"
    title = "What was kept"
    needs = frozenset({"data"})
    effort = 3

    def run(self, context: Context) -> AuditResult:
        """Measure all arms on the same examples.

        Raises:
            TrainingError: An arm cannot be tuned, or its loss is no number.
        """
        tuned = _score_tuned(context)
        figures, judged = _judge_tuned(tuned)
        figures += _zero_shot(context)
        count = consumer_arm(context).samples
        return AuditResult(
            audit=self.id,
            title=self.title,
            status=Status.UNDECIDED,
            searched=_searched(context, count),
            findings=tuple(finding for _, finding in judged),
            figures=tuple(figures),
            gates=tuple(gate for gate, _ in judged),
            seeds=context.seeds,
        )


def _score_tuned(context: Context) -> dict[str, list[Score]]:
    arm = consumer_arm(context)
    arms = {
        "assembled": arm,
        "random init": as_control(arm),
        _STRONGEST: as_control(arm, thorough=True),
    }
    if context.spec.original:
        arms["original"] = as_original(arm, context)
    scores = {}
    for done, (name, each) in enumerate(arms.items()):
        context.progress(done, len(arms) + 1, f"{name}, {arm.samples} samples")
        scores[name] = score_arm(context, each)
    return scores


def _judge_tuned(
    scores: dict[str, list[Score]],
) -> tuple[list[Figure], list[tuple[Gate, Finding]]]:
    assembled, control = scores["assembled"], scores["random init"]
    thorough = scores[_STRONGEST]
    # AUD-RET-1: a recipe for tuning is a poor one for random weights.
    name = _STRONGEST if mean_value(thorough) > mean_value(control) else "random init"
    better = scores[name]
    value = make_figure("assembled, tuned", assembled, control=better)
    gain = make_difference(
        f"assembled minus {name}", assembled, better, note="the same samples and seeds"
    )
    figures = [
        value,
        make_figure("random init, tuned alike (control)", control),
        make_figure("random init, trained thoroughly (control)", thorough),
        gain,
    ]
    judged = [_judge_level(value, assembled), _judge_gain(gain)]
    if "original" in scores:
        kept = make_retention("retention, tuned", assembled, scores["original"], better)
        figures += [make_figure("original, tuned", scores["original"], control=better), kept]
        judged.append(_judge_kept(kept))
    return figures, judged


def _judge_level(value: Figure, scores: list[Score]) -> tuple[Gate, Finding]:
    level = max(scores[0].majority, scores[0].chance)
    gate = gate_on(
        value,
        "tuned-above-majority",
        "the tuned model answers better than the most frequent answer does",
        at_least=level,
    )
    finding = tell(
        gate,
        value,
        bad="The tuned model is no better than the most frequent answer",
        severity=Severity.HIGH,
        hint="more samples may help; else this seed does not serve this task",
    )
    return gate, finding


def _judge_gain(gain: Figure) -> tuple[Gate, Finding]:
    gate = gate_on(
        gain,
        "tuned-above-control",
        "the seed knows more than random weights that learn from the same samples",
        at_least=0.0,
    )
    finding = tell(
        gate,
        gain,
        bad="Random weights learn the task from the same samples as well as this seed does",
        severity=Severity.HIGH,
        hint="the seed brings nothing to this task: ask for one with more bits, or train anew",
    )
    return gate, finding


def _judge_kept(kept: Figure) -> tuple[Gate, Finding]:
    gate = gate_on(
        kept,
        "retention-tuned",
        f"at least {100 * _KEPT:.0f} % of what the original knows above chance is kept",
        at_least=_KEPT,
    )
    finding = tell(
        gate,
        kept,
        bad="Less of the original was kept than declared",
        severity=Severity.MEDIUM,
        hint="ask the publisher for a seed with more bits per weight, or tune on more samples",
    )
    return gate, finding


def _zero_shot(context: Context) -> list[Figure]:
    """Return the figures of models as they are; none of a model without a head of its own."""
    arms, _ = data_of(context)
    assembled = arms.zero_shot(context.spec.model)
    if assembled is None:
        return []
    figures = [make_zero_shot("assembled, zero-shot", assembled[0])]
    original = arms.zero_shot(context.spec.original) if context.spec.original else None
    if original is not None:
        figures += [
            make_zero_shot("original, zero-shot", original[0]),
            make_retention("retention, zero-shot", assembled[:1], original[:1]),
        ]
    return figures


def _searched(context: Context, count: int | None) -> str:
    beside = (
        "random weights of the same architecture, tuned alike and trained thoroughly, the "
        "majority class and chance"
    )
    if context.spec.original:
        beside = f"the original, {beside}"
    return (
        f"{count} samples, {len(context.seeds)} seeds; the assembled model beside {beside}. "
        + ("" if context.spec.original else "Without the original there is no retention to state.")
    ).strip()
