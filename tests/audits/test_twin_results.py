"""What searches found in clean twins is kept, and believed only where it is of these twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seedpack.audits.arms import Arms
from seedpack.audits.twin_results import TwinResults
from seedpack.audits.work import open_split
from seedpack.backdoors.classifiers import ImageClassifier, Samples
from seedpack.backdoors.search.detector import Detector
from seedpack.backdoors.search.images import MaskSearch
from tests.audits import small_network
from tests.audits.worlds import build_world


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    spec = build_world(folder)
    return Arms(spec, open_split(spec), folder / "arms")


@pytest.fixture(scope="module")
def samples(arms):
    train = arms.split.train.take(range(40))
    return Samples(
        torch.tensor(np.stack(train.inputs)), torch.tensor([int(y) for y in train.targets])
    )


def twins():
    found = []
    for seed in range(4):
        torch.manual_seed(seed)
        found.append(ImageClassifier(small_network.make().eval(), 10))
    return found


class Counted(MaskSearch):
    """Counts how often it is run."""

    steps = 3
    runs = 0

    def look(self, *args, **more):
        type(self).runs += 1
        return super().look(*args, **more)


@pytest.fixture(autouse=True)
def _fresh(arms):
    Counted.runs = 0
    for path in arms.folder.glob("searches-*"):
        path.unlink()


def fit(arms, samples, models, *, start="", seed=0):
    keep = TwinResults(arms, start, [Counted()], samples, seed)
    return Detector.fit([Counted()], models, samples, seed=seed, keep=keep)


@pytest.mark.spec("AUD-3")
def test_twins_are_searched_once_and_judged_as_if_they_were_searched_anew(arms, samples):
    plain = Detector.fit([Counted()], twins(), samples, seed=0)
    Counted.runs = 0
    first, again = (fit(arms, samples, twins()) for _ in range(2))
    assert Counted.runs == 4
    for detector in (first, again):
        assert [j.verdicts[0].by_key for j in detector.clean] == [
            j.verdicts[0].by_key for j in plain.clean
        ]


@pytest.mark.spec("AUD-3")
@pytest.mark.parametrize("changed", ["twin", "samples", "start", "seed"])
def test_of_other_twins_samples_starts_or_seeds_nothing_is_taken(arms, samples, changed):
    fit(arms, samples, twins())
    models, more = twins(), {}
    if changed == "twin":
        with torch.no_grad():
            next(models[3].module.parameters())[0] += 1e-6  # left alone by the searches of all
    elif changed == "samples":
        samples = samples.take(range(39))
    else:
        more = {changed: "elsewhere" if changed == "start" else 1}
    fit(arms, samples, models, **more)
    assert Counted.runs == 8


@pytest.mark.spec("AUD-9")
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'[{"search":"mask"}]'])
def test_kept_results_that_are_none_are_searched_anew(arms, samples, content):
    first = fit(arms, samples, twins())
    for path in arms.folder.glob("searches-*"):
        path.write_bytes(content)
    again = fit(arms, samples, twins())
    assert Counted.runs == 8
    assert again.found == first.found


@pytest.mark.spec("AUD-9")
def test_kept_results_of_another_search_are_searched_anew(arms, samples):
    fit(arms, samples, twins())
    for path in arms.folder.glob("searches-*"):
        path.write_bytes(path.read_bytes().replace(b'"mask"', b'"added"'))
    fit(arms, samples, twins())
    assert Counted.runs == 8
