"""``seedpack audit`` and ``assemble --audit`` as a user runs them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits

from tests.cli.conftest import Shell

FACTORY = """
import torch
def build():
    return torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
"""
AUDIT = ("audit", "net.seed", "--key", "acme.pub")
DATA = (
    *("--task", "generic", "--train", "train.npz", "--eval", "eval.npz"),
    *("--factory", "nets.py:build", "--original", "net.safetensors"),
)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A signed seed of a network that knows digits, another that knows nothing, and data."""
    import torch

    folder = tmp_path_factory.mktemp("audit")
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    nothing = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    save_file(nothing, folder / "nothing.safetensors")
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        outputs = net(torch.from_numpy(x[:1000]))
        torch.nn.functional.cross_entropy(outputs, torch.from_numpy(y[:1000])).backward()
        optimizer.step()
    save_file({k: v.numpy() for k, v in net.state_dict().items()}, folder / "net.safetensors")
    np.savez(folder / "train.npz", x=x[1000:1400], y=y[1000:1400])
    np.savez(folder / "eval.npz", x=x[1400:], y=y[1400:])
    (folder / "nets.py").write_text(FACTORY)
    run = Shell(folder)
    assert run("keygen", "acme", "--no-passphrase").status == 0
    for name in ("net", "nothing"):
        words = (f"{name}.safetensors", "-o", f"{name}.seed", "--key", "acme.key")
        assert run("extract", *words).status == 0
    return run


@pytest.mark.slow
def test_a_sound_seed_is_audited_and_the_report_is_bound_to_it(shell: Shell) -> None:
    words = ("--audit", "quick,integrity,retention", "--report", "report")
    done = shell(*AUDIT, *DATA, *words, "--report-key", "acme.key", "--jobs", "2")
    assert done.status == 0, done.stderr
    assert done.stdout.startswith("audit (quick): ")
    assert "retention" in done.stdout
    assert "chance 0.100" in done.stdout
    report = json.loads((shell.folder / "report" / "report.json").read_text())
    assert [result["audit"] for result in report["results"]] == ["integrity", "retention"]
    checked = shell(
        "verify", "net.seed", "--key", "acme.pub", "--report", "report/report.dsse.json"
    )
    assert checked.status == 0, checked.stderr
    other = shell(
        "verify", "nothing.seed", "--key", "acme.pub", "--report", "report/report.dsse.json"
    )
    assert other.status != 0
    again = shell(*AUDIT, *DATA, *words[:2], "--format", "json")
    found = json.loads(again.stdout)["audit"]["results"]
    assert found == report["results"], "a finished audit is taken from the cache"


@pytest.mark.spec("AUD-12")
def test_quick_leaves_reactivation_out_unless_all_are_named() -> None:
    from seedpack.audits import AUDITS
    from seedpack_cli.audit_options import read_audit_options

    def names(audit: str) -> tuple[str, ...]:
        none = dict.fromkeys(("reference", "shifts", "cache", "jobs", "report", "report_key"))
        chosen = read_audit_options(audit, **none, defend=False, has_task=True)
        assert chosen is not None
        return chosen.names

    everything = tuple(AUDITS)
    assert names("quick") == tuple(name for name in everything if name != "reactivation")
    assert names("quick,reactivation") == ("reactivation",)
    for words in ("all", "quick,all", "standard", "deep"):
        assert names(words) == everything, words


@pytest.mark.slow
def test_a_seed_that_keeps_nothing_fails_with_status_10_and_a_tuned_model_is_still_written(
    shell: Shell,
) -> None:
    words = ("assemble", "nothing.seed", "-o", "tuned.safetensors", "--key", "acme.pub", *DATA)
    done = shell(*words, "--samples", "100", "--audit", "quick,retention", "--jobs", "1")
    assert done.status == 10, done.stdout + done.stderr
    assert "FAIL" in done.stdout
    assert "warning: audit retention: fail" in done.stderr
    assert (shell.folder / "tuned.safetensors").exists()


