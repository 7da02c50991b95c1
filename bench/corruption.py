"""What is left of seeds that lost chunks, and of a part of the layers: layouts beside controls.

    digits network ──extract, each layout──> seed ──10, 25, 50 % of its chunks destroyed──>
      restored exactly │ salvaged ──as it is, and tuned with 50 samples──> share of the whole kept
    controls: the original in the same treatment; random weights tuned alike, and trained thoroughly

Every model is another one, trained anew; every loss is drawn anew. Shares are of what the original
has above chance, in the same treatment. Tuned: as a consumer does, gently. Thorough: more epochs
and larger steps, as random weights ask for; their control is the strongest that samples give.

Run: python -m bench.corruption [--family mlp] [--models 3] [--keep DIR]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from safetensors.torch import save_file

from bench.table import Row, print_rows, print_title
from seedpack.audits import PROFILES, Spec
from seedpack.audits.arms import Arm
from seedpack.audits.corruption.losses import KINDS, Damager, Loss
from seedpack.audits.measures import data_of
from seedpack.audits.partial import Partial
from seedpack.audits.work import open_context
from seedpack.extract import extract
from seedpack.lab.zoo.images import ImageFamily
from seedpack.lab.zoo.networks import make_network
from seedpack.seed.opening import open_unverified
from seedpack.training.statistics import mean_value, retention, score_interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from seedpack.audits.base import Context
    from seedpack.training.scores import Score

FAMILIES = ("mlp", "cnn", "vit")
SHARES = (0.1, 0.25, 0.5)
SAMPLES = 50
PLAIN, INTERLEAVED, PARITY, TOP = (
    "contiguous",
    "interleaved",
    "interleaved, int8's size, 100 % parity",
    "top bits twice",
)
BARS = {0.1: 0.98, 0.25: 0.95}
BAR_OF_HALF = 0.8  # of what the whole seed has above random init


def mlp() -> nn.Module:
    """Return an untrained perceptron."""
    return make_network("mlp", 0)


def cnn() -> nn.Module:
    """Return an untrained convolutional network."""
    return make_network("cnn", 0)


def vit() -> nn.Module:
    """Return an untrained transformer on patches."""
    return make_network("vit", 0)


class Found(NamedTuple):
    """One damaged model."""

    missing: float
    exact: bool
    zero_shot: Score
    tuned: Score
    thorough: Score


class Family(NamedTuple):
    """All that was measured on one kind of network, a model after another."""

    whole: list[Score]
    whole_tuned: list[Score]
    control: list[Score]
    thorough_control: list[Score]
    found: dict[tuple[str, float, str], list[Found]]
    sizes: dict[str, list[float]]  # of files, over that of int8
    in_manifest: dict[str, list[float]]
    partial: list[tuple[float, float, float]]  # gain over random init and its interval


def main() -> int:
    """Measure and print; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=FAMILIES, action="append")
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a folder that keeps tuned models between runs")
    chosen = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen.family or FAMILIES:
            family = _new_family()
            for number in range(chosen.models):
                folder = (chosen.keep or Path(scratch)) / name / str(number)
                _measure_model(name, number, folder, family)
            print_title(f"{name}: {chosen.models} models, kept by {SAMPLES}-sample tuning")
            print_rows(_show(family))
            print_title(f"{name}: bars")
            found = [*_judge(name, family)]
            print_rows(found)
            rows += found
    failed = sum(row.met is False for row in rows)
    print(f"\n{sum(row.met is True for row in rows)} bars met, {failed} missed")
    return int(failed > 0)


def _new_family() -> Family:
    return Family([], [], [], [], defaultdict(list), defaultdict(list), defaultdict(list), [])


def _measure_model(name: str, number: int, folder: Path, family: Family) -> None:
    """Train one model, store it in every layout, and damage each."""
    folder.mkdir(parents=True, exist_ok=True)
    maker = ImageFamily(name)
    train, test = maker.data()
    for part, samples in (("train", train), ("test", test)):
        np.savez(folder / f"{part}.npz", x=samples.x.numpy(), y=samples.y.numpy())
    model = folder / "model.safetensors"
    if not model.exists():
        save_file(maker.train_clean(number).module.state_dict(), model)
    layouts = dict(_extract_layouts(model, folder))
    int8 = (folder / "int8.seed").stat().st_size
    for layout, seed in layouts.items():
        family.sizes[layout].append(seed.stat().st_size / int8)
    spec = Spec(
        model=str(model),
        task="image-classification",
        train=str(folder / "train.npz"),
        evaluation=str(folder / "test.npz"),
        factory=f"bench.corruption:{name}",
        random_seed=number,
    )
    profile = msgspec.structs.replace(PROFILES["quick"], nseeds=1, nsamples=SAMPLES)
    with open_context(spec, profile, folder / "runs") as context:
        _measure_losses(context, layouts, family)
    wide = msgspec.structs.replace(profile, nseeds=5)
    with open_context(spec, wide, folder / "runs") as context:
        gate = Partial().run(context).gates[0]
        bounds = gate.interval or (-1.0, 1.0)
        family.partial.append((gate.value or 0.0, *bounds))


