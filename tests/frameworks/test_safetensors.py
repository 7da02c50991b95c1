"""What the safetensors library reads, we read; what we write, it reads."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.dtypes import DTYPES
from seedpack.errors import ExtractError, IntegrityError
from seedpack.frameworks import NamedTensor, TensorInfo, open_model
from seedpack.frameworks.safetensors_files import CODES, SafetensorsWeights
from seedpack.frameworks.safetensors_writer import write_safetensors
from seedpack.frameworks.torch_files import bytes_of, tensor_from_bytes
from tests.frameworks.models import write_safetensors_by_hand

shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@st.composite
def tensor_lists(draw):
    names = draw(
        st.lists(st.from_regex(r"\A[A-Za-z0-9_][a-z0-9_.:-]{0,9}\Z"), unique=True, max_size=6)
    )
    tensors = []
    for name in names:
        info = TensorInfo(name, DTYPES[draw(st.sampled_from(sorted(CODES)))], draw(shapes))
        # Zero and one are the only bytes that are a bool.
        limit = 1 if info.dtype.name == "bool" else 255
        data = draw(st.lists(st.integers(0, limit), min_size=info.nbytes, max_size=info.nbytes))
        tensors.append(NamedTensor(*info, bytes(data)))
    return tensors


def written(tensors):
    file = io.BytesIO()
    nbytes = write_safetensors(file, [TensorInfo(*t[:3]) for t in tensors], tensors)
    assert nbytes == len(file.getvalue())
    return file.getvalue()


@given(tensor_lists())
def test_torch_loads_exactly_what_was_written(tensors):
    loaded = safetensors.torch.load(written(tensors))
    assert loaded.keys() == {t.name for t in tensors}
    for tensor in tensors:
        value = loaded[tensor.name]
        assert str(value.dtype) == f"torch.{tensor.dtype.name}"
        assert tuple(value.shape) == tensor.shape
        assert bytes_of(value) == tensor.data


@given(tensor_lists().filter(bool))
def test_reading_inverts_writing(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("s") / "a.safetensors"
    path.write_bytes(written(tensors))
    back = {t.name: t for t in open_model(path).tensors()}
    assert back == {t.name: t for t in tensors}


@given(tensor_lists())
def test_every_tensor_is_aligned_to_its_itemsize(tensors):
    data = written(tensors)
    header_nbytes = int.from_bytes(data[:8], "little")
    assert header_nbytes % 8 == 0
    header = json.loads(data[8 : 8 + header_nbytes])
    for tensor in tensors:
        assert header[tensor.name]["data_offsets"][0] % tensor.dtype.itemsize == 0


def test_writer_takes_tensors_in_any_order():
    a = NamedTensor("a", DTYPES["uint8"], (2,), b"ab")
    b = NamedTensor("b", DTYPES["uint16"], (1,), b"cd")
    infos = [TensorInfo(*t[:3]) for t in (a, b)]
    files = [io.BytesIO(), io.BytesIO()]
    write_safetensors(files[0], infos, [a, b])
    write_safetensors(files[1], infos, [b, a])
    assert files[0].getvalue() == files[1].getvalue()
    assert files[0].getvalue().endswith(b"cdab")


@pytest.mark.parametrize("given_", [[], [NamedTensor("a", DTYPES["uint8"], (1,), b"x")]])
def test_writer_refuses_tensors_that_were_not_announced(given_):
    with pytest.raises(ValueError, match=r"never given|not as announced"):
        write_safetensors(io.BytesIO(), [TensorInfo("a", DTYPES["uint8"], (2,))], given_)


def test_file_of_the_library_comes_out_the_same(tmp_path):
    state = {
        "half": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3),
        "byte": torch.tensor([1, 2, 3], dtype=torch.uint8),
        "wide": torch.tensor(7, dtype=torch.int64),
    }
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(state, path, metadata={"format": "pt"})
    assert written(list(open_model(path).tensors())) == path.read_bytes()


def test_real_model_comes_out_the_same(minilm, tmp_path):
    source = SafetensorsWeights(minilm / "model.safetensors")
    path = tmp_path / "b.safetensors"
    with path.open("wb") as file:
        write_safetensors(file, source.infos(), source.tensors())
    assert path.read_bytes() == (minilm / "model.safetensors").read_bytes()


def test_links_to_models_are_followed(tmp_path):
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").symlink_to("a.safetensors")
    assert [t.name for t in open_model(tmp_path / "b.safetensors").tensors()] == ["a"]


def test_tensors_outlive_the_next_one(tmp_path):
    state = {"a": torch.zeros(4, dtype=torch.uint8), "b": torch.ones(4, dtype=torch.uint8)}
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    first, second = open_model(tmp_path / "a.safetensors").tensors()
    assert (bytes(first.data), bytes(second.data)) == (bytes(4), b"\1\1\1\1")
    assert first.data.readonly


def test_file_cut_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(100)}, path)
    source = open_model(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError) as caught:
        list(source.tensors())
    assert caught.value.rule == "FIL-2"


def test_reading_and_writing_need_no_torch(tmp_path):
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    program = f"""
import sys
sys.modules["torch"] = sys.modules["transformers"] = None  # importing them raises
from pathlib import Path
from seedpack.frameworks import open_model
from seedpack.frameworks.safetensors_writer import write_safetensors
source = open_model(Path({str(tmp_path)!r}) / "a.safetensors")
with open({str(tmp_path / "b")!r}, "wb") as file:
    write_safetensors(file, source.infos(), source.tensors())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert safetensors.torch.load_file(tmp_path / "b")["a"].tolist() == [1, 1]


