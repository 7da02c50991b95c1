"""Which files travel along: a closed list of names, and never code."""

from __future__ import annotations

import json

import pytest

from seedpack.errors import ExtractError
from seedpack.frameworks.attachments import collect_files

CARRIED = {
    "LICENSE": "licence",
    "NOTICE.txt": "licence",
    "README.md": "card",
    "tokenizer.json": "tokenizer",
    "spiece.model": "tokenizer",
    "chat_template.jinja": "tokenizer",
    "merges.txt": "tokenizer",
    "generation_config.json": "config",
    "1_Pooling/config.json": "config",
}
LEFT = [
    ".gitattributes",
    "modeling_evil.py",
    "optimizer.pt",
    "tf_model.h5",
    "onnx/model.onnx",
    "trainer_state.json",
    "tokenizer.pkl",
    "adapter_config.json",  # would make loaders fetch the model that it names
    "sub/Adapter_Config.json",
    "onnx/model.index.json",
    "Config.json",
    "a b/config.json",
    "config/aux.config.json",
    "1/2/3/4/config.json",
]


def put(folder, names, text="x"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.spec("EXT-11")
def test_EXT_11_listed_files_travel_and_all_others_are_reported(tmp_path):
    put(tmp_path, [*CARRIED, *LEFT, "config.json", "model.safetensors", ".git/config.json"])
    put(tmp_path, ["model.safetensors.index.json"])
    files, left_out = collect_files(tmp_path, weights=frozenset({"model.safetensors"}))
    assert {file.name: file.kind for file in files} == CARRIED
    assert [file.name for file in files] == sorted(CARRIED)
    assert [item.name for item in left_out] == sorted(LEFT)
    assert all(item.reason for item in left_out)


@pytest.mark.spec("EXT-11")
def test_EXT_11_links_are_followed_to_files_only(tmp_path):
    (tmp_path / "blob").write_text("text")
    model = tmp_path / "model"
    model.mkdir()
    (model / "README.md").symlink_to("../blob")
    (model / "LICENSE").symlink_to("nowhere")
    files, left_out = collect_files(model, weights=frozenset())
    assert [(file.name, file.path) for file in files] == [("README.md", tmp_path / "blob")]
    assert [item.name for item in left_out] == ["LICENSE"]


@pytest.mark.spec("EXT-11")
def test_EXT_11_names_that_meet_on_some_system_are_refused(tmp_path):
    put(tmp_path, ["README.md", "readme.md"])
    with pytest.raises(ExtractError) as caught:
        collect_files(tmp_path, weights=frozenset())
    assert caught.value.rule == "EXT-11"


@pytest.mark.spec("EXT-11")
def test_EXT_11_more_files_than_a_seed_can_carry_are_refused(tmp_path):
    put(tmp_path, [f"vocab{i}.txt" for i in range(256)])
    assert len(collect_files(tmp_path, weights=frozenset())[0]) == 256
    put(tmp_path, ["vocab256.txt"])
    with pytest.raises(ExtractError) as caught:
        collect_files(tmp_path, weights=frozenset())
    assert caught.value.rule == "EXT-11"


@pytest.mark.spec("EXT-11")
def test_EXT_11_file_larger_than_a_seed_can_carry_is_left_out(tmp_path):
    with (tmp_path / "vocab.txt").open("wb") as file:
        file.truncate(256 * 2**20 + 1)
    files, left_out = collect_files(tmp_path, weights=frozenset())
    assert files == ()
    assert [item.name for item in left_out] == ["vocab.txt"]


@pytest.mark.spec("EXT-11")
@pytest.mark.parametrize(
    "name, value",
    [
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}),
        ("preprocessor_config.json", {"a": [{"auto_map": 1}]}),
        ("generation_config.json", {"trust_remote_code": True}),
        ("modules.json", [{"type": "os.system"}]),
        ("modules.json", [{"type": "sentence_transformers_evil.Module"}]),
        ("2_Router/router_config.json", {"types": {"a": "evil.Module"}}),
        ("2_Router/router_config.json", {"types": [["sentence_transformers.A", "evil.B"]]}),
    ],
)
def test_EXT_11_files_that_point_to_code_are_refused(tmp_path, name, value):
    put(tmp_path, [name], json.dumps(value))
    with pytest.raises(ExtractError) as caught:
        collect_files(tmp_path, weights=frozenset())
    assert (caught.value.rule, caught.value.where) == ("EXT-11", name)


@pytest.mark.parametrize(
    "name, text",
    [
        ("modules.json", '[{"type": "sentence_transformers.models.Pooling"}]'),
        ("tokenizer_config.json", "no JSON at all"),
        ("tokenizer_config.json", "[" * 5000),
        ("README.md", '{"auto_map": 1}'),
    ],
)
def test_files_that_point_to_no_code_travel(tmp_path, name, text):
    put(tmp_path, [name], text)
    assert [file.name for file in collect_files(tmp_path, weights=frozenset())[0]] == [name]
