"""Folders of transformers: architecture as data, complete, and without code."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

import msgspec
import pytest
import safetensors.torch
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from seedpack.container.architecture import check_architecture
from seedpack.container.manifest import Architecture
from seedpack.errors import AssemblyError, ExtractError
from seedpack.frameworks import TensorInfo, open_model
from seedpack.frameworks.safetensors_files import SafetensorsWeights
from seedpack.frameworks.transformers_models import build_model, check_assembly
from tests.frameworks.models import FAMILIES, build

EXPECTED_CLASSES = {name: row[0] for name, row in FAMILIES.items()}


def refused(path, rule):
    with pytest.raises(ExtractError) as caught:
        open_model(path)
    assert caught.value.rule == rule
    return caught.value


def edit_json(path, **changes):
    value = json.loads(path.read_text())
    value.update(changes)
    path.write_text(json.dumps(value))


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    state = safetensors.torch.load_file(path)
    change(state)
    safetensors.torch.save_file(state, path, metadata={"format": "pt"})


def shard(folder, names=("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
    """Cut the weights in two files with an index, as save_pretrained does for large models."""
    state = safetensors.torch.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {name: names[i % 2] for i, name in enumerate(sorted(state))}
    for file in names:
        part = {name: state[name] for name in state if weight_map[name] == file}
        safetensors.torch.save_file(part, folder / file, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_models_that_transformers_saved_are_complete(families, family):
    source = open_model(families[family])
    assert source.architecture.class_name == EXPECTED_CLASSES[family]
    assert source.architecture.config == (families[family] / "config.json").read_text()
    assert source.left_out == ()
    assert source.describe() == {"source": "transformers"}
    check_architecture(source.architecture)


def test_real_model_is_complete_with_its_tokenizer(minilm):
    source = open_model(minilm)
    assert source.architecture.class_name == "BertModel"
    assert len(source.infos()) == 104  # with position_ids, a buffer of older versions
    kinds = {file.name: file.kind for file in source.files}
    assert kinds["tokenizer.json"] == kinds["vocab.txt"] == "tokenizer"
    assert kinds["1_Pooling/config.json"] == kinds["modules.json"] == "config"
    assert kinds["README.md"] == "card"
    assert "config.json" not in kinds
    assert [item.name for item in source.left_out] == [".gitattributes"]


def test_class_is_that_of_auto_model_where_the_config_names_none(families, tmp_path):
    config = json.loads((families["gpt2"] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": None}))
    (tmp_path / "model.safetensors").symlink_to(families["gpt2"] / "model.safetensors")
    assert open_model(tmp_path).architecture.class_name == "GPT2Model"


@pytest.mark.spec("EXT-10", "ASM-1")
def test_EXT_10_parameters_that_the_stock_loader_would_make_up_are_missing(families, tmp_path):
    config = json.loads((families["vit"] / "config.json").read_text())
    del config["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(families["vit"] / "model.safetensors")
    # ViTModel has a pooler that the classifier lacks; the stock loader would make one up.
    error = refused(tmp_path, "EXT-10")
    assert error.where == "parameter pooler.dense.bias"
    edit_json(tmp_path / "config.json", architectures=["ViTForImageClassification"])
    assert open_model(tmp_path).architecture.class_name == "ViTForImageClassification"


def test_state_dict_folders_are_read_too(bert):
    state = safetensors.torch.load_file(bert / "model.safetensors")
    (bert / "model.safetensors").unlink()
    torch.save(state, bert / "pytorch_model.bin")
    assert {info.name for info in open_model(bert).infos()} == set(state)


def test_shards_are_joined(bert):
    whole = {t.name: bytes(t.data) for t in open_model(bert).tensors()}
    shard(bert)
    source = open_model(bert)
    assert {t.name: bytes(t.data) for t in source.tensors()} == whole
    assert source.left_out == ()


@pytest.mark.spec("EXT-2")
def test_EXT_2_missing_shard_is_refused(bert):
    shard(bert)
    (bert / "model-00002-of-00002.safetensors").unlink()
    refused(bert, "EXT-2")


@pytest.mark.spec("EXT-2")
@pytest.mark.parametrize("name", ["../a.safetensors", "/etc/passwd", "", ".", ".."])
def test_EXT_2_shard_outside_the_folder_is_refused(bert, name):
    index = shard(bert)
    weight_map = json.loads(index.read_text())["weight_map"]
    (bert.parent / "a.safetensors").write_bytes(b"not for us")
    edit_json(index, weight_map=dict.fromkeys(weight_map, name))
    refused(bert, "EXT-2")


@pytest.mark.spec("EXT-2")
@pytest.mark.parametrize("change", ["more", "fewer"])
def test_EXT_2_index_that_disagrees_with_its_shards_is_refused(bert, change):
    index = shard(bert)
    weight_map = json.loads(index.read_text())["weight_map"]
    if change == "more":
        weight_map["ghost"] = weight_map[min(weight_map)]
    else:
        del weight_map[min(weight_map)]
    edit_json(index, weight_map=weight_map)
    refused(bert, "EXT-2")


@pytest.mark.spec("EXT-2")
@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": [1]}', '{"weight_map": {"a": 1}}']
)
def test_EXT_2_index_that_is_none_is_refused(bert, text):
    shard(bert).write_text(text)
    refused(bert, "EXT-2")


@pytest.mark.spec("EXT-7")
def test_EXT_7_tensor_in_two_shards_is_refused(bert):
    shard(bert)
    first, second = sorted(bert.glob("model-*"))
    state = safetensors.torch.load_file(first)
    state.update(safetensors.torch.load_file(second))
    safetensors.torch.save_file(state, second, metadata={"format": "pt"})
    refused(bert, "EXT-7")


@pytest.mark.spec("EXT-3")
def test_EXT_3_folder_without_weights_is_refused(bert):
    (bert / "model.safetensors").unlink()
    refused(bert, "EXT-3")


@pytest.mark.spec("EXT-9")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a": 1, "a": 2}',
        "{}",
        '{"model_type": 7}',
        '{"model_type": "bert", "architectures": "BertModel"}',
        '{"model_type": "bert", "architectures": ["a/b"]}',
        "[" * 5000,
    ],
)
def test_EXT_9_config_that_is_no_plain_data_is_refused(bert, text):
    (bert / "config.json").write_text(text)
    refused(bert, "EXT-9")


@pytest.mark.spec("EXT-9")
def test_EXT_9_config_that_is_not_utf_8_is_refused(bert):
    (bert / "config.json").write_bytes(b'{"model_type": "\xff"}')
    refused(bert, "EXT-9")


@pytest.mark.spec("EXT-9", "ARC-3")
@pytest.mark.parametrize("key", ["auto_map", "custom_pipelines", "trust_remote_code"])
@pytest.mark.parametrize("nest", [False, True])
def test_EXT_9_config_that_points_to_code_is_refused(bert, key, nest):
    value = {key: {"AutoModel": "evil--repo.Model"}}
    edit_json(bert / "config.json", **({"text_config": [value]} if nest else value))
    refused(bert, "EXT-9")


@pytest.mark.spec("EXT-9")
def test_EXT_9_config_with_tabs_becomes_the_same_data_with_escapes(bert):
    config = json.loads((bert / "config.json").read_text())
    config["note"] = "caf\u0065\u0301 \u202e"  # not NFC; and a character that reverses text
    (bert / "config.json").write_text(json.dumps(config, indent="\t"), encoding="utf-8")
    architecture = open_model(bert).architecture
    check_architecture(architecture)
    assert json.loads(architecture.config) == config


@pytest.mark.spec("EXT-10", "ASM-2")
@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "no-such-type"},
        {"model_type": "no-such-type", "architectures": None},
        {"architectures": ["NoSuchModel"]},
        {"architectures": ["GPT2Model"]},  # of another type
        {"architectures": ["AutoModel"]},
        {"architectures": ["PreTrainedModel"]},
        {"architectures": ["logging"]},  # a name that the package has
        {"attn_implementation": "someone/kernel"},
        {"_attn_implementation": {"": "someone/kernel"}},
        {"hidden_size": "large"},
        {"hidden_size": 0},
        {"hidden_size": 2**62},
        {"num_hidden_layers": 10**9},
        {"hidden_act": "no_such_function"},
        {"transformers_weights": "../other.safetensors"},
    ],
)
def test_EXT_10_architecture_that_transformers_cannot_build_is_refused(bert, changes):
    edit_json(bert / "config.json", **changes)
    error = refused(bert, "EXT-10")
    assert "ASM" in error.message


@pytest.mark.spec("EXT-10", "ASM-1")
def test_EXT_10_missing_parameter_is_named(bert):
    edit_weights(bert, lambda state: state.pop("bert.embeddings.LayerNorm.bias"))
    error = refused(bert, "EXT-10")
    assert error.where == "parameter bert.embeddings.LayerNorm.bias"


@pytest.mark.spec("EXT-10", "ASM-1")
def test_EXT_10_parameter_of_another_shape_is_named(bert):
    name = "bert.embeddings.word_embeddings.weight"
    edit_weights(bert, lambda state: state.update({name: torch.ones(41, 16)}))
    error = refused(bert, "EXT-10")
    assert error.where == f"parameter {name}"
    assert "[41, 16]" in error.message
    assert "[40, 16]" in error.message


@pytest.mark.spec("EXT-10", "ASM-1")
def test_EXT_10_two_tensors_for_one_parameter_are_refused(bert):
    edit_json(bert / "config.json", architectures=["BertModel"])
    name = "embeddings.word_embeddings.weight"
    edit_weights(bert, lambda state: state.update({name: torch.ones(40, 16)}))
    error = refused(bert, "EXT-10")
    assert error.where == f"parameter {name}"


@pytest.mark.parametrize("missing", ["shared.weight", None])
def test_one_of_several_tied_tensors_is_enough(families, missing):
    source = open_model(families["t5"])
    infos = {info.name: info for info in source.infos()}
    dtype, shape = infos["shared.weight"][1:]
    infos["lm_head.weight"] = TensorInfo("lm_head.weight", dtype, shape)
    infos.pop(missing, None)
    assert check_assembly(source.architecture, list(infos.values())) == ()


@pytest.mark.spec("ASM-1")
@pytest.mark.parametrize("change", ["missing", "one too many"])
def test_ASM_1_merged_parameters_need_exactly_their_parts(families, change):
    source = open_model(families["mixtral"])
    infos = {info.name: info for info in source.infos()}
    last = "model.layers.0.block_sparse_moe.experts.1.w1.weight"
    if change == "missing":
        del infos[last]
    else:
        more = last.replace("experts.1", "experts.2")
        infos[more] = infos[last]._replace(name=more)
    with pytest.raises(AssemblyError) as caught:
        check_assembly(source.architecture, list(infos.values()))
    assert caught.value.rule == "ASM-1"


@pytest.mark.spec("ASM-8")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("GPTNeo", {"hidden_size": 4, "num_heads": 1, "attention_types": [[["global"], 2]]}),
        ("GPTJ", {"n_embd": 8, "n_head": 1, "rotary_dim": 2}),
    ],
)
def test_ASM_8_buffers_that_no_layer_bounds_are_never_computed(name, settings):
    config = getattr(transformers, f"{name}Config")(
        vocab_size=8, num_layers=2, max_position_embeddings=1 << 26, **settings
    )
    architecture = Architecture(
        class_name=f"{name}Model",
        config=json.dumps(config.to_dict()),
        framework="transformers",
        model_type=config.model_type,
    )
    with pytest.raises(AssemblyError) as caught:
        build_model(architecture)
    assert caught.value.rule == "ASM-8"


@given(st.data())
def test_any_config_is_judged_or_refused(families, data):
    source = open_model(families["bert"])
    config = json.loads(source.architecture.config)
    key = data.draw(st.sampled_from(sorted(config)))
    values = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3)
    config[key] = data.draw(values | st.lists(values, max_size=2) | st.just({"": 1}))
    architecture = msgspec.structs.replace(source.architecture, config=json.dumps(config))
    with contextlib.suppress(AssemblyError):
        check_assembly(architecture, source.infos())


@pytest.mark.spec("ASM-2")
@pytest.mark.parametrize("backbone", ["someone/net", "net"])
def test_ASM_2_nothing_is_looked_up_on_the_network(backbone):
    config = {
        "model_type": "detr",
        "backbone": backbone,
        "backbone_config": None,
        "use_timm_backbone": False,
    }
    program = f"""
