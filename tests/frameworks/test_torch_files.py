"""State dicts: everything that is tensors comes in, nothing that is code does."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
import torch

from seedpack.errors import ExtractError
from seedpack.frameworks import open_model


def save(path, value, **options):
    torch.save(value, path, **options)
    return path


def refused(path, rule):
    with pytest.raises(ExtractError) as caught:
        list(open_model(path).tensors())
    assert caught.value.rule == rule
    return caught.value


def contents(path):
    return {t.name: (t.dtype.name, t.shape, bytes(t.data)) for t in open_model(path).tensors()}


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin"])
@pytest.mark.parametrize("new_format", [True, False])
def test_state_dict_comes_in_bit_for_bit(tmp_path, ending, new_format):
    state = {
        "w": torch.arange(6, dtype=torch.float32).reshape(2, 3).t(),  # not contiguous
        "b": torch.tensor([1.5, -2], dtype=torch.bfloat16),
        "n": torch.tensor(3),
        "e": torch.empty(0, 4),
    }
    path = save(tmp_path / f"m{ending}", state, _use_new_zipfile_serialization=new_format)
    assert contents(path) == {
        "w": ("float32", (3, 2), torch.tensor([[0, 3], [1, 4], [2, 5.0]]).numpy().tobytes()),
        "b": ("bfloat16", (2,), b"\xc0\x3f\x00\xc0"),
        "n": ("int64", (), (3).to_bytes(8, "little")),
        "e": ("float32", (0, 4), b""),
    }
    assert [info.name for info in open_model(path).infos()] == list(state)


def test_float8_comes_in_bit_for_bit(tmp_path):
    state = {"q": torch.tensor([1.0], dtype=torch.float8_e4m3fn)}
    assert contents(save(tmp_path / "m.pt", state)) == {"q": ("float8_e4m3fn", (1,), b"\x38")}


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_wrapped_state_dict_is_found_and_the_rest_reported(tmp_path, key):
    path = save(tmp_path / "m.pt", {"epoch": 3, key: {"a": torch.ones(1)}, "optimizer": {}})
    source = open_model(path)
    assert [info.name for info in source.infos()] == ["a"]
    assert [item.name for item in source.left_out] == ["epoch", "optimizer"]


def test_nested_dicts_are_joined_and_other_values_reported(tmp_path):
    path = save(tmp_path / "m.pt", {"net": {"a": torch.ones(1), "steps": 7}, "lr": 0.1})
    source = open_model(path)
    assert [info.name for info in source.infos()] == ["net.a"]
    assert [item.name for item in source.left_out] == ["net.steps", "lr"]


def test_tied_tensors_become_layers_of_their_own(tmp_path):
    tensor = torch.arange(4.0)
    path = save(tmp_path / "m.pt", {"a": tensor, "b": tensor, "part": tensor[1:3]})
    found = contents(path)
    assert found["a"] == found["b"]
    assert found["part"][2] == tensor[1:3].numpy().tobytes()


class _Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.spec("EXT-5")
@pytest.mark.parametrize("as_zip", [True, False])
def test_EXT_5_pickle_that_would_run_a_command_is_refused_and_runs_nothing(tmp_path, as_zip):
    value = {"a": torch.ones(1), "b": _Hostile(f"touch {tmp_path}/ran")}
    if as_zip:
        path = save(tmp_path / "m.pt", value)
    else:
        path = tmp_path / "m.pt"
        path.write_bytes(pickle.dumps(value))
    error = refused(path, "EXT-5")
    assert "weights_only=False" not in str(error)
    assert not (tmp_path / "ran").exists()


@pytest.mark.spec("EXT-5")
@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04", b"no pickle at all", bytes(99)])
def test_EXT_5_broken_files_are_refused(tmp_path, content):
    path = tmp_path / "m.pt"
    path.write_bytes(content)
    refused(path, "EXT-5")


@pytest.mark.spec("EXT-5")
def test_EXT_5_every_truncation_is_refused(tmp_path):
    data = save(tmp_path / "m.pt", {"a": torch.ones(1)}).read_bytes()
    path = tmp_path / "cut.pt"
    for end in range(0, len(data), 37):
        path.write_bytes(data[:end])
        refused(path, "EXT-5")


@pytest.mark.spec("EXT-5")
@pytest.mark.parametrize("value", [torch.ones(2), [torch.ones(2)], 7])
def test_EXT_5_other_values_than_mappings_are_refused(tmp_path, value):
    refused(save(tmp_path / "m.pt", value), "EXT-5")


@pytest.mark.spec("EXT-3")
def test_EXT_3_state_dict_without_tensors_is_refused(tmp_path):
    refused(save(tmp_path / "m.pt", {"lr": 0.1}), "EXT-3")


@pytest.mark.spec("EXT-6")
@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, dtype=torch.complex64),
        torch.eye(3).to_sparse(),
        torch.empty(2, device="meta"),
    ],
    ids=["complex", "sparse", "meta"],
)
def test_EXT_6_tensors_without_a_place_in_a_seed_are_refused(tmp_path, tensor):
    refused(save(tmp_path / "m.pt", {"a": tensor}), "EXT-6")


@pytest.mark.spec("EXT-7")
@pytest.mark.parametrize("name", ["a b", "a/b", ""])
def test_EXT_7_names_that_no_layer_can_have_are_refused(tmp_path, name):
    refused(save(tmp_path / "m.pt", {name: torch.ones(1)}), "EXT-7")


@pytest.mark.spec("EXT-7")
@pytest.mark.parametrize(
    "state",
    [
        {"a.b": torch.ones(1), "a": {"b": torch.ones(1)}},
        {1: torch.ones(1), "1": torch.ones(1)},
    ],
    ids=["nested", "number"],
)
def test_EXT_7_two_ways_to_one_name_are_refused(tmp_path, state):
    refused(save(tmp_path / "m.pt", state), "EXT-7")


@pytest.mark.spec("EXT-8")
def test_EXT_8_view_that_unfolds_a_small_storage_is_refused(tmp_path):
    refused(save(tmp_path / "m.pt", {"a": torch.ones(1).expand(2**30)}), "EXT-8")


@pytest.mark.spec("EXT-12")
def test_EXT_12_state_dict_without_torch_names_the_package(tmp_path):
    path = save(tmp_path / "m.pt", {"a": torch.ones(1)})
    program = f"""
import sys
from importlib.abc import MetaPathFinder
class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Absent())
from pathlib import Path
from seedpack.errors import ExtractError
from seedpack.frameworks import open_model
try:
    open_model(Path({str(path)!r}))
except ExtractError as error:
    print(error.rule, error.message, error.hint)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("EXT-12 needs the package torch pip install")
