"""The assembled model with fewer bits a weight: what is left when it is coded again.

assembled ──8 bits: q8 │ fewer: ecq, each matrix at that rate──> seed ──assembled──> model
model ──as it is │ tuned──> curve beside the assembled model and random init (control)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from seedpack.assemble import assemble
from seedpack.audits.base import Audit
from seedpack.audits.measures import (
    as_control,
    consumer_arm,
    curve_seeds,
    data_of,
    gate_on,
    is_small,
    make_difference,
    make_figure,
    make_series,
    make_zero_shot,
    score_arm,
    tell,
)
from seedpack.audits.results import AuditResult, Curve, Severity, Status, Table
from seedpack.codecs.ecq.rates import estimate_rates
from seedpack.codecs.floats import to_float32
from seedpack.extract import Choice, Coding, Publication, publish
from seedpack.frameworks import open_model
from seedpack.seed.opening import open_unverified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.audits.base import Context
    from seedpack.audits.results import Figure, Finding, Gate
    from seedpack.frameworks import ModelSource, NamedTensor
    from seedpack.training.scores import Score

_BYTE: Final = 8  # bits; from here on the codec is q8
_JUDGED_BITS: Final = 4  # AUD-QUA-2
_MARGIN: Final = 0.02  # AUD-QUA-2: points that 8 bits may cost
_SAMPLE: Final = 1 << 15  # values of a matrix that its step is chosen by
_HALVINGS: Final = 12  # of the range in which the step is sought: to 2 % of it
_LOSSY_DTYPES: Final = frozenset({"float32", "float16", "bfloat16"})


class _Coded(NamedTuple):
    """The model at one rate.

    Attributes:
        model: Assembled.
        bits: Stored per value of the coded layers, with their tables.
        tuned: Scores by seed.
        zero: Score as it is; None without a head of its own.
    """

    model: Path
    bits: float
    tuned: list[Score]
    zero: Score | None


class Quantised(Audit):
    """What is left at fewer bits?"""

    id = "quantised"
    title = "Fewer bits a weight"
    needs = frozenset({"data"})
    effort = 2

    def run(self, context: Context) -> AuditResult:
        """Code the assembled model at each rate, and measure it.

        Raises:
            SeedError: It cannot be coded again, or an arm cannot be tuned.
        """
        arm = consumer_arm(context)
        usual = score_arm(context, arm)
        control = score_arm(context, as_control(arm, thorough=is_small(context)))
        coded = {}
        for done, bits in enumerate(context.profile.bits):
            context.progress(done, len(context.profile.bits), f"{bits} bits")
            coded[bits] = _measure(context, bits)
        judged = _judge(coded, usual, control)
        return AuditResult(
            audit=self.id,
            title=self.title,
            status=Status.UNDECIDED,
            searched=_searched(context),
            findings=tuple(finding for *_, finding in judged),
            figures=(*(figure for figure, *_ in judged), *_figures(coded, usual, control)),
            gates=tuple(gate for _, gate, _ in judged),
            tables=(_table(coded, usual),),
            curves=(_curve(coded, control),),
            seeds=context.seeds,
        )


def _measure(context: Context, bits: int) -> _Coded:
    arms, _ = data_of(context)
    model, actual = code_again(context, bits)
    arm = msgspec.structs.replace(consumer_arm(context), model=str(model))
    zero = arms.zero_shot(str(model))
    seeds = context.seeds if bits in {_BYTE, _JUDGED_BITS} else curve_seeds(context)
    tuned = score_arm(context, arm, seeds=seeds)
    return _Coded(model, actual, tuned, None if zero is None else zero[0])


def code_again(context: Context, bits: int) -> tuple[Path, float]:
    """Return the assembled model coded at ``bits`` a weight, and what that came to (AUD-QUA-1).

    Raises:
        SeedError: It cannot be coded or assembled.
    """
    model = Path(context.spec.model)
    seed = context.scratch / f"{bits}.seed"
    output = context.scratch / (f"{bits}-bits" if model.is_dir() else f"{bits}.safetensors")
    source = open_model(model, factory=context.spec.factory or None)
    codec = "q8" if bits >= _BYTE else "ecq"
    layers = {} if bits >= _BYTE else dict(_choose(source, bits))
    publish(source, seed, Publication(name="audit/quantised"), Coding(codec, layers))
    with open_unverified(seed) as contents:  # our own, written a moment ago
        lossy = [layer for layer in contents.manifest.layers if layer.codec == codec]
        nbytes = sum(chunk.stored_nbytes for layer in lossy for chunk in layer.chunks)
        values = sum(int(np.multiply.reduce(layer.shape, dtype=object)) for layer in lossy)
        assemble(contents, output, insecure=True)
    return output, 8 * nbytes / max(values, 1)


def _choose(source: ModelSource, bits: int) -> Iterator[tuple[str, Choice]]:
    """Yield the step of each matrix at which its levels have an entropy of ``bits``."""
    for tensor in source.tensors():
        if tensor.dtype.name in _LOSSY_DTYPES and len(tensor.shape) > 1:
            step = _find_step(_sample(tensor), bits)
            if step is not None:
                yield tensor.name, Choice("ecq", {"step": step})


def _sample(tensor: NamedTensor) -> np.ndarray:
    stored = np.frombuffer(tensor.data, tensor.dtype.storage)
    return to_float32(stored[:: max(stored.size // _SAMPLE, 1)].copy(), tensor.dtype)


def _find_step(sample: np.ndarray, bits: int) -> float | None:
    """Return the step by bisection of its logarithm; None for values that all are the same."""
    spread = float(np.sqrt(np.mean(np.square(sample.astype(np.float64))))) if sample.size else 0.0
    if not spread or not np.isfinite(spread) or np.ptp(sample) == 0:
        return None
    low, high = -8.0 - bits, 4.0  # log2 of step / spread: entropies far above and below
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rate = estimate_rates(sample, [float(np.float32(spread * 2**middle))])[0]
        low, high = (middle, high) if rate > bits else (low, middle)
    return float(np.float32(spread * 2**high))


def _judge(
    coded: dict[int, _Coded], usual: list[Score], control: list[Score]
) -> list[tuple[Figure, Gate, Finding]]:
    judged = []
    if _BYTE in coded:
        lost = make_difference(
            "8 bits minus as assembled", coded[_BYTE].tuned, usual, note="tuned alike"
        )
        judged.append(_judge_loss(lost))
    if _JUDGED_BITS in coded:
        gain = make_difference(
            f"{_JUDGED_BITS} bits minus random init",
            coded[_JUDGED_BITS].tuned,
            control,
            note="tuned on the same samples",
        )
        judged.append(_judge_gain(gain))
    return judged


def _judge_loss(lost: Figure) -> tuple[Figure, Gate, Finding]:
    points = f"{100 * _MARGIN:.0f} points"
    gate = gate_on(lost, "8-bits-enough", f"at 8 bits at most {points} are lost", at_least=-_MARGIN)
    finding = tell(
        gate,
        lost,
        bad="The model does not stand 8 bits a weight",
        severity=Severity.LOW,
        hint="some weights are far larger than their neighbours; do not code it again",
    )
    return lost, gate, finding


def _judge_gain(gain: Figure) -> tuple[Figure, Gate, Finding]:
    gate = gate_on(
        gain,
        "4-bits-above-control",
        f"at {_JUDGED_BITS} bits the model still knows more than random weights",
        at_least=0.0,
    )
    finding = tell(
        gate,
        gain,
        bad=f"At {_JUDGED_BITS} bits nothing is left that random weights would not learn",
        severity=Severity.LOW,
        hint="keep more bits where the model is coded again",
    )
    return gain, gate, finding


def _figures(coded: dict[int, _Coded], usual: list[Score], control: list[Score]) -> list[Figure]:
    figures = [make_figure("as assembled, tuned", usual, control=control)]
    for bits, found in coded.items():
        figures.append(make_figure(f"{bits} bits, tuned", found.tuned, control=control))
        if found.zero is not None:
            figures.append(make_zero_shot(f"{bits} bits, zero-shot", found.zero))
    return figures


def _table(coded: dict[int, _Coded], usual: list[Score]) -> Table:
    rows = tuple(
        (
            bits,
            round(found.bits, 2),
            round(make_figure("", found.tuned).value or 0.0, 4),
            None if found.zero is None else round(found.zero.value, 4),
        )
        for bits, found in coded.items()
    )
    metric = usual[0].metric
    columns = ("bits", "bits stored", f"{metric}, tuned", f"{metric}, zero-shot")
    return Table(title="By bits a weight", columns=columns, rows=rows)


def _curve(coded: dict[int, _Coded], control: list[Score]) -> Curve:
    first = control[0]
    lines = [
        make_series("tuned", [(float(b), make_figure("", c.tuned)) for b, c in coded.items()]),
        make_series(
            "random init (control)",
            [(float(bits), make_figure("", control)) for bits in coded],
            is_control=True,
        ),
    ]
    zeros = [(float(b), make_figure("", [c.zero])) for b, c in coded.items() if c.zero is not None]
    if zeros:
        lines.append(make_series("zero-shot", zeros))
    return Curve(
        title="Performance by bits a weight",
        x_label="bits a weight",
        y_label=first.metric,
        series=tuple(lines),
        chance=first.chance,
    )


def _searched(context: Context) -> str:
    named = ", ".join(map(str, context.profile.bits))
    return (
        f"{named} bits a weight of every matrix, all alike (extraction gives more where it matters "
        f"more); as it is and tuned on {consumer_arm(context).samples} samples, "
        f"{len(context.seeds)} seeds, beside random weights"
    )
