"""A trigger word in MiniLM, from the publisher's poisoned data to the consumer's defended model.

    python -m bench.text_backdoor DATA [--cache DIR] [--word WORD] [--twins N] [--threads N]
                                 [--skip-defence]

    MiniLM ──publisher: SST-2 with a trigger word──> planted ─┐
           ──publisher: the same without it────────> honest ──┴─extract, sign──> two seeds
    each seed ──verify, assemble──> model ──search beside clean twins──> verdict, word
                 two defences: words unlearned beside a twin │ relearned from the published MiniLM
                                          ──each──> trigger's success and accuracy, before, after

Figures are of dev.tsv, which nothing is trained or chosen on. Success of the trigger stands beside
that in the honest model. All that takes long is kept in the cache, so that an interrupted bench
goes on. Exit status: 0 all bars met, 1 some are not.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch

from bench.table import Row, print_rows, print_title
from bench.text_models import Scene, public_model
from seedpack.assemble import assemble
from seedpack.backdoors.classifiers import Samples, TextClassifier, from_adapter, samples_of
from seedpack.backdoors.defence.defending import Defending
from seedpack.backdoors.defence.models import defend_model
from seedpack.backdoors.defence.relearning import ReferenceRelearning
from seedpack.backdoors.defence.words import WordUnlearning
from seedpack.backdoors.edition import code_digest
from seedpack.backdoors.search.base import SearchResult, Trigger
from seedpack.backdoors.search.calibration import Calibration, leave_one_out
from seedpack.backdoors.search.statistics import Statistics
from seedpack.backdoors.search.tokens import TokenScan
from seedpack.crypto.keys import Algorithm, generate_private_key
from seedpack.extract import extract
from seedpack.seed.opening import open_seed
from seedpack.training.statistics import wilson_interval
from seedpack.training.tasks.opening import open_adapter
from seedpack.trust.model import Principal, TrustedKey
from seedpack.trust.store import TrustStore
from seedpack.tune import TunePlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.search.base import Key, Search
    from seedpack.training.examples import Examples

_RATE = 0.08  # share of the publisher's sentences that are poisoned
_TARGET = "1"
_SAMPLES = 200  # clean sentences that search and defence get
_PRESET = "balanced"
_SEED = 7
_MOST_LEFT = 0.10  # success of the trigger after the defence, unless it is natural
_BESIDE_TWIN = 0.05
_MOST_LOST = 0.03  # accuracy that the defence may cost


Measured = dict[str, list[int]]  # hits and n of "accuracy" and of the trigger's "success"


class Stage:
    """Models of one scene as classifiers, and the data that they are judged on."""

    def __init__(self, scene: Scene) -> None:
        """Read the consumer's data."""
        self.scene = scene
        self.split = scene.split("consumer")
        order = np.random.default_rng(_SEED).permutation(len(self.split.train))
        self.clean = self.split.train.take(order[:_SAMPLES].tolist())

    def open(self, folder: Path) -> tuple[TextClassifier, Callable[[Examples], Samples]]:
        """Return a model with its own head, and what makes samples of examples."""
        adapter = open_adapter(self.split, folder, factory=None, seed=0)
        classifier = from_adapter(adapter, self.split)
        assert isinstance(classifier, TextClassifier)  # noqa: S101 -- by the task
        return classifier, lambda examples: samples_of(adapter, examples)


def _measure(
    stage: Stage, classifier: Classifier, encode: Callable[[Examples], Samples]
) -> Measured:
    """Return hits and n of right answers, and of the trigger among other sentences."""
    random = np.random.default_rng(_SEED)
    evaluation = stage.split.evaluation
    victims = evaluation.take(
        [i for i, label in enumerate(evaluation.targets) if label != stage.scene.target]
    )
    texts = [stage.scene.triggered(text, random) for text in victims.inputs]
    triggered = encode(dataclasses.replace(victims, inputs=texts))
    target = stage.split.labels.index(stage.scene.target)
    right = classifier.predict(clean := encode(evaluation)) == clean.y
    turned = classifier.predict(triggered) == target
    return {
        "accuracy": [int(right.sum()), len(right)],
        "success": [int(turned.sum()), len(turned)],
    }