def entry(dtype="U8", shape=(1,), offsets=(0, 1)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.spec("EXT-4")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        b"\x02" + bytes(7) + b"{}trailing",
        b"\x02" + bytes(7) + b"[]",
    ],
)
def test_EXT_4_unsound_files_are_refused(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ExtractError) as caught:
        open_model(path)
    assert caught.value.rule == "EXT-4"


@given(st.binary(max_size=64))
def test_any_bytes_give_a_source_or_a_refusal(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(ExtractError):
        open_model(path)


@given(st.data())
def test_any_header_gives_a_source_or_a_refusal(tmp_path_factory, data):
    values = st.recursive(
        st.none() | st.integers(-2, 9) | st.sampled_from(["U8", "F32", "a"]),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    )
    keys = st.sampled_from(["dtype", "shape", "data_offsets", "x"])
    header = data.draw(
        st.dictionaries(st.sampled_from(["a", "b", "/", ""]), st.dictionaries(keys, values))
    )
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    write_safetensors_by_hand(path, header, b"x" * 8)
    with contextlib.suppress(ExtractError):
        list(open_model(path).tensors())


@pytest.mark.spec("EXT-7")
def test_EXT_7_duplicate_names_are_refused_though_the_library_accepts_them(tmp_path):
    one, two = json.dumps(entry()), json.dumps(entry())
    header = f'{{"a":{one},"a":{two}}}'.encode()
    path = write_safetensors_by_hand(tmp_path / "a.safetensors", header, b"x")
    with safetensors.safe_open(path, framework="numpy") as file:
        assert list(file.keys()) == ["a"]
    with pytest.raises(ExtractError) as caught:
        open_model(path)
    assert caught.value.rule == "EXT-7"


@pytest.mark.spec("EXT-7")
@pytest.mark.parametrize("name", ["", "a b", "../a", "a\n", "ä", "-a", "a" * 256])
def test_EXT_7_names_that_no_layer_can_have_are_refused(tmp_path, name):
    path = write_safetensors_by_hand(tmp_path / "a.safetensors", {name: entry()}, b"x")
    with pytest.raises(ExtractError) as caught:
        open_model(path)
    assert caught.value.rule == "EXT-7"


@pytest.mark.spec("EXT-7")
def test_EXT_7_longest_name_is_accepted(tmp_path):
    path = write_safetensors_by_hand(tmp_path / "a.safetensors", {"a" * 255: entry()}, b"x")
    assert open_model(path).infos()[0].name == "a" * 255


@pytest.mark.spec("EXT-6")
@pytest.mark.parametrize(
    "code, nbytes", [("F8_E8M0", 1), ("C64", 8), ("F4", 1), ("F8_E4M3FNUZ", 1)]
)
def test_EXT_6_dtypes_without_a_place_in_a_seed_are_refused(tmp_path, code, nbytes):
    shape = (2,) if code == "F4" else (1,)
    header = {"a": entry(code, shape, (0, nbytes))}
    path = write_safetensors_by_hand(tmp_path / "a.safetensors", header, bytes(nbytes))
    with pytest.raises(ExtractError) as caught:
        open_model(path)
    assert caught.value.rule == "EXT-6"


@pytest.mark.spec("EXT-8")
def test_EXT_8_nine_dimensions_are_refused_and_eight_accepted(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors_by_hand(path, {"a": entry(shape=[1] * 8)}, b"x")
    assert open_model(path).infos()[0].shape == (1,) * 8
    write_safetensors_by_hand(path, {"a": entry(shape=[1] * 9)}, b"x")
    with pytest.raises(ExtractError) as caught:
        open_model(path)
    assert caught.value.rule == "EXT-8"


@pytest.mark.spec("EXT-8")
def test_EXT_8_empty_tensors_of_huge_shape_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors_by_hand(path, {"a": entry(shape=[0, 2**40], offsets=(0, 0))})
    assert open_model(path).infos()[0].nbytes == 0
    write_safetensors_by_hand(path, {"a": entry(shape=[0, 2**40 + 1], offsets=(0, 0))})
    with pytest.raises(ExtractError) as caught:
        open_model(path)
    assert caught.value.rule == "EXT-8"


@pytest.mark.spec("EXT-3")
def test_EXT_3_file_without_tensors_is_refused(tmp_path):
    path = write_safetensors_by_hand(tmp_path / "a.safetensors", {})
    with pytest.raises(ExtractError) as caught:
        open_model(path)
    assert caught.value.rule == "EXT-3"


@pytest.mark.spec("EXT-1")
def test_EXT_1_paths_that_are_no_model_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no model")
    (tmp_path / "folder").mkdir()
    for name in ("absent.safetensors", "notes.txt", "folder"):
        with pytest.raises(ExtractError) as caught:
            open_model(tmp_path / name)
        assert caught.value.rule == "EXT-1"


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_torch_tensors_survive_as_bytes(name):
    nbytes = 6 * DTYPES[name].itemsize
    data = bytes(i % 2 for i in range(nbytes))
    tensor = tensor_from_bytes(DTYPES[name], (2, 3), data)
    assert tensor.shape == (2, 3)
    assert bytes_of(tensor) == data
    assert tensor_from_bytes(DTYPES[name], (0, 3), b"").shape == (0, 3)
