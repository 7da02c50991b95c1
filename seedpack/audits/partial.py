"""Leaves layers out, and measures what the rest is worth (spec: partial.md).

    layers of the model --95, 80, 50 % kept, by depth | by importance--> the others: initial values
    partial model --zero-shot, and tuned with few samples--beside--> whole model, random init

Who has a part of a seed (`split`, `assemble --layers ... --fill-missing`) has such a model.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from seedpack.audits.base import Audit
from seedpack.audits.gates import undecided
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
    score_arm,
    tell,
)
from seedpack.audits.results import AuditResult, Curve, Severity, Status, Table
from seedpack.files import atomic_output
from seedpack.frameworks import open_model
from seedpack.frameworks.factories import load_factory
from seedpack.frameworks.initial import drawn_tensors, initial_tensors
from seedpack.frameworks.safetensors_writer import write_safetensors
from seedpack.training.sampling import draw_samples
from seedpack.tune.tuning import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seedpack.audits.base import Context
    from seedpack.audits.results import Figure
    from seedpack.frameworks import NamedTensor, TensorInfo
    from seedpack.frameworks.sources import ModelSource
    from seedpack.training.scores import Score

_ORDERS: Final = ("importance", "depth")
_SHARES: Final = (0.95, 0.8, 0.5)
_QUICK_SHARES: Final = (0.8,)
_DECIDING: Final = (0.8, "importance")
_MOST_GROUPS: Final = 24  # whose importance is measured one by one
_LOOK: Final = 100  # training examples that importance is measured on
_SHARD_ENDING: Final = frozenset({".safetensors", ".bin", ".pt", ".pth", ".json.index"})


class Cell(NamedTuple):
    """One partial model, over all seeds."""

    share: float
    order: str
    left_out: list[str]  # groups of layers, of the first seed
    missing: float  # share of values
    tuned: list[Score]
    zero_shot: Score | None


class Partial(Audit):
    """What is a part of the model worth?"""

    id = "partial"
    title = "A part of the layers"
    needs = frozenset({"data"})
    effort = 3

    def run(self, context: Context) -> AuditResult:
        """Leave layers out, fill them, measure.

        Raises:
            SeedError: The model cannot be read, or its class draws no initial values.
            TrainingError: Model and data do not fit.
        """
        model = _Model(context)
        if len(model.groups) < 2:  # noqa: PLR2004 -- a part of one is nothing
            return undecided(self.id, self.title, "the model has one layer only")
        orders = {"depth": list(reversed(model.groups)), "importance": model.by_importance()}
        shares = _QUICK_SHARES if context.profile.name == "quick" else _SHARES
        cells = []
        wanted = [(share, order) for order in _ORDERS for share in shares]
        for done, (share, order) in enumerate(wanted):
            context.progress(done, len(wanted), f"{100 * share:g} % by {order}")
            cells.append(_measure(context, model, share, order, orders[order]))
        return _report(context, cells, model)


class _Model:
    """The assembled model, its layers in groups, and partial copies of it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._path = Path(context.spec.model)
        self.source = open_model(self._path, factory=context.spec.factory or None)
        infos = [info for info in self.source.infos() if info.name not in self.source.unused]
        arms, _ = data_of(context)
        state = list(arms.untuned(str(self._path)).model.state_dict())
        infos.sort(key=lambda info: _depth(info.name, state))
        self.groups = group_layers([info.name for info in infos])
        self._infos = {info.name: info for info in infos}
        self.measured = False  # whether importance was

    def missing(self, left_out: Sequence[str]) -> float:
        """Return the share of values that are not the model's own."""
        sizes = {name: math.prod(info.shape) for name, info in self._infos.items()}
        names = [name for group in left_out for name in self.groups[group]]
        return sum(sizes[name] for name in names) / max(sum(sizes.values()), 1)

    def write(self, left_out: Sequence[str], seed: int, label: str) -> Path:
        """Return the path of a copy in which groups have initial values (AUD-PAR-1).

        Raises:
            AssemblyError: ASM-7, the class draws none for one of them.
        """
        names = [name for group in left_out for name in self.groups[group]]
        drawn = self._draw([self._infos[name] for name in names], seed)
        output = self._context.scratch / f"partial-{label}{self._path.suffix}"
        weights = output
        if self._path.is_dir():
            shutil.copytree(self._path, output, ignore=_ignore_weights, dirs_exist_ok=True)
            weights = output / "model.safetensors"
        with atomic_output(weights, overwrite=True) as file:
            write_safetensors(file, self.source.infos(), _mixed(self.source, drawn))
        return output

    def by_importance(self) -> list[str]:
        """Return the groups, the least important first (AUD-PAR-2)."""
        arms, split = data_of(self._context)
        if not arms.untuned(str(self._path)).has_trained_head:
            return sorted(self.groups, key=lambda group: self.missing([group]))
        self.measured = True
        count = min(_LOOK, len(split.train))
        look = draw_samples(split, count, seed=self._context.spec.random_seed)
        seen = dataclasses.replace(split, evaluation=look)
        recipe = arms.recipe(consumer_arm(self._context))
        scores = {}
        for done, group in enumerate(self.groups):
            self._context.progress(done, len(self.groups), f"importance of {group}")
            path = self.write([group], self._context.spec.random_seed, "look")
            score = evaluate(arms.untuned(str(path)), seen, recipe)[0]
            scores[group] = (-score.value, self.missing([group]))
        return sorted(self.groups, key=lambda group: scores[group])

    def _draw(self, infos: list[TensorInfo], seed: int) -> dict[str, NamedTensor]:
        architecture = self.source.architecture
        if architecture is not None:
            drawn = initial_tensors(architecture, infos, seed)
        else:
            factory = load_factory(self._context.spec.factory)
            drawn = drawn_tensors(factory, infos, seed)
        return {tensor.name: tensor for tensor in drawn}


