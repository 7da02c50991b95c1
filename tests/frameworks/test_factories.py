"""Plain torch modules: the function is the user's, the tensors must be the module's own."""

from __future__ import annotations

import pytest
import torch

from seedpack.errors import AssemblyError, ExtractError
from seedpack.frameworks import open_model
from seedpack.frameworks.factories import build_module, load_factory, make_module


class Tied(torch.nn.Module):
    """Two names for one parameter, a lasting buffer, and one that is not saved."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(4, 4)
        self.b = torch.nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.norm = torch.nn.BatchNorm1d(4)
        self.register_buffer("scratch", torch.zeros(3), persistent=False)

    def forward(self, x):
        return self.norm(self.b(self.a(x)))


def make_tied():
    return Tied()


def fail():
    raise RuntimeError("no such luck")


def make_list():
    return [1]


def make_meta():
    with torch.device("meta"):
        return Tied()


NOT_CALLABLE = 3


def save(path, module, change=lambda _: None):
    state = dict(module.state_dict())
    change(state)
    torch.save(state, path)
    return open_model(path)


def refused(rule, call, *arguments):
    with pytest.raises(AssemblyError) as caught:
        call(*arguments)
    assert caught.value.rule == rule
    return caught.value


@pytest.fixture
def source(tmp_path):
    torch.manual_seed(1)
    module = Tied()
    module.norm.running_mean.normal_()
    return module, save(tmp_path / "m.pt", module)


@pytest.mark.spec("ASM-5")
def test_named_function_builds_the_module_that_was_saved(source):
    original, weights = source
    built = build_module(load_factory(f"{__name__}:make_tied"), weights)
    assert not built.training
    assert built.b.weight is built.a.weight
    x = torch.randn(5, 4)
    assert torch.equal(built(x), original.eval()(x))


def test_function_may_stand_in_a_file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from __future__ import annotations\nimport dataclasses\nimport torch\n\n"
        "@dataclasses.dataclass\nclass Size:\n    n: int = 3\n\n"
        "def build():\n    return torch.nn.Linear(Size().n, 2)\n"
    )
    assert make_module(load_factory(f"{path}:build")).weight.shape == (2, 3)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "torch",
        "torch:",
        ":f",
        "no.such.module.anywhere:f",
        "not a module:f",
        "torch:no_such_function",
        "missing.py:f",
        f"{__name__}:NOT_CALLABLE",
        f"{__name__}:make_tied()",
    ],
)
@pytest.mark.spec("ASM-5")
def test_what_names_no_function_is_refused(name):
    refused("ASM-5", load_factory, name)


def test_file_that_fails_to_run_is_refused_with_its_reason(tmp_path):
    for text in ("1 / 0", "def f(:"):
        path = tmp_path / "bad.py"
        path.write_text(text)
        assert "Error" in refused("ASM-5", load_factory, f"{path}:f").message


@pytest.mark.parametrize("factory", [fail, make_list, make_meta])
@pytest.mark.spec("ASM-5")
def test_function_that_gives_no_module_is_refused(factory):
    assert factory.__name__ in refused("ASM-5", make_module, factory).where


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        (lambda s: s.pop("a.bias"), "a.bias"),
        (lambda s: s.update({"c.bias": torch.zeros(4)}), "c.bias"),
        (lambda s: s.update({"a.bias": torch.zeros(5)}), "a.bias"),
        (lambda s: s.update({"a.bias": torch.zeros(4, dtype=torch.int32)}), "a.bias"),
        (lambda s: s.update({"scratch": torch.zeros(3)}), "scratch"),
        (lambda s: (s.pop("a.weight"), s.pop("b.weight")), "a.weight"),
    ],
)
@pytest.mark.spec("ASM-1")
def test_tensors_of_another_module_are_refused_before_any_is_read(tmp_path, change, parameter):
    weights = save(tmp_path / "m.pt", Tied(), change)
    object.__setattr__(weights.weights, "tensors", lambda: pytest.fail("was read"))
    assert parameter in refused("ASM-1", build_module, Tied, weights).where


def test_one_name_of_a_tied_parameter_is_enough_and_two_must_agree(tmp_path):
    module = Tied()
    one = save(tmp_path / "one.pt", module, lambda s: s.pop("b.weight"))
    built = build_module(Tied, one)
    assert torch.equal(built.b.weight, module.a.weight)
    two = save(tmp_path / "two.pt", module, lambda s: s.update({"b.weight": torch.ones(4, 4)}))
    assert "tied" in refused("ASM-1", build_module, Tied, two).message


def test_values_take_the_dtype_of_the_module(tmp_path):
    module = Tied().half()
    built = build_module(Tied, save(tmp_path / "m.pt", module))
    assert built.a.weight.dtype == torch.float32
    assert torch.equal(built.a.weight, module.a.weight.float())


@pytest.mark.spec("EXT-10", "ASM-5")
def test_extraction_holds_a_weights_file_to_the_factory(tmp_path, families):
    path = tmp_path / "m.pt"
    torch.save(Tied().state_dict(), path)
    assert open_model(path, factory=f"{__name__}:make_tied").architecture is None
    for model, factory in [
        (path, "torch.nn:Identity"),
        (path, f"{__name__}:fail"),
        (path, "no name"),
        (families["bert"], f"{__name__}:make_tied"),
    ]:
        with pytest.raises(ExtractError) as caught:
            open_model(model, factory=factory)
        assert caught.value.rule == "EXT-10"
