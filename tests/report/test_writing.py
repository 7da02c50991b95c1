"""A folder of reports, whole or not at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seedpack.errors import AuditError, StoreError
from seedpack.report import check_packages, decode_report, verify_report, write_report
from seedpack.report.packages import import_package
from tests.builders import make_key, trusting
from tests.conftest import ROOT
from tests.refusals import refused_by
from tests.report.conftest import NOW
from tests.report.samples import sample_report

NAMES = ["report.dsse.json", "report.html", "report.json", "report.md"]


@pytest.mark.spec("RPT-12")
def test_a_report_is_written_in_every_form_and_signed(tmp_path, seed, report_of):
    report, key = report_of(seed), make_key(2)
    paths = write_report(report, tmp_path / "out", key)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == NAMES
    assert sorted(p.name for p in paths) == NAMES
    assert decode_report((tmp_path / "out" / "report.json").read_bytes()) == report
    signed = (tmp_path / "out" / "report.dsse.json").read_bytes()
    assert verify_report(signed, seed, store=trusting(key), now=NOW).report == report


@pytest.mark.spec("RPT-12")
def test_without_a_key_nothing_is_signed(tmp_path):
    write_report(sample_report(), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        name for name in NAMES if name != "report.dsse.json"
    ]


@pytest.mark.spec("RPT-12")
def test_a_folder_that_is_there_is_left_as_it_is(tmp_path):
    (tmp_path / "out").mkdir()
    with refused_by(StoreError, "OUT-2"):
        write_report(sample_report(), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.spec("RPT-12")
def test_a_report_that_cannot_be_signed_leaves_no_folder(tmp_path):
    import msgspec

    report = sample_report()
    nameless = msgspec.structs.replace(
        report, subject=msgspec.structs.replace(report.subject, seed_id="")
    )
    with refused_by(AuditError, "RPT-6"):
        write_report(nameless, tmp_path / "out", make_key(2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spec("RPT-13")
def test_an_absent_package_is_named_with_its_extra():
    with refused_by(AuditError, "RPT-13") as caught:
        import_package("a_package_that_nobody_has")
    assert caught.value.message == "needs the package a_package_that_nobody_has"
    assert "seedpack[report]" in caught.value.hint


@pytest.mark.spec("RPT-13")
def test_packages_are_looked_for_before_the_work(monkeypatch):
    check_packages()
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    with refused_by(AuditError, "RPT-13"):
        check_packages()


@pytest.mark.spec("RPT-13")
def test_checking_a_report_imports_nothing_that_renders():
    code = "import seedpack.report, sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"jinja2", "matplotlib", "numpy", "torch"} & set(done.stdout.split())