def group_layers(names: Sequence[str], most: int = _MOST_GROUPS) -> dict[str, list[str]]:
    """Return layers in groups, in their order: each its own, or by the module that they are of.

    Args:
        names: Of all layers, as ``encoder.layer.0.output.weight``.
        most: How many groups there may be, where the names allow it.
    """
    longest = max((name.count(".") + 1 for name in names), default=0)
    groups: dict[str, list[str]] = {}
    for depth in range(longest, 0, -1):
        groups = {}
        for name in names:
            groups.setdefault(".".join(name.split(".")[:depth]), []).append(name)
        if len(groups) <= most:
            break
    return groups


def _depth(name: str, state: Sequence[str]) -> int:
    """Return where a layer stands in its module; files have orders of their own."""
    ends = (n for n, own in enumerate(state) if f".{own}".endswith(f".{name}"))
    wider = (n for n, own in enumerate(state) if f".{name}".endswith(f".{own}"))
    return next(ends, next(wider, len(state)))


def choose_left_out(order: Sequence[str], share: float) -> list[str]:
    """Return the first groups of ``order``, so that ``share`` of them are kept; at least one."""
    return list(order[: max(len(order) - math.ceil(share * len(order)), 1)])


def _mixed(source: ModelSource, drawn: Mapping[str, NamedTensor]) -> Iterator[NamedTensor]:
    for tensor in source.tensors():
        yield drawn.get(tensor.name, tensor)


def _ignore_weights(folder: str, names: list[str]) -> list[str]:
    del folder
    return [name for name in names if Path(name).suffix in _SHARD_ENDING or ".index." in name]


