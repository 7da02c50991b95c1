"""What a framework's folder is made of comes back: dtypes, ties, heads, shards, processors."""

from __future__ import annotations

import json

import pytest
import torch
import transformers

from seedpack.assemble import assemble
from seedpack.errors import ExtractError
from seedpack.extract import extract
from seedpack.seed.opening import open_seed
from tests.builders import CREATED, NOW, make_key, trusting
from tests.frameworks.models import FAMILIES

KEY = make_key()
LOSSY = {"codec": "ecq"}


def carried(folder, tmp_path, **options):
    """Extract ``folder``, assemble it, and return where."""
    seed = tmp_path / "m.seed"
    extract(folder, seed, name="acme/m", created=CREATED, key=KEY, **options)
    with open_seed(seed, store=trusting(KEY), now=NOW) as contents:
        return assemble(contents, tmp_path / "out")


def make(folder, family, *, dtype=torch.float32, class_name=None, shard="5GB", **changes):
    """Save a small model as its users would."""
    model_class, config_class, settings = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, config_class)(**settings, **changes)
    model = getattr(transformers, class_name or model_class)(config).to(dtype).eval()
    model.save_pretrained(folder, max_shard_size=shard)
    return model


def load(report, class_name):
    loader = getattr(transformers, class_name)
    model, info = loader.from_pretrained(report.output, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    return model.eval()


@pytest.fixture(autouse=True)
def _quiet_transformers():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


@pytest.mark.parametrize("options", [{}, LOSSY], ids=["raw", "ecq"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_stay_so(tmp_path, dtype, options):
    original = make(tmp_path / "m", "gpt2", dtype=dtype)
    model = load(carried(tmp_path / "m", tmp_path, **options), "AutoModelForCausalLM")
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert model.lm_head.weight is model.transformer.wte.weight
    if not options:
        state = model.state_dict()
        assert all(torch.equal(state[k], v) for k, v in original.state_dict().items())


@pytest.mark.parametrize(
    ("family", "auto", "ties"),
    [
        ("gpt2", "AutoModelForCausalLM", ("lm_head.weight", "transformer.wte.weight")),
        ("t5", "AutoModelForSeq2SeqLM", ("shared.weight", "encoder.embed_tokens.weight")),
        (
            "bert",
            "AutoModelForMaskedLM",
            ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ),
    ],
)
def test_tied_parameters_are_one_object_again(tmp_path, family, auto, ties):
    make(tmp_path / "m", family)
    report = carried(tmp_path / "m", tmp_path, **LOSSY)
    first, second = (load(report, auto).get_parameter(name) for name in ties)
    assert torch.equal(first, second)
    model = load(report, auto)
    assert model.get_parameter(ties[0]) is model.get_parameter(ties[1])


def test_head_and_its_labels_come_back(tmp_path):
    labels = {0: "bad", 1: "good", 2: "so so"}
    head = "BertForSequenceClassification"
    original = make(tmp_path / "m", "bert", class_name=head, id2label=labels)
    model = load(carried(tmp_path / "m", tmp_path), "AutoModelForSequenceClassification")
    assert model.config.id2label == labels
    ids = torch.arange(8)[None]
    with torch.no_grad():
        assert torch.equal(model(ids).logits, original(ids).logits)


def test_model_in_shards_becomes_one_file_of_the_same_values(tmp_path):
    original = make(tmp_path / "m", "bert", shard="8KB")
    assert len(list((tmp_path / "m").glob("model-*.safetensors"))) > 1
    report = carried(tmp_path / "m", tmp_path)
    assert [path.name for path in report.output.glob("*.safetensors*")] == ["model.safetensors"]
    state = load(report, "AutoModelForMaskedLM").state_dict()
    assert all(torch.equal(state[k], v) for k, v in original.state_dict().items())


@pytest.mark.spec("EXT-11")
def test_processor_files_travel_along_and_are_checked(tmp_path):
    make(tmp_path / "m", "vit")
    files = {
        "preprocessor_config.json": {"image_processor_type": "ViTImageProcessor", "size": 8},
        "processor_config.json": {"processor_class": "CLIPProcessor"},
        "video_preprocessor_config.json": {"do_resize": True},
        "chat_template.jinja": "{{ messages }}",
    }
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "m" / name).write_text(text)
    report = carried(tmp_path / "m", tmp_path)
    assert set(report.attachments) >= files.keys()
    for name in files:
        assert (report.output / name).read_bytes() == (tmp_path / "m" / name).read_bytes()
    pointing = tmp_path / "m" / "preprocessor_config.json"
    pointing.write_text(json.dumps({"auto_map": {"AutoImageProcessor": "own.Processor"}}))
    with pytest.raises(ExtractError) as caught:
        extract(tmp_path / "m", tmp_path / "bad.seed", name="acme/m", created=CREATED)
    assert caught.value.rule == "EXT-11"
