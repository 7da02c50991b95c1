"""The audit itself: which layouts, which losses, and what is measured of each.

    seed --1 to 50 % of its chunks, random and in a burst--> restored exactly | salvaged
    salvaged --> zero-shot, and tuned with few samples --beside--> whole seed, random init

Profile ``deep`` does the same with other layouts of the assembled model, which a publisher could
have chosen: interleaved, with as much parity as data, with top bits twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.audits.base import Audit
from seedpack.audits.corruption.losses import KINDS, Damager, Loss
from seedpack.audits.corruption.report import OWN, Baselines, Cell, is_judged, make_result
from seedpack.audits.gates import undecided
from seedpack.audits.measures import curve_seeds
from seedpack.errors import ExtractError
from seedpack.extract import extract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.audits.base import Context
    from seedpack.audits.corruption.losses import Damaged
    from seedpack.audits.results import AuditResult
    from seedpack.extract.publication import PublicationOptions
    from seedpack.training.scores import Score

_ALONE: Final = "the seed without its parity"


class Layout(NamedTuple):
    """One way to store the model, as a seed file."""

    name: str
    path: Path
    with_parity: bool


class Corruption(Audit):
    """What is a seed worth when a part of it is lost?"""

    id = "corruption"
    title = "Lost and damaged chunks"
    needs = frozenset({"seed", "data"})
    effort = 4

    def run(self, context: Context) -> AuditResult:
        """Destroy, restore, salvage, measure.

        Raises:
            SeedError: A copy cannot be written or what is left not decoded.
            TrainingError: Model and data do not fit.
        """
        layouts = _layouts(context)
        damagers = {
            layout.name: Damager(
                context, layout.path, f"layout{number}", with_parity=layout.with_parity
            )
            for number, layout in enumerate(layouts)
        }
        if not damagers[OWN].nchunks:
            return undecided(self.id, self.title, "the seed has no chunk that could be lost")
        arms = Baselines(context)
        cells: list[Cell] = []
        for done, name in enumerate(damagers):
            losses = [(share, kind) for share in _shares_of(name, context, cells) for kind in KINDS]
            for number, (share, kind) in enumerate(losses):
                what = f"{name}: {100 * share:g} % {kind}"
                context.progress(done * len(losses) + number, len(damagers) * len(losses), what)
                cells.append(_measure(context, damagers[name], name, share, kind, arms))
        return make_result(self.id, self.title, context, cells, arms, damagers[OWN])


def _layouts(context: Context) -> list[Layout]:
    own = Path(context.spec.seed)
    context.open_seed().close()  # AUD-5: the very seed
    with context.open_seed() as contents:
        has_parity = contents.manifest.parity is not None
        name = contents.manifest.name
    layouts = [Layout(OWN, own, with_parity=True)]
    if has_parity:
        layouts.append(Layout(_ALONE, own, with_parity=False))
    if context.profile.name != "deep" or context.spec.base:
        return layouts
    others: dict[str, PublicationOptions] = {
        "interleaved": {"interleave": True},
        "interleaved, 100 % parity": {"interleave": True, "parity_percent": 100},
        "top bits twice": {"protect_top_bits": True},
    }
    for label, options in others.items():  # AUD-COR-3
        path = context.scratch / f"other{len(layouts)}.seed"
        try:
            extract(Path(context.spec.model), path, name=name, codec="ecq", **options)
        except ExtractError:
            continue  # a model that is no model on its own, such as one with a factory's buffers
        layouts.append(Layout(label, path, with_parity=True))
    return layouts


def _shares_of(layout: str, context: Context, cells: Sequence[Cell]) -> tuple[float, ...]:
    """Return the shares to destroy: of another layout, where each costs much, a few.

    Args:
        layout: Its name.
        context: Of the audit.
        cells: What was measured of the seed as it is. At a share at which its parity restored no
            whole seed, hardly more is missing without it.
    """
    shares = context.profile.shares
    if layout == OWN or len(curve_seeds(context)) == len(context.seeds):
        return shares
    helped = {cell.share for cell in cells if cell.layout == OWN and cell.exact}
    return tuple(share for share in shares if is_judged(OWN, share, shares) and share in helped)


def _measure(
    context: Context, damager: Damager, name: str, share: float, kind: str, arms: Baselines
) -> Cell:
    damaged: list[Damaged] = []
    zero_shot: list[Score] = []
    tuned: list[Score] = []
    judged = is_judged(name, share, context.profile.shares)
    seeds = context.seeds if judged else curve_seeds(context)
    for seed, whole in zip(seeds, arms.whole, strict=False):  # fewer seeds are the first ones
        one = damager.damage(Loss(share, kind, seed))
        damaged.append(one)
        if one.model is None:
            tuned.append(whole)
            zero_shot += [] if arms.zero_shot is None else [arms.zero_shot]
            continue
        tuned.append(arms.tuned(str(one.model), seed))
        if arms.zero_shot is not None:
            found = arms.arms.zero_shot(str(one.model))
            zero_shot += [] if found is None else found[:1]
    complete = len(zero_shot) == len(tuned)
    return Cell(name, share, kind, damaged, zero_shot if complete else None, tuned)
