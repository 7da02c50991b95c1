"""Some layers from the seed, all others as the class draws them, and nobody is left in doubt."""

from __future__ import annotations

import pytest
import torch
import transformers

from seedpack.assemble import assemble
from seedpack.errors import AssemblyError
from seedpack.extract import extract
from seedpack.seed.opening import open_seed
from tests.builders import CREATED, NOW, make_key, trusting

KEY = make_key()
GLOB = "*embeddings*"


@pytest.fixture
def opened(families, tmp_path):
    def open_(family):
        path = tmp_path / f"{family}.seed"
        extract(families[family], path, name="acme/m", created=CREATED, key=KEY)
        return open_seed(path, store=trusting(KEY), now=NOW)

    return open_


def load(folder):
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers.AutoModelForMaskedLM.from_pretrained(folder).state_dict()


@pytest.mark.spec("ASM-7")
def test_layers_left_out_are_initial_values_named_in_the_report(opened, families, tmp_path):
    with opened("bert") as seed:
        report = assemble(seed, tmp_path / "a", layers=GLOB, fill_missing=5)
        again = assemble(seed, tmp_path / "b", layers=GLOB, fill_missing=5)
        other = assemble(seed, tmp_path / "c", layers=GLOB, fill_missing=6)
        names = {layer.name for layer in seed.manifest.layers}
    taken = names - set(report.filled)
    assert taken == {name for name in names if "embeddings" in name}
    assert report.layers == len(taken) < report.layers_total == len(names)
    original, filled, drawn = load(families["bert"]), load(report.output), load(other.output)
    assert all(torch.equal(filled[name], original[name]) for name in taken)
    query = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(filled[query], original[query])
    assert not torch.equal(filled[query], drawn[query])
    assert 0.01 < float(filled[query].std()) < 0.03  # BERT draws with 0.02
    files = [report.output / "model.safetensors", again.output / "model.safetensors"]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.spec("ASM-1", "ASM-7")
def test_nothing_is_filled_unless_asked_for(opened, tmp_path):
    with opened("bert") as seed:
        with pytest.raises(AssemblyError) as caught:
            assemble(seed, tmp_path / "out", layers=GLOB)
        assert caught.value.rule == "ASM-1"
        for options in ({"layers": None}, {"layers": GLOB, "output": "out.safetensors"}):
            output = tmp_path / options.pop("output", "out")
            with pytest.raises(ValueError, match="to fill"):
                assemble(seed, output, fill_missing=1, **options)
            assert not output.exists()


@pytest.mark.spec("ASM-7")
def test_layers_that_are_merged_cannot_be_filled(opened, tmp_path):
    with opened("mixtral") as seed, pytest.raises(AssemblyError) as caught:
        assemble(seed, tmp_path / "out", layers="model.embed_tokens*", fill_missing=1)
    assert caught.value.rule == "ASM-7"
    assert not (tmp_path / "out").exists()


def test_filling_leaves_the_caller_s_random_numbers_alone(opened, tmp_path):
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    with opened("bert") as seed:
        assemble(seed, tmp_path / "out", layers=GLOB, fill_missing=1)
    assert torch.equal(torch.rand(3), expected)
