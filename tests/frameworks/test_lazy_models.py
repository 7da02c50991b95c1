"""A model that fetches its layers: the same answers, and nothing unverified on the way."""

from __future__ import annotations

import threading

import pytest
import torch
import transformers

import seedpack
from seedpack.errors import AssemblyError, IntegrityError
from seedpack.frameworks.empty import parameters_on_meta
from seedpack.frameworks.lazy_models import fetch_all
from seedpack.seed.partial import split_seed
from tests.builders import CREATED, NOW, damage, make_key, trusting
from tests.frameworks.models import FAMILIES

KEY = make_key()
IDS = torch.arange(8)[None]


def make(model, path):
    seedpack.extract_seed(model, path, name="acme/m", created=CREATED, key=KEY)
    return path


def opened(path):
    return seedpack.open_seed(path, store=trusting(KEY), now=NOW)


def refused(rule, error, call, *arguments, **options):
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert caught.value.rule == rule


def inputs_of(family):
    torch.manual_seed(0)
    if family == "vit":
        return {"pixel_values": torch.randn(1, 3, 8, 8)}
    return {"input_ids": IDS} | ({"decoder_input_ids": IDS} if family == "t5" else {})


def waiting(model):
    return {name for name, parameter in model.named_parameters() if parameter.is_meta}


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"mixtral"}))
@pytest.mark.spec("ASM-6")
def test_lazy_model_answers_as_the_stock_loader_s(families, family, tmp_path):
    stock = getattr(transformers, FAMILIES[family][0]).from_pretrained(families[family]).eval()
    with opened(make(families[family], tmp_path / "m.seed")) as seed, torch.no_grad():
        model = seedpack.load_model(seed)
        assert waiting(model) == {name for name, _ in model.named_parameters()}
        inputs = inputs_of(family)
        assert torch.equal(model(**inputs)[0], stock(**inputs)[0])
        fetch_all(model)
    state, expected = model.state_dict(), stock.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in state)
    assert {name for name, _ in model.named_parameters()} == {
        name for name, _ in stock.named_parameters()
    }  # what is tied counts once


def test_only_what_is_used_is_fetched(families, tmp_path):
    with opened(make(families["bert"], tmp_path / "m.seed")) as seed:
        model = seedpack.load_model(seed)
        model.bert.embeddings(IDS)
        fetched = {name for name, _ in model.named_parameters()} - waiting(model)
    assert fetched
    assert all(name.startswith("bert.embeddings.") for name in fetched)


@pytest.mark.spec("ASM-6", "CHK-2")
def test_damaged_layer_is_refused_when_its_submodule_runs(families, tmp_path):
    path = make(families["bert"], tmp_path / "m.seed")
    name = "bert.encoder.layer.0.output.dense.weight"
    with opened(path) as seed:
        ((_, (chunk,)),) = seed.layers(name)
        damage(path, seed, chunk.index)
    with opened(path) as seed:
        model = seedpack.load_model(seed)
        model.bert.embeddings(IDS)
        for _ in range(2):
            refused("CHK-2", IntegrityError, model, input_ids=IDS)
            assert name in waiting(model)


@pytest.mark.spec("ASM-6", "PRT-3")
def test_missing_layer_is_refused_when_it_is_looked_at(families, tmp_path):
    path = make(families["bert"], tmp_path / "m.seed")
    with opened(path) as seed:
        split_seed(seed, tmp_path / "part.seed", layers="bert.embeddings.*")
    with opened(tmp_path / "part.seed") as part:
        model = seedpack.load_model(part)
        model.bert.embeddings(IDS)
        refused("PRT-3", IntegrityError, model, input_ids=IDS)
        query = model.bert.encoder.layer[0].attention.self.query
        with pytest.raises(IntegrityError):
            query.weight  # noqa: B018


@pytest.mark.spec("ASM-3", "ASM-6")
def test_nobody_s_seed_and_merged_parameters_are_refused_at_once(families, tmp_path):
    with seedpack.open_unverified(make(families["bert"], tmp_path / "m.seed")) as seed:
        refused("ASM-3", AssemblyError, seedpack.load_model, seed)
        assert waiting(seedpack.load_model(seed, insecure=True))
    with opened(make(families["mixtral"], tmp_path / "x.seed")) as seed:
        refused("ASM-6", AssemblyError, seedpack.load_model, seed)


class Recurrent(torch.nn.Module):
    """Attention by the weights of a submodule that is never called, and a list of weights."""

    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.memory = torch.nn.LSTM(8, 8, batch_first=True)
        self.norm = torch.nn.BatchNorm1d(8)

    def forward(self, x):
        x = self.memory(self.attention(x, x, x)[0])[0]
        return self.norm(x.transpose(1, 2))


def test_module_of_a_factory_fetches_its_layers_too(tmp_path):
    torch.manual_seed(3)
    original = Recurrent().eval()
    original.norm.running_mean.normal_()
    torch.save(original.state_dict(), tmp_path / "m.pt")
    x = torch.randn(2, 5, 8)
    with opened(make(tmp_path / "m.pt", tmp_path / "m.seed")) as seed, torch.no_grad():
        refused("ASM-6", AssemblyError, seedpack.load_model, seed)
        refused("ASM-1", AssemblyError, seedpack.load_model, seed, factory=torch.nn.Identity)
        model = seedpack.load_model(seed, factory=Recurrent)
        assert len(waiting(model)) == len(list(model.parameters()))
        assert torch.equal(model(x), original(x))


@pytest.mark.spec("ASM-6")
def test_ASM_6_buffer_that_was_not_fetched_has_no_values_of_its_own(tmp_path):
    """What ``to`` or ``buffers`` hands out unlooked at must not be the constructor's."""
    torch.save(torch.nn.BatchNorm1d(8).state_dict(), tmp_path / "m.pt")
    with opened(make(tmp_path / "m.pt", tmp_path / "m.seed")) as seed:
        model = seedpack.load_model(seed, factory=lambda: torch.nn.BatchNorm1d(8))
        assert all(buffer.is_meta for buffer in model.buffers())
        with pytest.raises((NotImplementedError, RuntimeError)):
            model.half()(torch.randn(4, 8).half())


def test_threads_may_build_at_once_and_leave_torch_as_it_was():
    """The one that began first ends first: nothing of it may stay behind."""
    register = torch.nn.Module.register_parameter
    first_is_in, second_is_in, first_may_end = (threading.Event() for _ in range(3))
    built = []

    def build_first():
        with parameters_on_meta():
            first_is_in.set()
            first_may_end.wait()

    def build_second():
        with parameters_on_meta():
            second_is_in.set()
            first.join()
            built.append(torch.nn.Linear(2, 2).weight.is_meta)

    first, second = (threading.Thread(target=each) for each in (build_first, build_second))
    first.start()
    first_is_in.wait()
    second.start()
    second_is_in.wait(0.2)  # or it waits for the first
    first_may_end.set()
    second.join()
    assert built == [True]
    assert torch.nn.Module.register_parameter is register


def test_only_parameters_built_inside_lose_their_memory():
    with parameters_on_meta():
        inside = torch.nn.BatchNorm1d(2)
    outside = torch.nn.BatchNorm1d(2)
    assert inside.weight.is_meta
    assert not inside.running_mean.is_meta
    assert not outside.weight.is_meta
