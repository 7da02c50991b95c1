"""A verified seed becomes the model again, or nothing does."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers

from seedpack.assemble import assemble
from seedpack.errors import AssemblyError, IntegrityError, StoreError
from seedpack.extract import extract, extraction
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.partial import split_seed
from tests.builders import CREATED, NOW, make_architecture, make_key, trusting
from tests.frameworks.models import FAMILIES

KEY = make_key()


def make(model, output, **options):
    extract(model, output, **({"name": "acme/m", "created": CREATED, "key": KEY} | options))
    return output


def opened(path):
    return open_seed(path, store=trusting(KEY), now=NOW)


def load(folder, class_name):
    model, info = getattr(transformers, class_name).from_pretrained(
        folder, output_loading_info=True
    )
    assert info["missing_keys"] == set()
    assert info["mismatched_keys"] == set()
    return model.eval()


def same_parameters(a, b):
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.fixture(autouse=True)
def _quiet_transformers():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_stock_loader_gets_the_same_model_of_every_family(families, family, tmp_path):
    seed = make(families[family], tmp_path / "m.seed")
    with opened(seed) as contents:
        report = assemble(contents, tmp_path / "out")
    assert report.unused == ()
    assert report.layers == report.layers_total
    weights = tmp_path / "out" / "model.safetensors"
    assert weights.read_bytes() == (families[family] / "model.safetensors").read_bytes()
    assert report.nbytes == weights.stat().st_size
    class_name = FAMILIES[family][0]
    before, after = (load(folder, class_name) for folder in (families[family], tmp_path / "out"))
    assert same_parameters(before, after)


def test_real_model_comes_back_to_the_last_byte_and_answers_the_same(minilm, tmp_path):
    seed = make(minilm, tmp_path / "m.seed")
    with opened(seed) as contents:
        report = assemble(contents, tmp_path / "out")
    for name in ("model.safetensors", "config.json", *report.attachments):
        assert (tmp_path / "out" / name).read_bytes() == (minilm / name).read_bytes()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    batch = tokenizer(
        ["a seed you can trust", "an unrelated sentence"], return_tensors="pt", padding=True
    )
    before = transformers.AutoModel.from_pretrained(minilm).eval()
    after = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        assert torch.equal(before(**batch).last_hidden_state, after(**batch).last_hidden_state)


def test_real_model_in_eight_bits_stays_close(minilm, tmp_path):
    seed = make(minilm, tmp_path / "m.seed", codec="q8")
    assert seed.stat().st_size * 4 < (minilm / "model.safetensors").stat().st_size
    with opened(seed) as contents:
        assemble(contents, tmp_path / "out")
    ids = torch.arange(1000, 1032).reshape(2, 16)
    before = transformers.AutoModel.from_pretrained(minilm).eval()
    after = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        pair = [model(ids).last_hidden_state.mean(1) for model in (before, after)]
    assert torch.nn.functional.cosine_similarity(*pair).min() > 0.999


def test_half_precision_comes_back_bit_for_bit(tmp_path):
    state = {"w": torch.randn(5, 7, dtype=torch.bfloat16), "b": torch.randn(7).half()}
    torch.save(state, tmp_path / "m.pt")
    with opened(make(tmp_path / "m.pt", tmp_path / "m.seed")) as contents:
        assemble(contents, tmp_path / "out.safetensors")
    import safetensors.torch

    loaded = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


@pytest.fixture
def small(tmp_path):
    """A seed without architecture."""
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=(8, 8)).astype(np.float32) for name in ("a.w", "a.b", "c.w")}
    safetensors.numpy.save_file(arrays, tmp_path / "m.safetensors")
    return make(tmp_path / "m.safetensors", tmp_path / "m.seed")


@pytest.mark.parametrize("name", ["out.safetensors", "out"])
def test_seed_without_architecture_becomes_a_file(small, tmp_path, name):
    with opened(small) as contents:
        report = assemble(contents, tmp_path / name)
    loaded = safetensors.numpy.load_file(tmp_path / name)
    original = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    assert loaded.keys() == original.keys()
    assert all(np.array_equal(loaded[key], original[key]) for key in original)
    assert (report.output, report.attachments) == (tmp_path / name, ())


def test_seed_with_architecture_becomes_a_file_when_asked(families, tmp_path):
    with opened(make(families["bert"], tmp_path / "m.seed")) as contents:
        assemble(contents, tmp_path / "out.safetensors")
    original = families["bert"] / "model.safetensors"
    assert (tmp_path / "out.safetensors").read_bytes() == original.read_bytes()


def test_some_layers_become_a_file(small, tmp_path):
    with opened(small) as contents:
        report = assemble(contents, tmp_path / "out.safetensors", layers="a.*")
        with pytest.raises(ValueError, match="no layer"):
            assemble(contents, tmp_path / "none.safetensors", layers="x*")
    assert set(safetensors.numpy.load_file(tmp_path / "out.safetensors")) == {"a.w", "a.b"}
    assert (report.layers, report.layers_total) == (2, 3)
    assert not (tmp_path / "none.safetensors").exists()


def test_part_of_a_seed_gives_its_layers_and_no_more(small, tmp_path):
    with opened(small) as contents:
        split_seed(contents, tmp_path / "part.seed", layers="a.*")
    with opened(tmp_path / "part.seed") as contents:
        assemble(contents, tmp_path / "some.safetensors", layers="a.*")
        with pytest.raises(IntegrityError) as caught:
            assemble(contents, tmp_path / "all.safetensors")
    assert caught.value.rule == "PRT-3"
    assert not (tmp_path / "all.safetensors").exists()


@pytest.mark.spec("ASM-1")
def test_ASM_1_some_layers_make_no_folder(families, tmp_path):
    seed = make(families["bert"], tmp_path / "m.seed")
    with opened(seed) as contents, pytest.raises(AssemblyError) as caught:
        assemble(contents, tmp_path / "out", layers="bert.*")
    assert caught.value.rule == "ASM-1"
    assert not (tmp_path / "out").exists()


@pytest.mark.spec("ASM-3")
def test_ASM_3_contents_that_nobody_vouches_for_are_refused_unless_asked_for(small, tmp_path):
    with open_unverified(small) as contents:
        with pytest.raises(AssemblyError) as caught:
            assemble(contents, tmp_path / "out.safetensors")
        assert caught.value.rule == "ASM-3"
        assert not (tmp_path / "out.safetensors").exists()
        assemble(contents, tmp_path / "out.safetensors", insecure=True)
    assert (tmp_path / "out.safetensors").exists()


@pytest.mark.spec("ASM-3")
def test_ASM_3_digests_are_enforced_without_trust(small, tmp_path):
    data = bytearray(small.read_bytes())
    data[-1] ^= 1
    small.write_bytes(data)
    with open_unverified(small) as contents, pytest.raises(IntegrityError) as caught:
        assemble(contents, tmp_path / "out.safetensors", insecure=True)
    assert caught.value.rule == "CHK-2"
    assert not (tmp_path / "out.safetensors").exists()


def test_damage_leaves_no_folder(families, tmp_path):
    seed = make(families["bert"], tmp_path / "m.seed")
    data = bytearray(seed.read_bytes())
    data[-1] ^= 1
    seed.write_bytes(data)
    before = set(tmp_path.iterdir())
    with opened(seed) as contents, pytest.raises(IntegrityError):
        assemble(contents, tmp_path / "out")
    assert set(tmp_path.iterdir()) == before


def test_existing_outputs_are_kept(families, small, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out.safetensors").write_bytes(b"mine")
    seed = make(families["bert"], tmp_path / "b.seed")
    with opened(seed) as contents, pytest.raises(StoreError) as caught:
        assemble(contents, tmp_path / "out", overwrite=True)
    assert caught.value.rule == "OUT-2"
    with opened(small) as contents:
        with pytest.raises(StoreError):
            assemble(contents, tmp_path / "out.safetensors")
        assemble(contents, tmp_path / "out.safetensors", overwrite=True)
    assert safetensors.numpy.load_file(tmp_path / "out.safetensors")


def forge(monkeypatch, folder, output, **changes):
    """Write a seed that our own extraction refuses, as a publisher with a valid key could."""
    from seedpack.frameworks import ModelSource, open_model

    source = open_model(folder)
    fields = {name: getattr(source, name) for name in ModelSource.__dataclass_fields__}
    forged = ModelSource(**(fields | changes))
    monkeypatch.setattr(extraction, "open_model", lambda _path, **_: forged)
    return make(folder, output)


def refused(seed, output, rule):
    with opened(seed) as contents, pytest.raises(AssemblyError) as caught:
        assemble(contents, output)
    assert caught.value.rule == rule
    assert not output.exists()
    return caught.value


def config_with(folder, **changes):
    text = (folder / "config.json").read_text()
    return json.dumps({**json.loads(text), **changes})


@pytest.mark.spec("ASM-1")
@pytest.mark.parametrize(
    "changes",
    [{"hidden_size": 32}, {"num_hidden_layers": 2}, {"vocab_size": 41}],
    ids=["shape", "missing", "vocabulary"],
)
def test_ASM_1_signed_weights_of_another_architecture_are_refused(
    families, tmp_path, monkeypatch, changes
):
    folder = families["bert"]
    architecture = make_architecture(
        class_name="BertForMaskedLM", config=config_with(folder, **changes)
    )
    seed = forge(monkeypatch, folder, tmp_path / "m.seed", architecture=architecture)
    refused(seed, tmp_path / "out", "ASM-1")


@pytest.mark.spec("ASM-2")
@pytest.mark.parametrize(
    "class_name, model_type, changes",
    [
        ("NoSuchModel", "bert", {}),
        ("GPT2Model", "bert", {}),
        ("BertModel", "gpt2", {}),
        ("GPT2Model", "gpt2", {}),  # the config says bert
        ("AutoModel", "bert", {}),
        ("BertForMaskedLM", "bert", {"attn_implementation": "evil/kernel"}),
        ("BertForMaskedLM", "bert", {"transformers_weights": "../../elsewhere.safetensors"}),
        ("BertForMaskedLM", "bert", {"hidden_act": "os.system"}),
    ],
)
def test_ASM_2_signed_architecture_outside_of_transformers_is_refused(
    families, tmp_path, monkeypatch, class_name, model_type, changes
):
    folder = families["bert"]
    architecture = make_architecture(
        class_name=class_name, model_type=model_type, config=config_with(folder, **changes)
    )
    seed = forge(monkeypatch, folder, tmp_path / "m.seed", architecture=architecture)
    refused(seed, tmp_path / "out", "ASM-2")


@pytest.mark.spec("ASM-4")
@pytest.mark.parametrize(
    "name, content",
    [
        ("config.json", "{}"),
        ("CONFIG.json", "{}"),
        ("adapter_config.json", "{}"),
        ("model.safetensors.index.json", "{}"),
        ("sub/pytorch_model.bin.index.json", "{}"),
        ("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": "evil--repo.Tokenizer"}}'),
        ("modules.json", '[{"type": "os.system"}]'),
    ],
)
def test_ASM_4_signed_attachment_that_misleads_loaders_is_refused(
    families, tmp_path, monkeypatch, name, content
):
    from seedpack.frameworks import AttachedFile

    (tmp_path / "file").write_text(content)
    files = (AttachedFile(name, "config", tmp_path / "file"),)
    seed = forge(monkeypatch, families["bert"], tmp_path / "m.seed", files=files)
    refused(seed, tmp_path / "out", "ASM-4")
    with opened(seed) as contents:  # the weights alone cannot mislead
        assemble(contents, tmp_path / "out.safetensors")


def test_unused_layers_are_written_and_reported(bert, tmp_path):
    import safetensors.torch

    state = safetensors.torch.load_file(bert / "model.safetensors")
    state["old.buffer"] = torch.ones(1)
    safetensors.torch.save_file(state, bert / "model.safetensors", metadata={"format": "pt"})
    with opened(make(bert, tmp_path / "m.seed")) as contents:
        report = assemble(contents, tmp_path / "out")
    assert report.unused == ("old.buffer",)
    assert "old.buffer" in safetensors.torch.load_file(tmp_path / "out" / "model.safetensors")


def test_progress_ends_at_the_whole(small, tmp_path):
    calls = []
    with opened(small) as contents:
        assemble(contents, tmp_path / "o", progress=lambda *args: calls.append(args))
    assert calls[-1] == (768, 768)


def run_without_torch(seed, output):
    program = f"""
import sys
sys.modules["torch"] = sys.modules["transformers"] = None  # importing them raises
from pathlib import Path
from seedpack.assemble import assemble
from seedpack.errors import AssemblyError
from seedpack.seed.opening import open_unverified
with open_unverified(Path({str(seed)!r})) as contents:
    try:
        assemble(contents, Path({str(output)!r}), insecure=True)
    except AssemblyError as error:
        print(error.rule, error.hint)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True
    )
    return done.stdout


def test_file_is_assembled_without_torch(small, tmp_path):
    assert run_without_torch(small, tmp_path / "out.safetensors") == ""
    assert safetensors.numpy.load_file(tmp_path / "out.safetensors")


@pytest.mark.spec("ASM-2")
def test_ASM_2_folder_is_not_assembled_without_a_framework_to_judge_it(families, tmp_path):
    seed = make(families["bert"], tmp_path / "m.seed")
    said = run_without_torch(seed, tmp_path / "out")
    assert said.startswith("ASM-2 pip install 'seedpack[torch]'")
    assert not (tmp_path / "out").exists()
