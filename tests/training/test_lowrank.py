"""Low-rank updates, trained as integers: what is measured is what is stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from seedpack.codecs import make_decoder
from seedpack.codecs.delta.encoding import Origin
from seedpack.container.manifest import Chunk, Layer
from seedpack.dtypes import DTYPES
from seedpack.frameworks.bases import ModelBase
from seedpack.training.lowrank import LowRankTuning


def make_model():
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 24), torch.nn.Linear(24, 1)
    )


def train(model, tuning, steps=60):
    torch.manual_seed(4)
    x = torch.randn(200, 20)
    y = (x[:, :1] * x[:, 1:2]).sign()
    optimizer = torch.optim.Adam(tuning.parameters, lr=3e-3)
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("bits", [4, 8])
def test_a_reader_decodes_the_weights_that_training_leaves(tmp_path, bits):
    model = make_model()
    save_file(model.state_dict(), tmp_path / "base.safetensors")
    base = ModelBase(tmp_path / "base.safetensors")
    tuning = LowRankTuning(model, rank=2, bits=bits, seed=7)
    losses = train(model, tuning)
    assert losses[-1] < losses[0]
    encoded = tuning.finish(Origin())
    state = model.state_dict()
    assert sorted(encoded) == ["0.weight", "2.weight"]  # rank 2 of 1 x 24 saves nothing
    for name, layer in encoded.items():
        record = Layer(
            chunks=[Chunk(len(chunk), bytes(32)) for chunk in layer.chunks],
            codec="delta",
            digest=bytes(32),
            dtype="float32",
            finite=True,
            name=name,
            params=layer.params,
            shape=list(state[name].shape),
        )
        decoder = make_decoder(record, DTYPES["float32"], base)
        for index, chunk in enumerate(layer.chunks):
            decoder.decode_chunk(index, memoryview(chunk))
        assert decoder.finish().tobytes() == state[name].numpy().tobytes()
        assert (decoder.finish() != base.read(name)).any()


def test_what_is_trained_is_nearly_what_is_left():
    model = make_model()
    tuning = LowRankTuning(model, rank=2, seed=7)
    train(model, tuning)
    x = torch.randn(50, 20)
    during = model(x).detach()
    tuning.finish(Origin())
    assert torch.allclose(model(x), during, atol=1e-5)


def test_only_the_left_factors_are_trained_and_stored():
    model = make_model()
    tuning = LowRankTuning(model, rank=2, seed=7)
    trained = {id(parameter) for parameter in tuning.parameters}
    assert {id(p) for p in model.parameters() if p.requires_grad} == trained
    train(model, tuning, steps=3)
    encoded = tuning.finish(Origin(skip=2, prefix="bert."))
    assert encoded["0.weight"].stored_nbytes <= 2 * 30 / 2  # two ranks of 30 rows, 4 bits each
    assert encoded["0.weight"].params["skip"] == 2
    assert encoded["0.weight"].params["prefix"] == "bert."


def test_without_a_step_nothing_differs_and_nothing_is_stored():
    model = make_model()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    tuning = LowRankTuning(model, rank=2, seed=7)
    x = torch.randn(5, 20)
    assert torch.equal(model(x), make_model()(x))
    assert tuning.finish(Origin()) == {}
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())


def test_layers_draw_different_signs_and_seeds_do_too():
    drawn = []
    for seed in (1, 2):
        tuning = LowRankTuning(make_model(), rank=2, seed=seed)
        drawn += [place.update.right.numpy()[:, :20] for place in tuning._places]
    for number, signs in enumerate(drawn):
        assert set(np.unique(signs)) == {-1.0, 1.0}
        assert all((signs != other).any() for other in drawn[number + 1 :])