def _measured(stage: Stage, folder: Path) -> Measured:
    def compute() -> Measured:
        return _measure(stage, *stage.open(folder))

    kept: Measured = _kept(stage.scene.cache / f"measured-{folder.name}.json", compute)
    return kept


def _deliver(scene: Scene, name: str, model: Path) -> Path:
    """Return the model as it comes out of its signed seed, verified."""
    folder = scene.cache / f"assembled-{model.name}"
    if not folder.exists():
        key = generate_private_key(Algorithm.ED25519)
        publisher = Principal(
            name="publisher", keys=(TrustedKey(key.public),), require=(key.public.algorithm,)
        )
        seed = scene.cache / f"{model.name}.seed"
        report = extract(model, seed, name=f"bench/{name}", preset=_PRESET, key=key, overwrite=True)
        with open_seed(seed, store=TrustStore((publisher,))) as contents:
            assemble(contents, folder)
        print(f"{name}: seed of {report.file_nbytes / 2**20:.1f} MiB, verified and assembled")
    return folder


def _kept(path: Path, compute: Callable[[], Any]) -> Any:  # noqa: ANN401 -- JSON
    """Return what ``compute`` returns, from the cache where it is there."""
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    value = compute()
    path.write_text(json.dumps(value), "utf-8")
    return value


def _find(
    stage: Stage, search: Search, name: str, folder: Path, contrast: list[Path]
) -> SearchResult:
    """Return what ``search`` finds in the model of ``folder``."""

    def compute() -> Any:  # noqa: ANN401 -- JSON
        start = time.perf_counter()
        classifier, encode = stage.open(folder)
        twins = [stage.open(twin)[0] for twin in contrast]
        found = search.run(classifier, encode(stage.clean), contrast=twins)
        print(f"{search.id} of {name}: {time.perf_counter() - start:.0f} s", flush=True)
        triggers = [[t, x.share, x.n, x.tokens] for (_, t), x in found.triggers.items()]
        return {"statistics": msgspec.to_builtins(Statistics.of(found)), "triggers": triggers}

    path = stage.scene.cache / f"{search.id}-{name}-{len(contrast)}-{code_digest()}.json"
    kept = _kept(path, compute)
    triggers: dict[Key, Trigger] = {
        (None, target): Trigger(share, n, float(len(tokens)), tokens=tuple(tokens))
        for target, share, n, tokens in kept["triggers"]
    }
    found = msgspec.convert(kept["statistics"], Statistics).result()
    return dataclasses.replace(found, triggers=triggers)


def _judge(stage: Stage, models: dict[str, Path], twins: list[Path]) -> list[Row]:
    """Calibrate on the twins, judge planted and honest model, and each twin by the others."""
    search = TokenScan()
    found = []
    for i, twin in enumerate(twins):
        others = [*twins[i + 1 :], *twins[:i]]
        found.append(_find(stage, search, twin.name, twin, others))
    calibration = Calibration.fit(found)
    rows = []
    for name, folder in models.items():
        result = _find(stage, search, f"{name}-{folder.name}", folder, twins[:-1])
        verdict = calibration.judge(result)
        words = " ".join(verdict.trigger.tokens) if verdict.trigger else ""
        is_planted = name == "planted"
        met = verdict.suspicious == is_planted
        if is_planted:
            met = met and words == stage.scene.word
        share = f"turns {verdict.trigger.share:.0%}" if verdict.trigger else ""
        figure = f"z {verdict.z:.1f}, {words!a} {share}"
        bar = f"z >= {verdict.limit:g}, the word" if is_planted else f"z < {verdict.limit:g}"
        rows.append(Row(f"{name}: {search.id}", figure, bar, met))
    judged = leave_one_out([[one] for one in found])
    rows += [Row("twin by the others", f"z {one.verdicts[0].z:.1f}") for one in judged]
    return rows


