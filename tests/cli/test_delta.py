"""Delta seeds on the command line: what needs the base, and what becomes of a wrong one."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from spec.vectors.builders.codec_delta import FILE, OTHER, base_digest
from tests.vectors.readers import FOLDER

SEED = FOLDER / "codecs" / "delta-ecq-float16.seed"
TRUST = ("--trust", FOLDER / "trust" / "default.json", "--now", 1_700_000_000, "--no-record")


def test_inspect_shows_the_base(shell):
    assert f"acme/tiny-base, tensors' digest {base_digest().hex()}" in shell("inspect", SEED).stdout
    row = json.loads(shell("inspect", SEED, "--format", "json").stdout)
    assert row["base"] == {"name": "acme/tiny-base", "digest": base_digest().hex()}


@pytest.mark.spec("BAS-1")
def test_only_decoding_needs_the_base(shell):
    assert shell("verify", SEED, *TRUST).status == 0
    refused = shell("verify", SEED, *TRUST, "--decode")
    assert refused.status == 6
    assert "BAS-1" in refused.stderr
    assert "--base" in refused.stderr
    assert shell("verify", SEED, *TRUST, "--decode", "--base", FOLDER / FILE).status == 0


@pytest.mark.spec("BAS-2")
def test_a_delta_is_assembled_over_its_base_and_no_other(shell):
    out = shell.folder / "out.safetensors"
    refused = shell("assemble", SEED, "-o", out, *TRUST, "--base", FOLDER / OTHER)
    assert (refused.status, out.exists()) == (5, False)
    assert "BAS-2" in refused.stderr
    assert shell("assemble", SEED, "-o", out, *TRUST, "--base", FOLDER / FILE).status == 0
    assert out.exists()


@pytest.mark.spec("BAS-6")
def test_a_base_seed_of_a_stranger_is_not_trusted(shell):
    base = FOLDER / "trust" / "stranger.seed"
    refused = shell("assemble", SEED, "-o", "out.safetensors", *TRUST, "--base", base)
    assert refused.status == 4
    assert not (shell.folder / "out.safetensors").exists()


def test_a_tuned_model_goes_through_a_delta_seed(shell):
    random = np.random.default_rng(1)
    base = {"w": random.normal(0, 1, (200, 300)).astype(np.float32)}
    model = {"w": base["w"] + random.normal(0, 0.01, (200, 300)).astype(np.float32)}
    save_file(base, shell.folder / "base.safetensors")
    save_file(model, shell.folder / "model.safetensors")
    assert shell("keygen", "alice", "--no-passphrase").status == 0
    over = ("--base", "base.safetensors")
    words = ("extract", "model.safetensors", "-o", "d.seed", *over, "--key", "alice.key")
    assert shell(*words, "--ratio", 10).status == 0
    trust = ("--key", "alice.pub")
    assert shell("verify", "d.seed", *trust, "--decode", *over).status == 0
    assert shell("assemble", "d.seed", "-o", "out.safetensors", *trust, *over).status == 0
    result = load_file(shell.folder / "out.safetensors")["w"]
    assert np.abs(result - model["w"]).max() < 0.05
    wrong = shell(*words, "--codec", "q8", "--force")
    assert wrong.status == 2
    assert "codec of its own" in wrong.stderr


def test_several_seeds_are_assembled_and_the_status_is_that_of_the_refused(shell):
    good = FOLDER / "codecs" / "delta-same.seed"
    bad = FOLDER / "codecs" / "delta-sign-pad.seed"
    words = ("assemble", good, bad, SEED, "-o", "out", *TRUST, "--base", FOLDER / FILE)
    done = shell(*words)
    assert done.status == 6
    assert "COD-DLT-5" in done.stderr
    assert sorted(path.name for path in (shell.folder / "out").iterdir()) == [
        "delta-ecq-float16.safetensors",
        "delta-same.safetensors",
    ]
    assert shell(*words, "--layers", "w").status == 2
    assert shell("assemble", good, good, "-o", "out", *TRUST).status == 2
