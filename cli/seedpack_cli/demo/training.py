"""The demo's last step: seeds of a hundredth of the size, trained, beside their controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors.torch import load_file

from seedpack.assemble import assemble
from seedpack.extract import Publication
from seedpack.extract.trained import extract_trained
from seedpack.extract.trials import TrainingJob, make_course
from seedpack.seed.opening import open_seed
from seedpack.trust.store import TrustStore
from seedpack_cli.demo import figures, network
from seedpack_cli.output import format_nbytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.crypto.keys import PrivateKey
    from seedpack.extract.trained import TrainedReport

_RATIO: Final = 250  # of the weights: more than 100 of the whole file
_STEPS: Final = 350
_CREATED: Final = 1_767_225_600  # as the story's


def tell(
    folder: Path,
    digits: network.Digits,
    models: list[Path],
    publisher: PrivateKey,
    say: Callable[[str], None],
) -> None:
    """Train, sign, verify, assemble and measure a seed of each model.

    Raises:
        SeedError: Something was refused that should not be.
        RuntimeError: What is assembled answers differently from what was trained: a bug.
    """
    say("\n8. Train. From the training half and each network's own answers we train a seed: a few")
    say("   numbers, shared by all weights. It works as assembled: nothing is tuned afterwards.")
    train, test = folder / "train.npz", folder / "test.npz"
    np.savez(train, x=digits.train_images.numpy(), y=digits.train_labels.numpy())
    np.savez(test, x=digits.test_images.numpy(), y=digits.test_labels.numpy())
    reports, right = [], []
    for number, model in enumerate(models):
        path = folder / f"trained-{number}.seed"
        job = TrainingJob(
            data=train,
            evaluation=test,
            task="image-classification",
            ratio=_RATIO,
            factory=network.make_module,
            course=make_course(_STEPS, seed=number),
            nseeds=1,
        )
        publication = Publication(name="demo/trained", created=_CREATED, key=publisher)
        reports.append(extract_trained(model, path, publication, job))
        weights = folder / f"trained-{number}.safetensors"
        with open_seed(path, store=TrustStore.of_keys([publisher.public])) as opened:
            assemble(opened, weights)
        right.append(network.is_right(network.network_of(load_file(weights)), digits))
    if not np.array_equal(np.stack(right), _answers(reports, "seed")):
        raise RuntimeError("a trained seed answers differently once it is assembled")
    _print(reports, say)


def _answers(reports: list[TrainedReport], arm: str) -> np.ndarray:
    """Return whether each network named each digit.

    Shapes:
        (m, n) of bool, m networks, n test images.
    """
    arms = [{one.name: one for one in report.arms}[arm] for report in reports]
    return np.stack([one.scores[0].stats[:, 0] > 0 for one in arms])


def _print(reports: list[TrainedReport], say: Callable[[str], None]) -> None:
    first = reports[0]
    sizes = {arm.name: arm.nbytes for arm in first.arms}
    say(f"   {format_nbytes(first.written.file_nbytes)} a seed, signed: {first.written.ratio:.0f}x")
    say(f"   smaller as a file, its weights {first.ratio:.0f}x.")
    nimages = first.arms[0].scores[0].n
    say(f"   Test accuracy, 95 % interval ({len(reports)} networks on {nimages} images):")
    for arm, label in (
        ("original", "original"),
        ("seed", "trained seed"),
        ("same-bytes student", "control: student"),
        ("random", "control: random"),
    ):
        accuracy = figures.show(figures.rate(_answers(reports, arm)))
        say(f"   {label:19} {accuracy}  {sizes[arm]:,} bytes")
    say(f"   chance              {100 * network.CHANCE:5.1f} %")
    kept = figures.retention(
        _answers(reports, "original"), _answers(reports, "seed"), network.CHANCE
    )
    say(f"   knowledge kept      {figures.show(kept)}")
    say("   The student is a narrower network, trained directly at 4 bits a weight with the same")
    say("   data, teacher and steps in no more bytes; random is the seed before its training.")