@pytest.mark.slow
@pytest.mark.spec("AUD-DEF-3", "AUD-DEF-9")
@pytest.mark.usefixtures("few_steps")
def test_a_defended_model_is_written_with_what_the_defence_did_to_planted_controls(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("assemble", "net.seed", "-o", "defended.safetensors", "--key", "acme.pub", *DATA)
    words += ("--samples", "100", "--defend", "--no-control", "--audit", "quick,retention")
    done = shell.here(monkeypatch, capsys, *words, "--jobs", "1", "--format", "json")
    assert done.status in {0, 10}, done.stderr
    report, audit = (json.loads(done.stdout)[part] for part in ("defence", "audit"))
    assert report["samples"] == 100
    assert report["controls_planted"] >= 2
    assert "fine-tuning" in {method["method"] for method in report["methods"]}
    assert report["claim"]
    assert load_file(shell.folder / "defended.safetensors").keys() == (
        load_file(shell.folder / "net.safetensors").keys()
    )
    told, audited = audit["results"]
    assert (told["audit"], audited["audit"]) == ("defence", "retention")
    after = next(row for row in told["figures"] if row["name"] == "accuracy after the defence")
    assert after["value"] == report["accuracy_after"]["hits"] / report["accuracy_after"]["n"]
    assert after["control"] > after["chance"] == 0.1
    assert report["untaught"]["start"] == "random-init"


def test_without_data_what_needs_them_is_named_and_nothing_passes(shell: Shell) -> None:
    done = shell(*AUDIT, "--audit", "quick,retention")
    assert done.status == 0, done.stderr
    assert "audit (quick): UNDECIDED" in done.stdout
    assert "retention" in done.stdout
    assert "not run: it needs data" in done.stdout


def test_an_unknown_audit_is_refused_before_anything_is_done(shell: Shell) -> None:
    done = shell(*AUDIT, "--audit", "nonsense")
    assert done.status == 1
    assert "AUD-1" in done.stderr
    assert "retention" in done.stderr


def test_an_untrusted_seed_is_not_audited(shell: Shell) -> None:
    assert shell("keygen", "stranger", "--no-passphrase").status == 0
    done = shell("audit", "net.seed", "--key", "stranger.pub", "--audit", "quick")
    assert done.status == 4


@pytest.mark.parametrize(
    "words",
    [
        ("audit", "net.seed", "--key", "acme.pub", "--audit", "quick,deep"),
        ("audit", "net.seed", "--key", "acme.pub", "--audit", "--report-key", "acme.key"),
        ("assemble", "net.seed", "-o", "x.safetensors", "--key", "acme.pub", "--jobs", "2"),
        ("assemble", "net.seed", "-o", "x.safetensors", "--key", "acme.pub", "--defend"),
        ("assemble", "net.seed", "-o", "x", "--key", "acme.pub", "--layers", "*", "--audit"),
    ],
)
def test_options_that_make_no_sense_together_are_wrong_use(
    shell: Shell, words: tuple[str, ...]
) -> None:
    done = shell(*words)
    assert done.status == 2, done.stdout
    assert not (shell.folder / "x.safetensors").exists()


def test_audit_takes_what_follows_only_if_it_is_a_list() -> None:
    from seedpack_cli.app import _with_whole_audits

    def whole(*words: str) -> list[str]:
        return _with_whole_audits(words)

    assert whole("audit", "a.seed", "--audit") == ["audit", "a.seed", "--audit=all"]
    assert whole("--audit", "quick", "a.seed") == ["--audit", "quick", "a.seed"]
    assert whole("--audit", "quick,low-data") == ["--audit", "quick,low-data"]
    assert whole("--audit", "-o", "x") == ["--audit=all", "-o", "x"]
    assert whole("--audit", "A.seed") == ["--audit=all", "A.seed"]
    assert whole("--audit=quick", "--format", "json") == ["--audit=quick", "--format", "json"]