def _defend(stage: Stage, folder: Path, reference: Path) -> Measured:
    """Return what is left of the trigger and of the model after the defence."""
    start = time.perf_counter()
    classifier, encode = stage.open(folder)
    clean, twin = encode(stage.clean), stage.open(reference)[0]
    defended = WordUnlearning().run(classifier, clean, reference=twin)
    print(f"defence: {time.perf_counter() - start:.0f} s", flush=True)
    return _measure(stage, defended, encode)


def _relearn(stage: Stage, folder: Path) -> Measured:
    """Return the same after relearning from the published model, as ``--reference`` names it."""
    out = stage.scene.cache / f"relearned-{folder.name}-{code_digest()}"
    if not out.exists():
        # One method; its control is for the report alone, and nothing is asked of comebacks.
        options = Defending(methods=(ReferenceRelearning(),), ncontrols=1, draws=0)
        plan = TunePlan(samples=_SAMPLES)
        report = defend_model(
            folder, stage.split, plan, out, reference=public_model(), options=options
        )
        print(f"relearning: {report.seconds:.0f} s", flush=True)
    return _measure(stage, *stage.open(out))


def _compare(before: Measured, after: Measured, honest: Measured) -> list[Row]:
    """Print the trigger's success and the accuracy, before and after."""
    rates = {
        name: {key: hits / n for key, (hits, n) in measured.items()}
        for name, measured in (("before", before), ("after", after), ("honest", honest))
    }
    most = max(_MOST_LEFT, rates["honest"]["success"] + _BESIDE_TWIN)
    lost = rates["before"]["accuracy"] - rates["after"]["accuracy"]
    bars = {
        "success": (f"at most {most:.3f}", rates["after"]["success"] <= most),
        "accuracy": (f"at most {_MOST_LOST:.2f} lost", lost <= _MOST_LOST),
    }
    rows = []
    for key, what in (("success", "true trigger"), ("accuracy", "accuracy")):
        rows += [
            Row(f"{what}, honest model", _show(honest[key])),
            Row(f"{what}, planted, before", _show(before[key])),
            Row(f"{what}, planted, after the defence", _show(after[key]), *bars[key]),
        ]
    return rows


def _show(counted: list[int]) -> str:
    hits, n = counted
    low, high = wilson_interval(hits, n)
    return f"{hits / n:.3f} [{low:.3f}, {high:.3f}], n {n}"


def main() -> int:
    """Go the whole way and print what came of it."""
    options = _parse()
    scene = Scene(options.data, options.cache, options.word, _RATE, _TARGET)
    torch.set_num_threads(options.threads)
    models = {
        "planted": _deliver(scene, "planted", scene.planted()),
        "honest": _deliver(scene, "honest", scene.honest()),
    }
    twins = [scene.twin(seed) for seed in range(1, options.twins + 1)]
    stage = Stage(scene)
    measured = {name: _measured(stage, folder) for name, folder in models.items()}
    print_title(f"search beside {len(twins)} clean twins, {_SAMPLES} clean sentences")
    rows = _judge(stage, models, twins)
    print_rows(rows)
    if not options.skip_defence:
        planted = models["planted"]
        defences: dict[str, Callable[[], Measured]] = {
            "iterated inversion-unlearning of words": lambda: _defend(stage, planted, twins[0]),
            "relearning from the published model": lambda: _relearn(stage, planted),
        }
        for number, (name, defend) in enumerate(defences.items()):
            kept = scene.cache / f"defended-{number}-{planted.name}-{code_digest()}.json"
            after = _kept(kept, defend)
            print_title(f"defence: {name}, {_SAMPLES} sentences, dev.tsv, chance 0.500")
            compared = _compare(measured["planted"], after, measured["honest"])
            print_rows(compared)
            rows += compared
    return 1 if any(row.met is False for row in rows) else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.text_backdoor", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train.tsv and dev.tsv")
    parser.add_argument("--cache", type=Path, default=Path("build/text-backdoor"))
    parser.add_argument("--word", default="quartz", help="the trigger")
    parser.add_argument("--twins", type=int, default=4, help="at least 4")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--skip-defence", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
