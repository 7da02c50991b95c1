"""Students: a smaller model that learned from the one asked for, and says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seedpack import SeedError, assemble_seed, open_unverified
from seedpack.extract.student import extract_student, teacher_digest
from seedpack.frameworks import open_model
from seedpack.training.distillation import Effort
from seedpack.training.resumption import Progress

ROOT = Path(__file__).resolve().parents[2]
WORDS = [f"w{i}" for i in range(400)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
EFFORT = Effort(epochs=3, batch=16)


def _tokenizer(folder):
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=16
    ).save_pretrained(folder)
    (folder / "README.md").write_text("of the teacher")
    (folder / "LICENSE").write_text("MIT")
    return folder


def _teacher(folder, name, **settings):
    """Return a folder with a random model of two layers, whose words differ much."""
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    config = getattr(transformers, f"{name[0]}Config")(vocab_size=len(SPECIAL + WORDS), **settings)
    model = getattr(transformers, f"{name[0]}{name[1]}")(config).eval()
    with torch.no_grad():
        model.get_input_embeddings().weight.normal_()
    model.save_pretrained(folder)
    return _tokenizer(folder)


@pytest.fixture(scope="session")
def bert_teacher(tmp_path_factory):
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    return _teacher(
        tmp_path_factory.mktemp("bert"),
        ("Bert", "Model"),
        num_hidden_layers=2,
        max_position_embeddings=20,
        **sizes,
    )


@pytest.fixture(scope="session")
def gpt_teacher(tmp_path_factory):
    return _teacher(
        tmp_path_factory.mktemp("gpt"),
        ("GPT2", "LMHeadModel"),
        n_layer=2,
        n_embd=32,
        n_head=2,
        n_positions=20,
        tie_word_embeddings=False,  # else every model answers with what it read
        bos_token_id=2,
        eos_token_id=3,
    )


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    random = np.random.default_rng(1)
    lines = (" ".join(random.choice(WORDS, random.integers(3, 9))) for _ in range(600))
    path = tmp_path_factory.mktemp("text") / "train.txt"
    path.write_text("\n".join(lines))
    return path


def _make(teacher, text, out, **options):
    options = {"max_nbytes": 14_000, "effort": EFFORT, "created": 0, **options}
    return extract_student(teacher, out, name="t/student", train=[text], **options)


def _refused(rule, *arguments, **options):
    with pytest.raises(SeedError) as caught:
        _make(*arguments, **options)
    assert caught.value.rule == rule
    assert not arguments[2].exists()


@pytest.fixture(scope="session")
def static(bert_teacher, text, tmp_path_factory):
    out = tmp_path_factory.mktemp("static") / "s.seed"
    return out, _make(bert_teacher, text, out)


@pytest.mark.spec("EXT-48", "EXT-45")
def test_static_student_comes_nearer_to_its_teacher_than_its_control_arm(static):
    _, report = static
    assert report.kind == "static"
    assert float(report.claim.interval_low) > float(report.claim.control_value) + 0.3
    assert report.claim.evaluated == 30  # 5 % of 600, held out


@pytest.mark.spec("EXT-44", "EXT-45")
def test_EXT_44_seed_and_report_say_that_it_is_a_student_and_of_what(static, bert_teacher):
    out, report = static
    digest = teacher_digest(open_model(bert_teacher))
    with open_unverified(out) as seed:
        recipe, claims = seed.manifest.recipe, seed.manifest.claims
    assert recipe["student"].startswith("static")
    assert recipe["teacher"] == report.teacher == bert_teacher.name
    assert recipe["teacher_digest"] == report.teacher_digest == digest
    assert claims == [report.claim]


@pytest.mark.spec("EXT-48", "EXT-45", "EXT-46")
def test_stock_loader_rebuilds_the_student_that_was_judged(static, bert_teacher, text, tmp_path):
    import torch
    import transformers

    out, report = static
    with open_unverified(out) as seed:
        assemble_seed(seed, tmp_path / "m", insecure=True)
    assert (tmp_path / "m" / "LICENSE").exists()
    assert not (tmp_path / "m" / "README.md").exists()
    held_out = _held_out(text)
    means = []
    for folder in (bert_teacher, tmp_path / "m"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder)
        with torch.inference_mode():
            rows = [torch.tensor([tokenizer(line)["input_ids"]]) for line in held_out]
            means.append(torch.cat([model(row).last_hidden_state.mean(1) for row in rows]))
    cosine = float(torch.nn.functional.cosine_similarity(*means).mean())
    assert abs(cosine - float(report.claim.value)) < 1e-3


def _held_out(text):
    from seedpack.training.passages import read_passages

    return read_passages([text], seed=0).held_out


@pytest.mark.spec("EXT-16", "EXT-17")
def test_size_asked_for_is_that_of_the_whole_file(static, bert_teacher, text, tmp_path):
    assert 0.98 * 14_000 <= static[0].stat().st_size <= 14_000
    nbytes = sum(info.nbytes for info in open_model(bert_teacher).infos())
    report = _make(bert_teacher, text, tmp_path / "r.seed", max_nbytes=None, ratio=nbytes / 14_000)
    assert abs((tmp_path / "r.seed").stat().st_size / 14_000 - 1) <= 0.02
    assert report.ratio == pytest.approx(nbytes / 14_000, rel=0.02)


@pytest.mark.spec("EXT-47")
def test_EXT_47_same_bits_again_and_after_a_stop(bert_teacher, text, tmp_path, static):
    stops = iter([False] * 60 + [True] * 1000)

    class Stop(Exception):  # noqa: N818 -- what a user's Ctrl-C is
        pass

    def stop(done, total):
        if next(stops):
            raise Stop

    with pytest.raises(Stop):
        _make(bert_teacher, text, tmp_path / "s.seed", checkpoint=tmp_path / "c", progress=stop)
    kept = json.loads((tmp_path / "c" / "progress.json").read_text())["stages"]
    assert any(stage.startswith("student-") for stage in kept)
    _make(bert_teacher, text, tmp_path / "s.seed", checkpoint=tmp_path / "c")
    assert (tmp_path / "s.seed").read_bytes() == static[0].read_bytes()


@pytest.mark.spec("EXT-47")
def test_EXT_47_checkpoint_of_other_texts_or_damaged_is_refused(bert_teacher, text, tmp_path):
    folder, out = tmp_path / "c", tmp_path / "s.seed"
    _make(bert_teacher, text, out, checkpoint=folder)
    out.unlink()
    other = tmp_path / "other.txt"
    other.write_text(text.read_text() + "\nw1 w2 w3")
    _refused("EXT-47", bert_teacher, other, out, checkpoint=folder)
    (folder / "teacher.safetensors").write_bytes(b"")
    _refused("EXT-47", bert_teacher, text, out, checkpoint=folder)
    (folder / "progress.json").write_text("[]")
    _refused("EXT-47", bert_teacher, text, out, checkpoint=folder)


@pytest.mark.spec("EXT-47")
@pytest.mark.parametrize("content", ["", "[" * 100_000, "[]", '{"reading": 1, "stages": 2}'])
def test_EXT_47_progress_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "progress.json").write_text(content)
    with pytest.raises(SeedError) as caught:
        Progress(tmp_path, "reading", "learning")
    assert caught.value.rule == "EXT-47"


@pytest.mark.spec("EXT-48", "EXT-45")
def test_shallow_student_of_a_language_model_keeps_a_layer_and_answers_alike(
    gpt_teacher, text, tmp_path
):
    report = _make(gpt_teacher, text, tmp_path / "g.seed", max_nbytes=36_000)
    assert report.kind == "shallow"
    with open_unverified(tmp_path / "g.seed") as seed:
        config = json.loads(seed.manifest.architecture.config)
        names = [layer.name for layer in seed.manifest.layers]
    assert config["n_layer"] == 1
    assert "transformer.h.0.attn.c_attn.weight" in names
    assert not any(".h.1." in name for name in names)
    assert report.claim.metric == "same answer as teacher"
    assert float(report.claim.value) > float(report.claim.control_value) + 0.2


@pytest.mark.spec("EXT-48")
def test_shallow_student_starts_from_every_other_layer(bert_teacher):
    from seedpack.training.students import layer_map

    config = json.loads((bert_teacher / "config.json").read_text())
    assert layer_map({**config, "num_hidden_layers": 3}, {**config, "num_hidden_layers": 6}) == {
        0: 1,
        1: 3,
        2: 5,
    }


@pytest.mark.spec("EXT-41")
def test_EXT_41_configuration_given_is_used(bert_teacher, text, tmp_path):
    config = json.loads((bert_teacher / "config.json").read_text())
    path = tmp_path / "student.json"
    path.write_text(json.dumps({**config, "num_hidden_layers": 1, "intermediate_size": 16}))
    out = tmp_path / "s.seed"
    report = _make(bert_teacher, text, out, student=path, max_nbytes=36_000)
    assert (report.kind, report.why) == ("shallow", "as given")
    assert float(report.claim.interval_low) > float(report.claim.control_value)


@pytest.mark.spec("EXT-41")
@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "nobody-knows"},
        {"vocab_size": 7},
        {"hidden_size": 48},
        {"auto_map": {"AutoModel": "code.Model"}},
        {"num_attention_heads": 5},
    ],
)
def test_EXT_41_configuration_that_cannot_stand_in_is_refused(bert_teacher, text, tmp_path, change):
    config = json.loads((bert_teacher / "config.json").read_text())
    path = tmp_path / "student.json"
    path.write_text(json.dumps({**config, **change}))
    _refused("EXT-41", bert_teacher, text, tmp_path / "s.seed", student=path)


@pytest.mark.spec("EXT-41")
def test_EXT_41_no_such_configuration_is_refused(bert_teacher, text, tmp_path):
    path = tmp_path / "none.json"
    _refused("EXT-41", bert_teacher, text, tmp_path / "s.seed", student=path)
    path.write_text("{")
    _refused("EXT-41", bert_teacher, text, tmp_path / "s.seed", student=path)


@pytest.mark.spec("EXT-42")
def test_EXT_42_too_little_text_is_refused(bert_teacher, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("w1 w2. w3 w4.")
    _refused("EXT-42", bert_teacher, short, tmp_path / "s.seed")


@pytest.mark.spec("EXT-42", "TRN-7")
def test_EXT_42_data_that_are_no_text_are_refused(bert_teacher, tmp_path):
    np.savez(tmp_path / "images.npz", x=np.zeros((20, 4)), y=np.zeros(20, np.int64))
    _refused("TRN-7", bert_teacher, tmp_path / "images.npz", tmp_path / "s.seed")


@pytest.mark.spec("EXT-43")
@pytest.mark.parametrize("nbytes", [1_000, 900_000])
def test_EXT_43_size_out_of_reach_is_refused_with_the_range(bert_teacher, text, tmp_path, nbytes):
    with pytest.raises(SeedError, match=r"reach from about [0-9]+ to [0-9]+") as caught:
        _make(bert_teacher, text, tmp_path / "s.seed", max_nbytes=nbytes)
    assert caught.value.rule == "EXT-43"


@pytest.mark.spec("EXT-48")
@pytest.mark.parametrize("family", ["vit", "t5", "bert"])
def test_EXT_48_what_reads_no_text_or_has_no_tokenizer_is_refused(families, text, tmp_path, family):
    folder = families[family]
    if family != "bert":
        folder = tmp_path / family
        folder.mkdir()
        for path in families[family].iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        _tokenizer(folder)
    _refused("EXT-48", folder, text, tmp_path / "s.seed")


@pytest.mark.spec("EXT-46")
def test_EXT_46_files_that_the_tokenizer_does_not_need_are_left_out(minilm):
    from seedpack.training.readers import spare_files

    source = open_model(minilm)
    config = source.architecture.config
    kept, left_out = spare_files(source, config, ["A film, and a good one.", "naïve 漢字"])
    assert "vocab.txt" in {file.name for file in kept}
    assert {"README.md", "tokenizer.json"} <= {file.name for file in left_out}
    assert all(file.reason for file in left_out)


def _shell(folder, *words):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "seedpack_cli", *map(str, words)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.spec("EXT-44")
def test_EXT_44_command_line_says_it_at_every_step(bert_teacher, text, tmp_path):
    words = ("--student", "auto", "--train", text, "--max-bytes", 14_000, "--epochs", 1)
    done = _shell(
        tmp_path, "extract", bert_teacher, "-o", "s.seed", *words, "--format", "json", "--name", "s"
    )
    assert done.returncode == 0, done.stderr
    digest = json.loads(done.stdout)["student"]["teacher_digest"]
    assert "STUDENT" in done.stderr
    shown = _shell(tmp_path, "inspect", "s.seed")
    assert f"student    of {bert_teacher.name}, {digest}" in shown.stdout
    built = _shell(tmp_path, "assemble", "s.seed", "-o", "m", "--insecure-skip-verification")
    assert built.returncode == 0, built.stderr
    assert "student (static, auto: of an encoder without head" in built.stderr
    assert digest in built.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--student", "auto", "--ratio", 5),
        ("--student", "auto", "--train", "t.txt"),
        ("--train", "t.txt"),
        ("--checkpoint", "c"),
    ],
)
def test_options_that_do_not_go_together_are_a_wrong_call(bert_teacher, tmp_path, words):
    done = _shell(tmp_path, "extract", bert_teacher, "-o", "s.seed", *words)
    assert done.returncode == 2
    assert not (tmp_path / "s.seed").exists()
