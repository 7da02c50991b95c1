"""``extract --ratio`` and ``--max-bytes``: the size asked for, or a reason why not."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file


@pytest.fixture
def model(tmp_path):
    random = np.random.default_rng(3)
    save_file(
        {f"w{i}": random.normal(0, i + 1, (200, 300)).astype(np.float32) for i in range(3)},
        tmp_path / "m.safetensors",
    )
    return tmp_path / "m.safetensors"


@pytest.mark.spec("EXT-16")
def test_EXT_16_ratio_makes_a_file_of_that_size(shell, model):
    done = shell("extract", model, "-o", "m.seed", "--ratio", 8, "--format", "json")
    assert done.status == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["codec"] == "tcq"
    assert row["target"] == "ratio 8"
    assert abs((shell.folder / "m.seed").stat().st_size / (3 * 240_000 / 8) - 1) <= 0.02


@pytest.mark.spec("EXT-17")
def test_EXT_17_file_is_never_larger_than_asked_for(shell, model):
    words = ("extract", model, "-o", "m.seed", "--max-bytes", 80_000, "--codec", "ecq")
    assert shell(*words).status == 0
    assert 0.98 * 80_000 <= (shell.folder / "m.seed").stat().st_size <= 80_000


@pytest.mark.spec("EXT-19")
def test_EXT_19_user_is_told_how_bits_were_given_and_no_figure(shell, model):
    done = shell("extract", model, "-o", "m.seed", "--ratio", 8)
    assert "by equal relative error" in done.stderr
    assert "not known before it is measured" in done.stderr
    assert "%" not in done.stdout


@pytest.mark.spec("EXT-18")
def test_EXT_18_size_out_of_reach_is_refused_with_the_range(shell, model):
    done = shell("extract", model, "-o", "m.seed", "--max-bytes", 1000)
    assert done.status == 1
    assert "EXT-18" in done.stderr
    assert "reachable" in done.stderr
    assert not (shell.folder / "m.seed").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--ratio", 8, "--max-bytes", 1000),
        ("--ratio", 8, "--codec", "raw"),
        ("--max-bytes", 1000, "--codec", "q8"),
        ("--ratio", "nan"),
        ("--ratio", "inf"),
        ("--ratio", 0.5),
        ("--max-bytes", 0),
    ],
)
def test_targets_that_make_no_sense_are_wrong_usage(shell, model, words):
    assert shell("extract", model, "-o", "m.seed", *words).status == 2
    assert not (shell.folder / "m.seed").exists()


@pytest.mark.spec("EXT-62")
def test_EXT_62_preset_makes_a_file_of_its_size_and_is_named(shell, model):
    done = shell("extract", model, "-o", "m.seed", "--preset", "tiny", "--format", "json")
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["target"] == "preset tiny"
    assert abs((shell.folder / "m.seed").stat().st_size / (180_000 * 2.1 / 8) - 1) <= 0.02


@pytest.mark.spec("EXT-61")
def test_EXT_61_text_for_a_model_that_is_not_run_is_refused(shell, model):
    (shell.folder / "text.txt").write_text("\n".join(f"line {i}" for i in range(30)))
    words = ("extract", model, "-o", "m.seed", "--ratio", 8, "--calibration", "text.txt")
    done = shell(*words)
    assert done.status == 1
    assert "EXT-61" in done.stderr
    assert not (shell.folder / "m.seed").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--preset", "huge"),
        ("--preset", "tiny", "--ratio", 8),
        ("--preset", "tiny", "--codec", "ecq"),
        ("--preset", "lossless", "--calibration", "text.txt"),
        ("--calibration", "text.txt"),
    ],
)
def test_presets_and_text_that_make_no_sense_are_wrong_usage(shell, model, words):
    (shell.folder / "text.txt").write_text("\n".join(f"line {i}" for i in range(30)))
    assert shell("extract", model, "-o", "m.seed", *words).status == 2
    assert not (shell.folder / "m.seed").exists()
