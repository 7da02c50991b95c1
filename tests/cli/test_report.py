"""`seedpack verify --report`, as a user runs it."""

from __future__ import annotations

import json
import shutil
import time

import msgspec
import pytest

from seedpack.audits.results import Status
from seedpack.crypto.keyfiles import load_private_key, load_public_key
from seedpack.report.signing import sign_report
from seedpack.seed.opening import open_seed
from seedpack.trust.store import TrustStore
from tests.cli.conftest import Shell
from tests.report.samples import retention, sample_report

BOTH = ("--key", "acme.pub", "--key", "mallory.pub")


@pytest.fixture
def run(published, tmp_path):
    for file in published.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return Shell(tmp_path)


@pytest.fixture
def write_signed(run):
    """Write a report of good.seed with that status, signed by a key of the folder."""

    def write(status, *, key="acme", **subject):
        store = TrustStore.of_keys([load_public_key(run.folder / "acme.pub")])
        with open_seed(run.folder / "good.seed", store=store) as seed:
            about = {"seed_id": seed.id, "name": seed.manifest.name, "version": 3} | subject
        result = msgspec.structs.replace(retention(), status=status, reason="why")
        report = sample_report(results=(result,), status=status, created=int(time.time()))
        report = msgspec.structs.replace(
            report, subject=msgspec.structs.replace(report.subject, **about)
        )
        private = load_private_key(run.folder / f"{key}.key", None)
        (run.folder / "r.json").write_bytes(sign_report(report, [private]))

    return write


@pytest.mark.spec("RPT-14")
@pytest.mark.parametrize(("status", "code"), [("pass", 0), ("undecided", 0), ("fail", 10)])
def test_the_verdict_of_a_report_is_printed_and_decides_the_status(run, write_signed, status, code):
    write_signed(Status(status))
    done = run("verify", "good.seed", "--key", "acme.pub", "--report", "r.json")
    assert done.status == code, done.stderr
    seed, report = done.stdout.splitlines()
    assert seed.startswith("good.seed: verified, acme/tiny version 3")
    assert report.startswith("r.json: report of this seed, signed by key ")
    assert f": {status.upper()}. " in report
    assert ("undecided, which is not pass" in done.stderr) == (status == "undecided")


@pytest.mark.spec("RPT-14")
def test_json_has_one_object_for_the_seed_and_one_for_the_report(run, write_signed):
    write_signed(Status.FAIL)
    done = run("verify", "good.seed", *BOTH, "--report", "r.json", "--format", "json")
    seed, report = map(json.loads, done.stdout.splitlines())
    assert done.status == 10
    assert (seed["result"], report["result"]) == ("verified", "report verified")
    assert report["seed_id"] == seed["seed_id"]
    assert report["status"] == "fail"
    assert report["gates"] == {"pass": 2, "fail": 0, "undecided": 0}
    assert report["skipped"] == ["adversarial"]


@pytest.mark.spec("RPT-14")
def test_a_report_by_somebody_else_is_refused_after_the_seed_was_verified(run, write_signed):
    write_signed(Status.PASS, key="mallory")
    done = run("verify", "good.seed", "--key", "acme.pub", "--report", "r.json")
    assert done.status == 4
    assert "error[SP201]" in done.stderr
    assert done.stdout.startswith("good.seed: verified")
    assert len(done.stdout.splitlines()) == 1
    assert run("verify", "good.seed", *BOTH, "--report", "r.json").status == 0


@pytest.mark.spec("RPT-14")
def test_a_report_of_another_seed_is_refused(run, write_signed):
    write_signed(Status.PASS, seed_id="0" * 64)
    done = run("verify", "good.seed", "--key", "acme.pub", "--report", "r.json")
    assert done.status == 4
    assert "error[SP209]: is about the seed '0000000000000000'" in done.stderr
    assert "[RPT-7, r.json]" in done.stderr


@pytest.mark.spec("RPT-14")
def test_a_seed_that_nobody_signed_is_refused_before_its_report(run, write_signed):
    write_signed(Status.FAIL, key="mallory")
    done = run("verify", "good.seed", "--key", "mallory.pub", "--report", "r.json")
    assert done.status == 4
    assert done.stdout == ""


@pytest.mark.spec("RPT-14")
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("good.seed", "good.seed", "--report", "r.json"), 2, "about one seed"),
        (("good.seed", "--report", "absent.json"), 1, "SP700"),
        (("good.seed", "--report", "acme.pub"), 3, "RPT-3"),
    ],
)
def test_a_wrong_report_file_is_refused(run, words, status, said):
    (run.folder / "r.json").write_text("{}")
    done = run("verify", *words, "--key", "acme.pub")
    assert done.status == status
    assert said in done.stderr


@pytest.mark.spec("RPT-14")
def test_a_verified_report_is_written_to_be_read(run, write_signed):
    write_signed(Status.FAIL)
    words = ("verify", "good.seed", "--report", "r.json", "--render", "read")
    assert run(*words, "--key", "mallory.pub").status == 4
    assert not (run.folder / "read").exists()
    assert run(*words, "--key", "acme.pub").status == 10
    assert (run.folder / "read" / "report.html").read_text().startswith("<!doctype html>")
    assert run("verify", "good.seed", "--render", "x", "--key", "acme.pub").status == 2


def test_a_report_is_written_again_and_signed_by_several_keys(run, write_signed):
    write_signed(Status.PASS)
    assert run(*("verify", "good.seed", "--key", "acme.pub", "--report", "r.json"), "--render", "a")
    assert not (run.folder / "a" / "report.dsse.json").exists()
    done = run("report", "a/report.json", "-o", "b", "--key", "acme.key", "--key", "mallory.key")
    assert (done.status, done.stdout) == (0, "b: pass, 4 files, signed\n"), done.stderr
    for name in ("report.json", "report.md", "report.html"):
        assert (run.folder / "a" / name).read_bytes() == (run.folder / "b" / name).read_bytes()
    signed = ("--report", "b/report.dsse.json")
    assert run("verify", "good.seed", *BOTH, *signed).status == 0
    assert run("verify", "good.seed", "--key", "acme.pub", *signed).status == 0
    assert "not signed" in run("report", "a/report.json", "-o", "c").stdout
    assert run("report", "good.seed", "-o", "d").status == 3
    assert run("report", "a/report.json", "-o", "b").status == 1


@pytest.mark.spec("RPT-13")
def test_verifying_a_report_imports_nothing_that_renders(run, write_signed):
    write_signed(Status.PASS)
    done = run(
        *("verify", "good.seed", "--key", "acme.pub", "--report", "r.json"),
        PYTHONPROFILEIMPORTTIME="1",
    )
    assert done.status == 0
    names = {row.rpartition("|")[2].strip().split(".")[0] for row in done.stderr.splitlines()}
    assert "msgspec" in names
    assert not names & {"jinja2", "matplotlib", "numpy", "torch", "rich"}


@pytest.mark.spec("RPT-15")
def test_a_report_from_longer_ago_than_the_days_named_is_refused(run, write_signed):
    write_signed(Status.PASS)
    in_two_days = str(int(time.time()) + 2 * 86_400)
    words = ("verify", "good.seed", "--key", "acme.pub", "--report", "r.json", "--now", in_two_days)
    assert run(*words, "--report-max-age", "3").status == 0
    done = run(*words, "--report-max-age", "1")
    assert done.status == 4
    assert "[RPT-15, r.json]" in done.stderr
    assert "--report" in run(*words[:4], "--report-max-age", "1").stderr