import os, socket
socket.socket.connect = socket.getaddrinfo = lambda *args, **more: os._exit(99)
from seedpack.container.manifest import Architecture
from seedpack.errors import AssemblyError
from seedpack.frameworks.transformers_models import check_assembly
architecture = Architecture(
    class_name="DetrModel", config={json.dumps(config)!r}, framework="transformers",
    model_type="detr",
)
try:
    check_assembly(architecture, [])
except AssemblyError as error:
    print(error.rule)
"""
    env = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "ASM-2\n")


def test_none_of_several_tied_tensors_is_too_few(families):
    source = open_model(families["t5"])
    infos = [info for info in source.infos() if info.name != "shared.weight"]
    with pytest.raises(AssemblyError) as caught:
        check_assembly(source.architecture, infos)
    assert caught.value.rule == "ASM-1"


def test_unused_tensors_are_carried_and_reported(bert):
    edit_weights(bert, lambda state: state.update({"old.buffer": torch.ones(1)}))
    source = open_model(bert)
    assert "old.buffer" in {info.name for info in source.infos()}
    assert source.unused == ("old.buffer",)
    assert source.left_out == ()


def test_check_says_nothing_on_the_terminal(families, capfd):
    open_model(families["gpt2"])
    assert capfd.readouterr() == ("", "")


def test_half_precision_models_are_complete(tmp_path):
    folder = build(tmp_path / "m", *FAMILIES["gpt2"][:2], **FAMILIES["gpt2"][2])
    edit_weights(folder, lambda s: s.update({k: v.bfloat16() for k, v in s.items()}))
    assert {info.dtype.name for info in open_model(folder).infos()} == {"bfloat16"}
    assert SafetensorsWeights(folder / "model.safetensors").infos() == open_model(folder).infos()
