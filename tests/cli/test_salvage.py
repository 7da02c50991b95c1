"""Salvage as a user meets it: a model that nobody can take for the signed one (SLV-5, SLV-6)."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from seedpack.assemble.salvage import assemble_salvaged
from seedpack.errors import AssemblyError
from seedpack.extract import extract
from seedpack.seed.opening import open_unverified
from tests.builders import damage
from tests.extract.test_scattering import make_model
from tests.frameworks.models import FAMILIES, build
from tests.refusals import refused_by


@pytest.fixture
def seed(tmp_path, run_cli):
    """Return a signed, interleaved seed and its public key."""
    assert run_cli("keygen", "k", "--no-passphrase").status == 0
    done = run_cli(
        *("extract", make_model(tmp_path), "-o", "a.seed", "--codec", "ecq", "--interleave"),
        *("--parity", 5, "--key", "k.key"),
    )
    assert done.status == 0, done.stderr
    return tmp_path / "a.seed"


def harm(path, share=0.25):
    """Damage the first chunks."""
    with open_unverified(path) as contents:
        damage(path, contents, *range(round(share * len(contents.chunks))))


@pytest.mark.spec("SLV-6")
def test_what_is_salvaged_says_so_wherever_one_looks(seed, run_cli, tmp_path):
    harm(seed)
    out = tmp_path / "salvaged.safetensors"
    done = run_cli("salvage", seed, "-o", out, "--key", "k.pub", "--format", "json")
    assert done.status == 0
    assert "warning" in done.stderr
    assert "NOT the signed model" in done.stderr
    row = json.loads(done.stdout)
    assert (row["salvaged"], row["verified"], row["manifest_verified"]) == (True, False, True)
    assert 0 < row["missing"] < row["values"]
    assert sum(layer["missing"] for layer in row["layers"]) == row["missing"]
    with safe_open(out, "np") as file:
        assert "NOT the model that was signed" in file.metadata()["salvaged"]
        assert file.metadata()["seed_id"] == row["seed_id"]


@pytest.mark.spec("SLV-6")
def test_a_name_that_does_not_say_it_is_refused(seed, run_cli, tmp_path):
    harm(seed)
    done = run_cli("salvage", seed, "-o", "model.safetensors", "--key", "k.pub")
    assert done.status == 6
    assert "SLV-6" in done.stderr
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.spec("SLV-5")
def test_a_seed_that_can_be_had_again_is_not_salvaged(seed, run_cli, tmp_path):
    for share, hint in ((0, "assemble it"), (0.02, "repair it, exactly")):
        harm(seed, share)
        done = run_cli("salvage", seed, "-o", "salvaged.safetensors", "--key", "k.pub")
        assert done.status == 6
        assert hint in done.stderr
    assert not (tmp_path / "salvaged.safetensors").exists()


@pytest.mark.spec("SLV-1")
def test_without_its_signature_nothing_is_salvaged(seed, run_cli, tmp_path):
    harm(seed)
    assert run_cli("keygen", "other", "--no-passphrase").status == 0
    done = run_cli("salvage", seed, "-o", "salvaged.safetensors", "--key", "other.pub")
    assert done.status == 4
    data = bytearray(seed.read_bytes())
    data[len(data) // 40] ^= 1  # in the manifest
    seed.write_bytes(data)
    assert run_cli("salvage", seed, "-o", "salvaged.safetensors", "--key", "k.pub").status in {3, 4}
    assert not (tmp_path / "salvaged.safetensors").exists()


@pytest.mark.spec("SLV-4", "SLV-6")
def test_a_folder_loads_and_its_note_names_what_is_missing(tmp_path):
    import transformers

    class_name, config_name, settings = FAMILIES["bert"]
    build(tmp_path / "m", class_name, config_name, **settings)
    (tmp_path / "m" / "README.md").write_text("# Card")
    (tmp_path / "m" / "LICENSE").write_text("Do as you like.")
    extract(tmp_path / "m", tmp_path / "a.seed", name="a", chunk_nbytes=256)
    path = tmp_path / "a.seed"
    with open_unverified(path) as contents:
        (card, card_chunks), *_ = contents.attachments()
        layers = {layer.name: chunks for layer, chunks in contents.layers()}
        query = "bert.encoder.layer.0.attention.self.query.weight"
        key = "bert.encoder.layer.0.attention.self.key.weight"
        lost = [*layers[query], layers[key][0], *card_chunks]
        damage(path, contents, *(chunk.index for chunk in lost))
    with open_unverified(path) as contents:
        with refused_by(AssemblyError, "ASM-3"):
            assemble_salvaged(contents, tmp_path / "salvaged")
        report = assemble_salvaged(contents, tmp_path / "salvaged", insecure=True, random_seed=1)
    assert report.filled == (query,)
    assert report.lacking == (card.name,)
    assert {loss.name for loss in report.layers} == {query, key}
    note = json.loads((tmp_path / "salvaged" / "SALVAGED.json").read_text())
    assert note["seed_id"] == report.seed_id
    assert [layer["name"] for layer in note["layers"]] == [loss.name for loss in report.layers]
    assert note["filled"] == [query]
    transformers.logging.disable_progress_bar()
    state = transformers.AutoModelForMaskedLM.from_pretrained(report.output).state_dict()
    original = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "m").state_dict()
    for name, values in original.items():
        assert torch.equal(state[name], values) == (name not in {query, key})
    assert 0.01 < float(state[query].std()) < 0.03  # drawn as the class draws it
    assert (state[key] == 0).sum() >= 64
    assert {p.name for p in report.output.iterdir()} == {
        *("SALVAGED.json", "config.json", "model.safetensors"),
        *({"README.md", "LICENSE"} - {card.name}),
    }


@pytest.mark.spec("EXT-66", "EXT-67")
def test_layouts_are_asked_for_by_options(run_cli, tmp_path):
    model = make_model(tmp_path)
    done = run_cli("extract", model, "-o", "a.seed", "--protect-top-bits", "--format", "json")
    assert done.status == 0
    assert json.loads(done.stdout)["codec"] == "ecq"
    with open_unverified(tmp_path / "a.seed") as contents:
        assert any("low_step" in layer.params for layer in contents.manifest.layers)
    for words in (
        ("--interleave", "--codec", "q8"),
        ("--protect-top-bits", "--codec", "raw"),
        ("--protect-top-bits", "--preset", "lossless"),
        ("--interleave", "--base", model),
    ):
        assert run_cli("extract", model, "-o", "b.seed", *words).status == 2
    assert not (tmp_path / "b.seed").exists()


@pytest.mark.spec("SLV-3", "SLV-4")
def test_a_layer_that_counts_as_lost_is_drawn_anew_and_not_zero(tmp_path):
    def draw():
        module = torch.nn.Sequential(torch.nn.Linear(300, 100, bias=False))
        with torch.no_grad():
            torch.nn.init.uniform_(module[0].weight, 2, 3)
        return module

    thin = torch.randn(100, 300) * (torch.rand(100, 300) < 0.1)
    save_file({"0.weight": thin}, tmp_path / "m.safetensors")
    path = tmp_path / "a.seed"
    extract(tmp_path / "m.safetensors", path, name="a", codec="sparse", chunk_nbytes=1024)
    with open_unverified(path) as contents:
        damage(path, contents, 1)
    out = tmp_path / "salvaged.safetensors"
    with open_unverified(path, damaged=True) as contents:
        report = assemble_salvaged(contents, out, insecure=True, factory=draw)
    assert report.filled == ("0.weight",)
    with safe_open(out, "pt") as file:
        assert file.get_tensor("0.weight").min() >= 2


@pytest.mark.spec("SLV-4")
def test_a_lost_layer_that_the_architecture_does_not_know_is_zero_beside_those_drawn(tmp_path):
    class_name, config_name, settings = FAMILIES["bert"]
    build(tmp_path / "m", class_name, config_name, **settings)
    weights = tmp_path / "m" / "model.safetensors"
    own = "a_head_of_its_own.weight"
    save_file(load_file(weights) | {own: torch.rand(40, 40)}, weights, {"format": "pt"})
    path, query = tmp_path / "a.seed", "bert.encoder.layer.0.attention.self.query.weight"
    extract(tmp_path / "m", path, name="a", chunk_nbytes=256)
    with open_unverified(path) as contents:
        lost = [
            c for layer, chunks in contents.layers() if layer.name in {own, query} for c in chunks
        ]
        damage(path, contents, *(chunk.index for chunk in lost))
    with open_unverified(path, damaged=True) as contents:
        report = assemble_salvaged(contents, tmp_path / "salvaged", insecure=True)
    assert {loss.name for loss in report.layers} == {own, query}
    assert report.filled == (query,)
    state = load_file(tmp_path / "salvaged" / "model.safetensors")
    assert not state[own].any()
    assert state[query].any()
