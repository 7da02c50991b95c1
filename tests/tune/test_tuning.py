"""Tuning: every task, the control arm, determinism, and what is refused or interrupted."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import transformers

import seedpack
from seedpack.errors import StoreError, TrainingError
from seedpack.training.recipes import default_recipe
from seedpack.tune import TunePlan, load_classifier, load_split, tune, tune_arm
from tests.refusals import refused_by

TASKS = [
    ("text-classification", "texts.tsv", "bert", None, "accuracy"),
    ("token-classification", "tags.conll", "bert", None, "entity-f1"),
    ("question-answering", "squad.json", "bert", None, "f1"),
    ("language-modeling", "lines.txt", "gpt2", None, "next-token-accuracy"),
    ("language-modeling", "lines.txt", "bert", None, "next-token-accuracy"),
    ("image-classification", "images.npz", "vit", None, "accuracy"),
    ("image-classification", "classes.npz", "net", "build", "accuracy"),
    ("image-classification", "images", "vit", None, "accuracy"),
    ("generic", "classes.npz", "net", "build", "accuracy"),
    ("generic", "numbers.npz", "line", "build_numbers", "r2"),
]


def split_of(data, task, name, plan):
    return load_split(task, data["train"] / name, data["eval"] / name, plan)


def contents(output):
    paths = [output] if output.is_file() else sorted(output.iterdir())
    return [path.read_bytes() for path in paths]


@pytest.fixture
def run(models, data):
    def tuned(task, name, model, function=None, *, output=None, progress=None, **settings):
        factory = f"{models['factory']}:{function}" if function else None
        plan = TunePlan(factory=factory, **{"epochs": 1, **settings})
        return tune(
            models[model],
            split_of(data, task, name, plan),
            plan,
            output=output,
            progress=progress,
        )

    return tuned


@pytest.mark.spec("TRN-15")
@pytest.mark.parametrize(("task", "name", "model", "function", "metric"), TASKS)
def test_TRN_15_every_task_reports_its_control_arm_and_levels(
    run, task, name, model, function, metric
):
    report = run(task, name, model, function)
    assert [arm.arm for arm in report.arms] == ["assembled", "random-init"]
    for arm in report.arms:
        first = arm.metrics[0]
        assert first.metric == metric
        assert first.n > 0
        assert first.interval.low <= first.value <= first.interval.high
        assert (len(first.by_seed), report.seeds) == (1, (0,))
        assert first.chance <= 1
        assert first.majority <= 1
    assert report.control_difference is not None
    json.dumps(report.as_dict(), allow_nan=False)


def test_control_arm_can_be_declined_and_original_be_added(run, models):
    alone = run("text-classification", "texts.tsv", "bert", control=False)
    assert [arm.arm for arm in alone.arms] == ["assembled"]
    assert (alone.control_difference, alone.control_p, alone.retention) == (None, None, None)
    beside = run(
        "text-classification", "texts.tsv", "bert", original=models["bert"], nseeds=2, epochs=8
    )
    assert [arm.arm for arm in beside.arms] == ["assembled", "random-init", "original"]
    # The same weights tuned alike: all of it is kept, exactly.
    assert beside.arms[0].metrics == beside.arms[2].metrics
    assert beside.retention.value == 1


@pytest.mark.spec("TRN-14")
@pytest.mark.parametrize(
    ("task", "name", "model", "function"),
    [
        ("text-classification", "texts.tsv", "bert", None),
        ("generic", "classes.npz", "net", "build"),
    ],
)
def test_TRN_14_same_seed_gives_the_same_bits(run, tmp_path, task, name, model, function):
    ending = ".safetensors" if function else ""
    outputs = [tmp_path / f"{i}{ending}" for i in range(3)]
    settings = [{"seed": 3}, {"seed": 3}, {"seed": 4}]
    reports = [
        run(task, name, model, function, output=output, samples=20, **setting)
        for output, setting in zip(outputs, settings, strict=True)
    ]
    assert dataclasses.replace(reports[1], output=None) == dataclasses.replace(
        reports[0], output=None
    )
    first, second, other = map(contents, outputs)
    assert first == second
    assert first != other


def test_tuned_folder_is_loaded_by_stock_classes_with_its_tokenizer(run, tmp_path):
    import transformers

    run("token-classification", "tags.conll", "bert", output=tmp_path / "tags")
    model = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "tags")
    assert set(model.config.id2label.values()) == {"B-LOC", "B-PER", "O"}
    run("text-classification", "texts.tsv", "bert", output=tmp_path / "texts")
    transformers.AutoModel.from_pretrained(tmp_path / "texts")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "texts")
    assert tokenizer("fine")["input_ids"] == [2, 5, 3]


def test_tuned_classifier_is_loaded_again_and_answers_as_it_was_judged(run, data, tmp_path):
    report = run("text-classification", "texts.tsv", "bert", output=tmp_path / "o", epochs=4)
    classifier = load_classifier(tmp_path / "o")
    rows = [line.split("\t") for line in (data["eval"] / "texts.tsv").read_text().splitlines()]
    answers = classifier.predict([text for text, _ in rows])
    hits = sum(a == b for a, (_, b) in zip(answers, rows, strict=True))
    assert hits / len(rows) == report.arms[0].metrics[0].value


def test_head_of_a_tuned_classifier_travels_in_a_seed_of_the_folder(run, data, tmp_path):
    run("text-classification", "texts.tsv", "bert", output=tmp_path / "tuned")
    seed = tmp_path / "tuned.seed"
    seedpack.extract_seed(tmp_path / "tuned", seed, name="a/tuned")
    with seedpack.open_unverified(seed) as contents:
        seedpack.assemble_seed(contents, tmp_path / "back", insecure=True)
    texts = [line.split("\t")[0] for line in (data["eval"] / "texts.tsv").read_text().splitlines()]
    answers = [load_classifier(tmp_path / name).predict(texts) for name in ("tuned", "back")]
    assert answers[0] == answers[1]


@pytest.mark.spec("TRN-7")
def test_TRN_7_folder_without_a_tuned_classifier_is_refused(models):
    with refused_by(TrainingError, "TRN-7"):
        load_classifier(models["bert"])


def test_robust_tuning_uses_the_robust_recipe_in_every_arm(run):
    report = run("text-classification", "texts.tsv", "bert", robust=True)
    assert report.recipe.exponent == 0.7
    assert len(report.arms) == 2


@pytest.mark.spec("TRN-19")
def test_TRN_19_robust_tuning_fits_every_sample(models, data, tmp_path):
    values = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    np.savez(tmp_path / "hundred.npz", x=values, y=values[:, :3].argmax(1))
    plan = TunePlan(factory=f"{models['factory']}:build")
    split = load_split("generic", tmp_path / "hundred.npz", data["eval"] / "classes.npz", plan)
    steps = {}
    for robust in (False, True):
        recipe = default_recipe(100, epochs=1, robust=robust)
        seen = []
        watch = {"progress": lambda _, total, seen=seen: seen.append(total)}
        tune_arm(models["net"], split, plan, recipe, seed=0, **watch)
        steps[robust] = max(seen)
    assert steps == {False: 80 // 16, True: -(-100 // 16)}


def test_facade_reads_data_and_tunes(models, data):
    paths = [data[part] / "texts.tsv" for part in ("train", "eval")]
    plan = TunePlan(samples=8, epochs=1)
    report = seedpack.tune_model(models["bert"], "text-classification", *paths, plan=plan)
    assert report.samples == 8


@pytest.mark.spec("TRN-13")
def test_TRN_13_loss_that_is_no_number_ends_it_and_writes_nothing(run, tmp_path):
    with refused_by(TrainingError, "TRN-13"):
        run("generic", "classes.npz", "broken", "build_broken", output=tmp_path / "o.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spec("TRN-7")
@pytest.mark.parametrize(
    ("task", "name", "model", "function"),
    [
        ("text-classification", "texts.tsv", "vit", None),  # no tokenizer
        ("text-classification", "texts.tsv", "net", None),  # no architecture
        ("generic", "classes.npz", "net", None),
        ("generic", "numbers.npz", "net", "build"),  # three outputs for one number
        ("image-classification", "images.npz", "net", "build"),  # another shape
        ("text-classification", "texts.tsv", "net", "build"),  # a module for texts
        ("image-classification", "images.npz", "bert", None),
    ],
)
def test_TRN_7_model_that_does_not_fit_the_task_is_refused(run, task, name, model, function):
    with refused_by(TrainingError, "TRN-7"):
        run(task, name, model, function)


@pytest.mark.spec("TRN-7")
def test_TRN_7_stored_classifier_of_another_number_of_labels_is_refused(models, data, tmp_path):
    config = transformers.AutoConfig.from_pretrained(models["bert"], num_labels=5)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    for path in models["bert"].glob("*token*"):
        shutil.copy(path, tmp_path)
    plan = TunePlan(epochs=1)
    split = split_of(data, "text-classification", "texts.tsv", plan)
    with refused_by(TrainingError, "TRN-7"):
        tune(tmp_path, split, plan)


def test_existing_output_is_refused_before_training(run, tmp_path):
    steps = []
    with refused_by(StoreError, "OUT-2"):
        run(
            *("text-classification", "texts.tsv", "bert"),
            output=tmp_path,
            progress=lambda *step: steps.append(step),
        )
    assert steps == []


def test_progress_goes_up_to_the_end_for_each_arm(run):
    steps = []
    run("generic", "classes.npz", "net", "build", progress=lambda *step: steps.append(step))
    for arm in ("assembled", "random-init"):
        shares = [done / total for name, done, total in steps if name == arm]
        assert shares == sorted(shares)
        assert shares[-1] == 1


class _Stopped(Exception):  # noqa: N818 -- says what happened
    pass


@pytest.mark.spec("TRN-18")
def test_TRN_18_interrupted_tuning_goes_on_with_the_arm_that_it_had_reached(run, tmp_path):
    net, kept = ("generic", "classes.npz", "net", "build"), tmp_path / "kept"
    whole = run(*net, epochs=3, output=tmp_path / "whole.safetensors")

    def stop(arm, done, total):
        if arm == "random-init" and done > total / 2:
            raise _Stopped

    with pytest.raises(_Stopped):
        run(*net, epochs=3, checkpoints=kept, progress=stop)
    assert sorted(path.name for path in kept.iterdir()) == [
        "assembled-0.safetensors",
        "random-init-0.safetensors",
    ]
    steps = []
    output = tmp_path / "resumed.safetensors"
    resumed = run(
        *net,
        epochs=3,
        checkpoints=kept,
        output=output,
        progress=lambda arm, done, total: steps.append((arm, done / total)),
    )
    assert steps[0] == ("assembled", 1)  # it was done
    assert steps[1] > ("random-init", 1 / 3)  # an epoch of it was
    assert dataclasses.replace(resumed, output=whole.output) == whole
    assert output.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize("samples", [5, 50])
def test_few_samples_are_enough_to_run(run, data, samples):
    name = "texts.tsv"
    if samples > 48:
        with refused_by(TrainingError, "TRN-8"):
            run("text-classification", name, "bert", samples=samples)
        return
    report = run("text-classification", name, "bert", samples=samples, epochs=None)
    assert report.samples == 5
    assert report.arms[0].metrics[0].n == len((data["eval"] / name).read_text("utf-8").splitlines())
