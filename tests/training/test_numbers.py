"""Weights that are few trained numbers: budget, virtual weights, training, checkpoints."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from seedpack.codecs.registry import TRAINED_IDS
from seedpack.dtypes import DTYPES
from seedpack.errors import ExtractError, TrainingError
from seedpack.frameworks.sources import TensorInfo
from seedpack.training.numbers.augmenting import augment_images, is_image_batch
from seedpack.training.numbers.budget import make_budget, make_plain
from seedpack.training.numbers.checkpoints import Checkpoints
from seedpack.training.numbers.distilling import Course, distil, draw_batch
from seedpack.training.numbers.virtual import VirtualModel
from tests.codecs.laws import decode, layer_for

import numpy as np  # isort: skip -- after the module that may be missing


EACH_CODEC = pytest.mark.parametrize("codec", sorted(TRAINED_IDS))


def make_module(dtype=torch.float32):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(12, 40), nn.LayerNorm(40), nn.ReLU(), nn.Linear(40, 3))
    return layers.to(dtype)


def infos_of(module):
    return [
        TensorInfo(name, DTYPES[str(value.dtype).removeprefix("torch.")], tuple(value.shape))
        for name, value in module.state_dict().items()
    ]


def names_of(module):
    return frozenset(name for name, _ in module.named_parameters())


def virtual(ratio=20.0, module=None, seed=0, codec="hash"):
    module = module or make_module()
    budget = make_budget(infos_of(module), names_of(module), ratio)
    return VirtualModel(module, budget, seed=seed, codec=codec), budget


def blobs(n=200):
    random = np.random.default_rng(0)
    labels = random.integers(3, size=n)
    centres = random.normal(size=(3, 12))
    inputs = centres[labels] + 0.7 * random.normal(size=(n, 12))
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


# ---------------------------------------------------------------- budget


@pytest.mark.spec("TRS-2")
@pytest.mark.parametrize("ratio", [6, 10, 25, 60, 100, 400])
def test_the_bytes_asked_for_are_hit_and_not_exceeded(ratio):
    infos = [
        TensorInfo("a", DTYPES["float32"], (64, 300)),
        TensorInfo("b", DTYPES["float32"], (64,)),
        TensorInfo("c", DTYPES["float32"], (10, 64)),
    ]
    budget = make_budget(infos, frozenset("abc"), ratio)
    raw = 4 * (64 * 300 + 64 + 640)
    assert budget.nbytes <= raw / ratio
    assert budget.nbytes >= 0.98 * raw / ratio - 4
    assert budget.ratio >= ratio


@pytest.mark.spec("TRS-2")
@pytest.mark.parametrize("ratio", [1, 3, 100_000])
def test_a_ratio_out_of_reach_is_refused_with_the_range(ratio):
    with pytest.raises(ExtractError, match=r"can be trained at 5\.\d to \d+") as caught:
        virtual(ratio)
    assert caught.value.rule == "TRS-2"


def test_bits_are_few_where_bytes_are():
    bits = [virtual(ratio)[1].shares[0].bits for ratio in (6, 12, 60)]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] == 1


def test_buffers_are_stored_as_they_are():
    module = nn.Sequential(nn.Linear(12, 40), nn.BatchNorm1d(40))
    budget = make_budget(infos_of(module), names_of(module), 5)
    assert {share.info.name for share in budget.shares} == names_of(module)
    assert budget.fixed_nbytes == 2 * 160 + 8


def test_large_tensors_have_several_chunks():
    infos = [TensorInfo("a", DTYPES["float32"], (1024, 700))]
    budget = make_budget(infos, frozenset("a"), 1000)
    assert len(budget.shares[0].code_nbytes) == 3
    assert budget.nbytes <= 4 * 1024 * 700 / 1000


# ---------------------------------------------------------------- virtual weights


@pytest.mark.spec("TRS-3")
@pytest.mark.parametrize("ratio", [6, 12, 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@EACH_CODEC
def test_stored_weights_decode_to_the_bits_that_were_trained(codec, ratio, dtype):
    module = make_module(dtype)
    ratio = ratio if dtype is torch.float32 else ratio / 2 + 2
    model, budget = virtual(ratio, module, codec=codec)
    for number in model.parameters():
        number.data += 0.01 * torch.randn(number.shape, generator=torch.Generator().manual_seed(1))
    weights = model.weights()
    for share in budget.shares:
        encoded = model.export()[share.info.name]
        assert encoded.codec == codec
        layer = layer_for(encoded, share.info.dtype, share.info.shape, finite=True)
        decoded = decode(layer, encoded.chunks)
        trained = weights[share.info.name].detach().contiguous().view(-1)
        assert decoded.tobytes() == trained.view(torch.uint8).numpy().tobytes()


@pytest.mark.spec("TRS-3")
def test_a_plain_student_decodes_to_the_bits_that_were_trained():
    module = make_module()
    budget = make_plain(infos_of(module), names_of(module), 4)
    model = VirtualModel(module, budget, seed=3)
    for share in budget.shares:
        encoded = model.export()[share.info.name]
        layer = layer_for(encoded, share.info.dtype, share.info.shape, finite=True)
        weights = model.weights()[share.info.name].detach().numpy()
        assert decode(layer, encoded.chunks).tobytes() == weights.tobytes()
    stored = sum(one.stored_nbytes + 1 for one in model.export().values())
    assert stored <= budget.nbytes


def test_vectors_become_what_they_were_nearer_to():
    weights = virtual()[0].weights()
    assert (weights["1.weight"] == 1).all()
    assert (weights["1.bias"] == 0).all()
    assert (weights["0.bias"] == 0).all()


@EACH_CODEC
def test_every_number_gets_a_gradient(codec):
    model, _ = virtual(codec=codec)
    inputs, labels = blobs()
    nn.functional.cross_entropy(model(inputs), labels).backward()
    for number in model.parameters():
        assert number.grad is not None
        assert number.grad.abs().sum() > 0


def test_another_seed_is_another_network():
    first, second = (virtual(seed=seed)[0].weights()["0.weight"] for seed in (0, 1))
    assert abs(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]) < 0.2


def test_the_original_is_left_as_it_is():
    module = make_module()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    model, _ = virtual(module=module)
    distil(model, module, *blobs(), Course(steps=3, batch=8))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


@EACH_CODEC
def test_the_gradient_is_that_of_unrounded_numbers(codec):
    chunk = virtual(8, codec=codec)[0].tensors[0].chunks[0]
    assert chunk.bits > 1
    weights = torch.randn(chunk.units.shape, generator=torch.Generator().manual_seed(0))
    (chunk() * weights).sum().backward()
    _, step = (float(field.detach()) for field in chunk.stored_fields())
    sums = chunk.mixing.gather(weights.numpy().astype(float))
    inside = (chunk.numbers * chunk.deviation / (step * chunk.gain)).abs() <= 1 << chunk.bits
    expected = torch.tensor(sums) * chunk.deviation / chunk.gain * inside
    assert torch.allclose(chunk.numbers.grad.double(), expected, rtol=1e-3, atol=1e-6)


@EACH_CODEC
def test_an_untrained_network_has_weights_of_the_usual_size(codec):
    module = nn.Sequential(nn.Linear(100, 300, bias=False))
    weights = virtual(40, module, codec=codec)[0].weights()["0.weight"]
    assert 0.9 < weights.std() * 10 < 1.3


def test_a_codec_without_numbers_is_a_wrong_call():
    with pytest.raises(ValueError, match="no numbers"):
        virtual(codec="ecq")


# ---------------------------------------------------------------- training


@EACH_CODEC
def test_training_makes_the_model_answer(codec):
    inputs, labels = blobs()
    teacher = make_module()
    distil(teacher, None, inputs, labels, Course(steps=150, rate=0.01))
    model, _ = virtual(40, teacher.eval(), codec=codec)
    before = (model(inputs).argmax(1) == labels).float().mean()
    distil(model, teacher, inputs, labels, Course(steps=150))
    after = (model(inputs).argmax(1) == labels).float().mean()
    assert after > 0.9
    assert after > before + 0.2


def test_numbers_can_be_predicted_too():
    inputs, _ = blobs()
    wanted = inputs[:, 0] - inputs[:, 1]
    module = nn.Sequential(nn.Linear(12, 60), nn.ReLU(), nn.Linear(60, 1))
    distil(module, None, inputs, wanted, Course(steps=200, rate=0.01))
    model, _ = virtual(20, module.eval())
    distil(model, module, inputs, wanted, Course(steps=200))
    error = nn.functional.mse_loss(model(inputs).reshape(-1), wanted)
    assert error < wanted.var() / 2


@pytest.mark.spec("TRS-4")
def test_a_resumed_training_gives_the_same_bits(tmp_path):
    inputs, labels = blobs()
    course = Course(steps=12, batch=8)
    whole, _ = virtual()
    distil(whole, whole._module[0], inputs, labels, course)

    def stop(step, steps):
        if step == 7:
            raise KeyboardInterrupt

    path = tmp_path / "c"
    first, _ = virtual()
    with pytest.raises(KeyboardInterrupt):
        distil(
            first, first._module[0], inputs, labels, course,
            checkpoints=Checkpoints(path, "x", every=5), progress=stop,
        )  # fmt: skip
    seen = []
    second, _ = virtual()
    distil(
        second, second._module[0], inputs, labels, course,
        checkpoints=Checkpoints(path, "x", every=5), progress=lambda step, _: seen.append(step),
    )  # fmt: skip
    assert seen == list(range(6, 13))
    assert second.export() == whole.export()
    pairs = zip(second.parameters(), whole.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.spec("TRS-4")
def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    inputs, labels = blobs()
    path = tmp_path / "c"
    model, _ = virtual()
    course = Course(steps=2, batch=8)
    distil(model, None, inputs, labels, course, checkpoints=Checkpoints(path, "x", every=1))
    other, _ = virtual()
    for identity, data in (("y", path.read_bytes()), ("x", b"no safetensors"), ("x", b"")):
        path.write_bytes(data)
        with pytest.raises(TrainingError) as caught:
            distil(other, None, inputs, labels, course, checkpoints=Checkpoints(path, identity))
        assert caught.value.rule == "TRS-4"


def test_batches_are_a_function_of_seed_and_step():
    images, labels = torch.rand(30, 1, 8, 8), torch.arange(30)
    course = Course(batch=5)
    first, second = (draw_batch(images, labels, course, 3) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[0], draw_batch(images, labels, course, 4)[0])


def test_images_are_moved_a_little_and_nothing_else_is():
    images = torch.rand(50, 1, 8, 8)
    moved = augment_images(images, np.random.default_rng(0))
    same = (moved == images).flatten(1).all(1)
    assert 5 <= same.sum() <= 25
    assert is_image_batch(images)
    assert not is_image_batch(torch.zeros(50, 12))
    assert not is_image_batch(torch.zeros(50, 1, 2, 8))