def _extract_layouts(model: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each layout with its seed."""
    extract(model, folder / "int8.seed", name="a", codec="q8", overwrite=True)
    int8 = (folder / "int8.seed").stat().st_size
    for number, (layout, options) in enumerate(
        {
            PLAIN: {"codec": "ecq", "chunk_nbytes": 1024},
            INTERLEAVED: {"codec": "ecq", "interleave": True},
            PARITY: {"max_nbytes": int8, "interleave": True, "parity_percent": 100},
            TOP: {"codec": "ecq", "protect_top_bits": True},
        }.items()
    ):
        path = folder / f"layout{number}.seed"
        extract(model, path, name="a", overwrite=True, **options)  # type: ignore[arg-type]
        yield layout, path


def _measure_losses(context: Context, layouts: dict[str, Path], family: Family) -> None:
    arms, _ = data_of(context)
    seed, model = context.spec.random_seed, context.spec.model

    def tuned(path: str, *, thorough: bool = False) -> Score:
        return arms.scores(Arm(model=path, samples=SAMPLES, seed=seed, thorough=thorough))[0]

    def untuned(path: str) -> Score:
        (score, *_) = arms.zero_shot(path) or [tuned(path)]  # all of these have heads
        return score

    family.whole.append(untuned(model))
    family.whole_tuned.append(tuned(model))
    family.control.append(tuned(""))
    family.thorough_control.append(tuned("", thorough=True))
    for layout, path in layouts.items():
        damager = Damager(context, path, path.stem, with_parity=True)
        family.in_manifest[layout].append(damager.kept_share)
        stored = _assembled(context, path)
        for share in SHARES:
            for kind in KINDS:
                one = damager.damage(Loss(share, kind, seed))
                left = str(one.model or stored)
                family.found[layout, share, kind].append(
                    Found(
                        one.missing,
                        one.model is None,
                        untuned(left),
                        tuned(left),
                        tuned(left, thorough=True),
                    )
                )


def _assembled(context: Context, seed: Path) -> Path:
    """Return the model of a seed without damage: what is restored exactly."""
    from seedpack.assemble import assemble  # noqa: PLC0415 -- torch

    path = context.scratch / f"{seed.stem}.safetensors"
    with open_unverified(seed) as contents:  # our own, written a moment ago
        assemble(contents, path, insecure=True)
    return path


# ---------------------------------------------------------------- what came out


def _show(family: Family) -> list[Row]:
    whole, control = mean_value(family.whole_tuned), mean_value(family.control)
    low, high = score_interval(family.control)
    rows = [
        Row("original, as it is", f"accuracy {mean_value(family.whole):.3f}"),
        Row("original, tuned", f"accuracy {whole:.3f}"),
        Row("control: random init, tuned", f"accuracy {control:.3f} [{low:.3f}, {high:.3f}]"),
        Row("control's share of the original's", _share(family.control, family.whole_tuned)),
        Row("control: random init, thorough", _share(family.thorough_control, family.whole_tuned)),
    ]
    for layout, sizes in family.sizes.items():
        manifest = 100 * float(np.mean(family.in_manifest[layout]))
        rows.append(
            Row(layout, f"{np.mean(sizes):.2f} of int8's size", f"{manifest:.1f} % in manifest")
        )
    for (layout, share, kind), found in family.found.items():
        exact = sum(one.exact for one in found)
        missing = 100 * float(np.mean([one.missing for one in found]))
        zero_shot = _share([one.zero_shot for one in found], family.whole)
        tuned = _share([one.tuned for one in found], family.whole_tuned)
        thorough = _kept([one.thorough for one in found], family.whole_tuned)
        rows.append(
            Row(
                f"{layout[:24]}, {100 * share:g} % {kind}",
                f"{zero_shot} as is",
                f"{tuned} tuned, {thorough:.3f} thorough, {missing:.0f} % missing, {exact} of "
                f"{len(found)} exact",
            )
        )
    for gain, low, high in family.partial:
        rows.append(
            Row("80 % of layers minus random init", f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]")
        )
    return rows


def _kept(scores: Sequence[Score], whole: Sequence[Score]) -> float:
    return retention(scores, whole).value or 0.0


def _share(scores: Sequence[Score], whole: Sequence[Score]) -> str:
    kept = retention(scores, whole)
    if kept.value is None or kept.interval is None:
        return f"undefined: {kept.reason}"
    return f"{kept.value:.3f} [{kept.interval.low:.3f}, {kept.interval.high:.3f}]"


def _judge(name: str, family: Family) -> Iterator[Row]:
    """Yield the bars; of the transformer they are for information."""
    judged = name != "vit"
    for share, bar in BARS.items():
        for kind in KINDS:
            found = family.found[INTERLEAVED, share, kind]
            kept = _kept([one.tuned for one in found], family.whole_tuned)
            what = f"interleaved, {100 * share:g} % {kind} lost, tuned"
            yield Row(what, f"{kept:.3f} kept", f">= {bar:g}", (kept >= bar) if judged else None)
    for kind in KINDS:
        found = family.found[INTERLEAVED, 0.5, kind]
        kept = _kept([one.tuned for one in found], family.whole_tuned)
        thorough = _kept([one.thorough for one in found], family.whole_tuned)
        controls = (family.control, family.thorough_control)
        level = max(_kept(control, family.whole_tuned) for control in controls)
        met = kept >= BAR_OF_HALF and kept > level
        yield Row(
            f"interleaved, 50 % {kind} lost, tuned",
            f"{kept:.3f} kept, {thorough:.3f} thorough",
            f">= {BAR_OF_HALF:g}, above {level:.3f}",
            met if judged else None,
        )
    for kind in KINDS:
        found = family.found[PARITY, 0.5, kind]
        size = max(family.sizes[PARITY])
        exact = all(one.exact for one in found) and size <= 1
        figure = f"{sum(one.exact for one in found)} of {len(found)} bit-exact, {size:.2f} of int8"
        yield Row(f"100 % parity, 50 % {kind} lost", figure, "all, no larger", exact)
    gains = family.partial
    met = all(low > 0 for _, low, _ in gains)
    worst = min(low for _, low, _ in gains)
    what = "80 % of layers, tuned, minus random init"
    yield Row(what, f"least lower bound {worst:+.3f}", "> 0", met if judged else None)


if __name__ == "__main__":
    sys.exit(main())