def _measure(
    context: Context, model: _Model, share: float, order: str, groups: Sequence[str]
) -> Cell:
    arms, _ = data_of(context)
    left_out = choose_left_out(groups, share)
    tuned, zero_shot = [], None
    is_judged = (share, order) == _DECIDING
    for seed in context.seeds if is_judged else curve_seeds(context):
        path = model.write(left_out, seed, f"{order}-{share}-{seed}")
        arm = msgspec.structs.replace(consumer_arm(context), model=str(path), seed=seed)
        tuned.append(arms.scores(arm)[0])
        if zero_shot is None and arms.zero_shot(context.spec.model) is not None:
            found = arms.zero_shot(str(path))
            zero_shot = None if found is None else found[0]
    return Cell(share, order, left_out, model.missing(left_out), tuned, zero_shot)


def _report(context: Context, cells: Sequence[Cell], model: _Model) -> AuditResult:
    arm = consumer_arm(context)
    whole, control = (
        score_arm(context, arm),
        score_arm(context, as_control(arm, thorough=is_small(context))),
    )
    figures = [make_figure("whole, tuned", whole, control=control)]
    gates, findings = [], []
    for cell in cells:
        what = f"{100 * cell.share:g} % of the layers by {cell.order}"
        missing = f"{100 * cell.missing:.1f} % of the values are initial ones"
        figures.append(make_figure(f"tuned, {what}", cell.tuned, control=control, note=missing))
        beside = control[: len(cell.tuned)]
        gain = make_difference(f"{what} minus random init", cell.tuned, beside, note=missing)
        figures.append(gain)
        if cell.zero_shot is not None:
            figures.append(make_figure(f"as it is, {what}", [cell.zero_shot], note=missing))
        if (cell.share, cell.order) == _DECIDING:
            statement = (
                f"{what}, the rest initial, are worth no less than random init after few samples"
            )
            gates.append(gate_on(gain, "partial-80", statement, at_least=0.0))
            bad = "A part of the layers is worth less than random weights"
            hint = "take the whole seed, or all layers of a module"
            findings.append(tell(gates[-1], gain, bad=bad, severity=Severity.LOW, hint=hint))
    return AuditResult(
        audit=Partial.id,
        title=Partial.title,
        status=Status.UNDECIDED,
        searched=_searched(context, model, arm.samples),
        findings=tuple(findings),
        figures=tuple(figures),
        gates=tuple(gates),
        tables=(_table(cells),),
        curves=(_curve(cells, figures[0]),),
        seeds=context.seeds,
    )


def _searched(context: Context, model: _Model, samples: int | None) -> str:
    importance = (
        f"what the model loses on {_LOOK} training examples when the layer alone is initial"
        if model.measured
        else "number of values, for the model has no head of its own to measure it by"
    )
    return (
        f"{len(model.groups)} layers or modules, kept in part; importance is {importance}. Those "
        f"left out have the initial values of the class, drawn anew for each of "
        f"{len(context.seeds)} seeds, and all is tuned with {samples} examples."
    )


def _table(cells: Sequence[Cell]) -> Table:
    rows = tuple(
        (100 * c.share, c.order, round(100 * c.missing, 2), ", ".join(c.left_out)) for c in cells
    )
    columns = ("kept, %", "by", "values left out, %", "left out")
    return Table(title="What was left out", columns=columns, rows=rows)


def _curve(cells: Sequence[Cell], whole: Figure) -> Curve:
    series = []
    for order in _ORDERS:
        own = sorted((c for c in cells if c.order == order), key=lambda c: c.share)
        points = [(100 * c.share, make_figure(order, c.tuned)) for c in own]
        series.append(make_series(f"by {order}, tuned", [*points, (100.0, whole)]))
    control = tuple(100 * share for share in sorted({c.share for c in cells}))
    level = (whole.control,) * (len(control) + 1)
    random = make_series("random init, tuned", [], is_control=True)
    random = msgspec.structs.replace(random, x=(*control, 100.0), y=level)
    return Curve(
        title="A part of the layers",
        x_label="layers kept, %",
        y_label=whole.unit,
        series=(*series, random),
        chance=whole.chance,
    )
