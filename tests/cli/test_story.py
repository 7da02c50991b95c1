"""A publisher and a consumer, command by command."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.cli.conftest import Shell, save_model

BOTH = ("--key", "acme.pub", "--key", "mallory.pub")


@pytest.fixture
def run(published, tmp_path):
    for file in published.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return Shell(tmp_path)


def test_a_seed_goes_from_model_to_model_unchanged(run):
    verified = run("verify", "good.seed", "--key", "acme.pub", "--decode")
    assembled = run("assemble", "good.seed", "-o", "back.safetensors", "--key", "acme.pub")
    assert (verified.status, assembled.status) == (0, 0), (verified.stderr, assembled.stderr)
    assert "good.seed: verified, acme/tiny version 3, 3 of 3 layers" in verified.stdout
    original = load_file(run.folder / "model.safetensors")
    rebuilt = load_file(run.folder / "back.safetensors")
    assert original.keys() == rebuilt.keys()
    for name, tensor in original.items():
        assert rebuilt[name].dtype == tensor.dtype
        assert np.array_equal(rebuilt[name], tensor)


def test_the_same_model_and_key_give_the_same_file(run):
    again = run(
        *("extract", "model.safetensors", "-o", "again.seed", "--name", "acme/tiny"),
        *("--version", 3, "--parity", 40, "--key", "acme.key"),
    )
    assert again.status == 0
    assert (run.folder / "again.seed").read_bytes() == (run.folder / "good.seed").read_bytes()


def test_verify_prints_one_json_object_a_seed(run):
    done = run("verify", "good.seed", "good.seed", "--key", "acme.pub", "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2
    assert rows[0]["schema"] == 1
    assert rows[0]["result"] == "verified"
    assert (rows[0]["name"], rows[0]["version"]) == ("acme/tiny", 3)
    assert rows[0]["layers"] == rows[0]["layers_total"] == 3


def test_a_refusal_names_code_rule_place_and_hint(run):
    data = bytearray((run.folder / "good.seed").read_bytes())
    data[-1] ^= 1
    (run.folder / "bad.seed").write_bytes(data)
    text = run("verify", "bad.seed", "--key", "acme.pub")
    assert text.status == 5
    assert text.stdout == ""
    first, hint, *_ = text.stderr.splitlines()
    assert first.startswith("seedpack: error[SP300]: parity is damaged or was changed")
    assert "[CHK-2, chunk " in first
    assert hint.startswith("  hint: ")
    row = json.loads(run("verify", "bad.seed", "--key", "acme.pub", "--format", "json").stdout)
    assert (row["result"], row["code"], row["rule"]) == ("refused", "SP300", "CHK-2")


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("verify", "absent.seed", "--key", "acme.pub"), 1, "SP700"),
        (("verify", "acme.pub", "--key", "acme.pub"), 3, "SP100"),
        (("verify", "good.seed", "--key", "mallory.pub"), 4, "SP201"),
        (("verify", "good.seed", *BOTH, "--threshold", 2), 4, "SP203"),
        (("verify", "good.seed", "--key", "acme.pub", "--now", 1), 4, "SP206"),
        (("verify", "good.seed", "--key", "acme.key"), 1, "SP600"),
        (("assemble", "good.seed", "-o", "x.safetensors", "--key", "mallory.pub"), 4, "SP201"),
        (("repair", "good.seed", "-o", "x.seed", "--key", "mallory.pub"), 4, "SP201"),
        (
            ("split", "good.seed", "-o", "x.seed", "--layers", "*", "--key", "mallory.pub"),
            4,
            "SP201",
        ),
        (("merge", "good.seed", "-o", "x.seed", "--key", "mallory.pub"), 4, "SP201"),
        (("sign", "good.seed", "--key", "acme.key"), 3, "SP100"),
        (("extract", "nothing", "-o", "x.seed"), 1, "SP800"),
    ],
)
def test_each_kind_of_failure_has_its_exit_status(run, words, status, code):
    before = sorted(run.folder.iterdir())
    done = run(*words)
    assert done.status == status
    assert f"error[{code}]" in done.stderr
    assert done.stdout == ""
    assert sorted(run.folder.iterdir()) == before


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "good.seed"),
        ("verify",),
        ("verify", "good.seed", "--trust", "t.json", "--key", "acme.pub"),
        ("verify", "good.seed", "--key", "acme.pub", "--layers", "nothing*"),
        ("assemble", "good.seed", "-o", "x.safetensors", "--key", "acme.pub", "--layers", "no"),
        ("split", "good.seed", "-o", "x"),
        ("split", "good.seed", "-o", "x", "--key", "acme.pub", "--parts", 9999),
        ("keygen", "../escape", "--no-passphrase"),
        ("sign", "good.seed", "--key", "mallory.key", "--expires", "soon"),
        ("frobnicate",),
    ],
)
def test_wrong_use_is_status_2_and_touches_nothing(run, words):
    before = {path: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    done = run(*words)
    assert done.status == 2
    assert done.stdout == ""
    assert before == {path: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}


def test_sign_adds_a_second_signature_and_keeps_the_seed(run):
    before = json.loads(run("inspect", "good.seed", "--format", "json").stdout)
    done = run("sign", "good.seed", "--key", "mallory.key", "--expires", "2099-01-01")
    assert done.status == 0, done.stderr
    after = json.loads(run("inspect", "good.seed", "--format", "json").stdout)
    assert after["seed_id"] == before["seed_id"]
    assert len(after["signatures"]) == 2
    both = (*BOTH, "--threshold", 2)
    assert run("verify", "good.seed", *both).status == 0
    late = run("verify", "good.seed", *both, "--now", 4_102_444_801)
    assert (late.status, "SP206" in late.stderr) == (4, True)


def test_a_trust_store_remembers_versions(run):
    for words in (
        ("trust", "init"),
        ("trust", "add", "acme", "--key", "acme.pub", "--may-sign", "acme/*"),
    ):
        assert run(*words).status == 0
    save_model(run.folder / "older.safetensors", scale=2.0)
    older = ("extract", "older.safetensors", "--name", "acme/tiny", "--key", "acme.key")
    assert run(*older, "-o", "older.seed", "--version", 2).status == 0
    assert run(*older, "-o", "twin.seed", "--version", 3).status == 0
    assert run("verify", "older.seed").status == 0
    assert run("verify", "good.seed").status == 0
    rolled_back = run("verify", "older.seed")
    assert (rolled_back.status, "[TRU-9" in rolled_back.stderr) == (4, True)
    equivocated = run("verify", "twin.seed")
    assert (equivocated.status, "[TRU-10" in equivocated.stderr) == (4, True)
    assert "acme/tiny version 3" in run("trust", "list").stdout
    assert run("trust", "forget", "acme/tiny").status == 0
    assert run("verify", "older.seed", "--no-record").status == 0
    assert json.loads(run("trust", "list", "--format", "json").stdout)["seen"] == {}


def test_judging_as_of_a_time_to_come_does_not_poison_the_store(run):
    run("trust", "init")
    run("trust", "add", "acme", "--key", "acme.pub")
    assert run("verify", "good.seed", "--now", 4_000_000_000).status == 0
    assert json.loads(run("trust", "list", "--format", "json").stdout)["seen"] != {}
    assert run("verify", "good.seed").status == 0


def test_a_revoked_key_no_longer_counts(run):
    run("trust", "init")
    key_id = json.loads(run("trust", "add", "acme", "--key", "acme.pub", "--format", "json").stdout)
    assert run("trust", "revoke", key_id["keys"][0]["key_id"][:12]).status == 0
    done = run("verify", "good.seed")
    assert (done.status, "SP204" in done.stderr) == (4, True)
    assert run("trust", "remove", "acme").status == 0
    assert "SP201" in run("verify", "good.seed").stderr


def test_parts_verify_by_themselves_and_merge_to_the_same_bytes(run):
    assert run("split", "good.seed", "-o", "parts", "--parts", 3, "--key", "acme.pub").status == 0
    parts = sorted((run.folder / "parts").iterdir())
    assert len(parts) == 3
    refused = run("verify", parts[0], "--key", "acme.pub")
    assert (refused.status, "[PRT-3" in refused.stderr) == (5, True)
    partly = run("verify", parts[0], "--key", "acme.pub", "--partial")
    assert (partly.status, "PARTLY verified" in partly.stdout) == (0, True)
    incomplete = run("merge", *parts[:2], "-o", "two.seed", "--key", "acme.pub")
    assert (incomplete.status, "still missing" in incomplete.stdout) == (0, True)
    assert run("merge", *parts, "-o", "all.seed", "--key", "acme.pub").status == 0
    assert (run.folder / "all.seed").read_bytes() == (run.folder / "good.seed").read_bytes()


def test_one_layer_can_travel_alone(run):
    done = run("split", "good.seed", "-o", "w.seed", "--layers", "*.weight", "--key", "acme.pub")
    assert done.status == 0
    verified = run("verify", "w.seed", "--key", "acme.pub", "--layers", "*.weight", "--decode")
    assert (verified.status, "1 of 3 layers" in verified.stdout) == (0, True)
    other = run("verify", "w.seed", "--key", "acme.pub", "--layers", "*.bias")
    assert (other.status, "[PRT-3" in other.stderr) == (5, True)


def test_repair_restores_the_file_bit_for_bit_or_writes_nothing(run):
    good = (run.folder / "good.seed").read_bytes()
    (run.folder / "cut.seed").write_bytes(good[: -len(good) // 10])
    fixed = run("repair", "cut.seed", "-o", "fixed.seed", "--key", "acme.pub")
    assert fixed.status == 0, fixed.stderr
    assert (run.folder / "fixed.seed").read_bytes() == good
    (run.folder / "gone.seed").write_bytes(good[: len(good) // 2])
    lost = run("repair", "gone.seed", "-o", "never.seed", "--key", "acme.pub")
    assert (lost.status, "[PAR-4" in lost.stderr) == (5, True)
    assert not (run.folder / "never.seed").exists()


def test_a_mirror_that_trusts_nobody_can_repair(run):
    good = (run.folder / "good.seed").read_bytes()
    (run.folder / "cut.seed").write_bytes(good[:-100])
    fixed = run("repair", "cut.seed", "-o", "fixed.seed")
    assert (fixed.status, "signatures were not checked" in fixed.stdout) == (0, True)
    assert (run.folder / "fixed.seed").read_bytes() == good


def test_diff_compares_decoded_tensors_whatever_the_codec(run):
    assert run("extract", "model.safetensors", "-o", "q.seed", "--codec", "q8").status == 0
    done = run("diff", "good.seed", "q.seed", "--format", "json")
    row = json.loads(done.stdout)
    assert row["verified"] is False
    assert row["changed"] == ["layer encoder.weight"]
    assert "layer encoder.bias" in row["same"]


@pytest.mark.parametrize(("codec", "most"), [("raw", 1.0), ("q8", 0.4), ("ecq", 0.3)])
def test_every_codec_makes_seeds_that_verify_and_assemble(run, codec, most):
    made = run(
        *("extract", "model.safetensors", "-o", "c.seed", "--codec", codec, "--key", "acme.key"),
        *("--format", "json"),
    )
    layers = {layer["name"]: layer for layer in json.loads(made.stdout)["layers"]}
    weight = layers["encoder.weight"]
    assert weight["codec"] == codec
    assert weight["stored_nbytes"] < most * weight["raw_nbytes"]
    assert layers["encoder.bias"]["codec"] == "raw"
    assert run("verify", "c.seed", "--key", "acme.pub", "--decode").status == 0
    assert run("assemble", "c.seed", "-o", "c.safetensors", "--key", "acme.pub").status == 0
    rebuilt = load_file(run.folder / "c.safetensors")["encoder.weight"]
    original = load_file(run.folder / "model.safetensors")["encoder.weight"]
    assert np.abs(rebuilt - original).max() < 0.5 * original.std()


def test_inspect_says_loudly_that_nothing_is_verified(run):
    assert "NOTHING HERE IS VERIFIED" in run("inspect", "good.seed").stdout
    assert json.loads(run("inspect", "good.seed", "--format", "json").stdout)["verified"] is False


def test_the_insecure_way_warns_and_still_checks_digests(run):
    data = bytearray((run.folder / "good.seed").read_bytes())
    (run.folder / "u.seed").write_bytes(data)
    word = "--insecure-skip-verification"
    done = run("assemble", "u.seed", "-o", "u.safetensors", word)
    assert done.status == 0
    assert "nobody vouches" in done.stderr
    payload = json.loads(run("inspect", "u.seed", "--format", "json").stdout)["stored_nbytes"]
    data[-payload] ^= 1  # the first byte of the first layer
    (run.folder / "u.seed").write_bytes(data)
    refused = run("assemble", "u.seed", "-o", "v.safetensors", word)
    assert (refused.status, "[CHK-2" in refused.stderr) == (5, True)
    assert not (run.folder / "v.safetensors").exists()


def test_nothing_is_overwritten_without_force(run):
    done = run("extract", "model.safetensors", "-o", "good.seed")
    assert (done.status, "[OUT-2" in done.stderr) == (1, True)
    assert run("extract", "model.safetensors", "-o", "good.seed", "--force").status == 0


def test_keys_with_a_passphrase_ask_for_it(run):
    assert run("keygen", "safe", SEEDPACK_PASSPHRASE="correct horse").status == 0
    assert (run.folder / "safe.key").stat().st_mode & 0o777 == 0o600
    signed = ("sign", "good.seed", "--key", "safe.key")
    assert "SP600" in run(*signed).stderr
    assert "SP600" in run(*signed, SEEDPACK_PASSPHRASE="wrong").stderr
    assert run(*signed, SEEDPACK_PASSPHRASE="correct horse").status == 0


def test_quiet_leaves_data_and_errors_only(run):
    done = run("--quiet", "verify", "good.seed", "--key", "acme.pub")
    assert done.stderr == ""
    assert done.stdout.startswith("good.seed: verified")


def test_every_command_explains_itself(run):
    listing = run("--help").stdout
    commands = [
        "assemble", "demo", "diff", "extract", "inspect", "keygen",
        "merge", "repair", "sign", "split", "trust", "verify",
    ]  # fmt: skip
    for command in commands:
        assert f"\n  {command} " in listing
        done = run(command, "--help")
        assert done.status == 0
        assert "Usage: seedpack" in done.stdout
    assert run("--version").stdout.startswith("seedpack 0.")


def test_hostile_text_never_reaches_the_terminal_as_commands(run):
    name = "evil\x1b]0;owned\x07.seed"
    shutil.copy(run.folder / "acme.pub", run.folder / name)
    done = run("verify", name, "--key", "acme.pub")
    assert done.status == 3
    assert "\x1b" not in done.stderr
    absent = run("verify", "gone\x1b[31m.seed", "--key", "acme.pub")
    assert "\x1b" not in absent.stderr


def test_a_publisher_rotates_and_retracts_keys(run):
    run("trust", "init")
    assert run("trust", "add", "acme", "--key", "acme.pub").status == 0
    run("keygen", "next", "--no-passphrase")
    rotation = ("--old", "acme.key", "--new", "next.key", "--serial", 1, "-o", "rotation")
    assert run("trust", "rotate", "acme", *rotation, "--now", 1_700_000_000).status == 0
    assert run("trust", "apply", "rotation").status == 0
    replaced = run("verify", "good.seed")
    assert (replaced.status, "SP205" in replaced.stderr) == (4, True)
    assert run("sign", "good.seed", "--key", "next.key").status == 0
    assert run("verify", "good.seed").status == 0
    again = run("trust", "apply", "rotation")
    assert again.status == 4
    retraction = ("--key", "next.key", "--revoked", "acme.pub", "--serial", 2, "-o", "retraction")
    assert run("trust", "retract", "acme", *retraction).status == 0
    assert run("trust", "apply", "retraction").status == 0
    assert "REVOKED" in run("trust", "list").stdout
