"""Every MUST has an id, and every id has code and a vector or a test; nothing else has ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.spec.traceability import problems

ROOT = Path(__file__).resolve().parents[2]

SPECIFICATION = """\
The key words MUST and MUST NOT are to be read as in RFC 2119.

- **ABC-1** *vector*: a thing MUST be so,
  on two lines.
- **ABC-2** *test*: a thing MUST NOT be otherwise.

Before that, a reader MUST wait. (**ABC-3** *test*)
"""
CODE = """\
def check(thing):
    if thing:
        raise FormatError("no", rule="ABC-1", where="byte 0")
    refuse("ABC-2")  # and SHA-256 is no id
    wait()  # ABC-3
"""
TESTS = """\
@pytest.mark.spec("ABC-2", "ABC-3")
def test_otherwise():
    pass
"""
VECTORS = [{"file": "abc-1.seed", "rule": "ABC-1"}]


@pytest.fixture
def lay_out(tmp_path):
    def lay(specification=SPECIFICATION, code=CODE, tests=TESTS, vectors=VECTORS):
        files = {
            "spec/format.md": specification,
            "seedpack/check.py": code,
            "tests/test_check.py": tests,
            "spec/vectors/index.json": json.dumps({"schema": 1, "vectors": vectors}),
        }
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, "utf-8")
        return tmp_path

    return lay


def test_the_specification_is_kept_to_the_last_id():
    assert problems(ROOT) == []


def test_the_checker_is_content_with_a_repository_without_gaps(lay_out):
    assert problems(lay_out()) == []


def test_a_must_without_an_id_is_a_problem(lay_out):
    text = SPECIFICATION + "\nA reader MUST also sing.\n"
    assert problems(lay_out(specification=text)) == [
        "a MUST without an id in spec/format.md: A reader MUST also sing."
    ]


def test_a_must_in_a_list_is_not_excused_by_the_id_of_its_neighbour(lay_out):
    text = SPECIFICATION.replace("- **ABC-2** *test*: a thing", "- a thing")
    assert "a MUST without an id in spec/format.md: - a thing MUST NOT be otherwise." in problems(
        lay_out(specification=text)
    )


def test_an_id_defined_twice_is_a_problem(lay_out):
    text = SPECIFICATION + "\n- **ABC-1** *vector*: again.\n"
    assert problems(lay_out(specification=text)) == ["ABC-1 is defined twice"]


def test_an_id_without_code_is_a_problem(lay_out):
    assert problems(lay_out(code=CODE.replace("ABC-2", "nothing"))) == ["ABC-2 has no code"]


def test_a_longer_id_is_not_code_for_a_shorter_one(lay_out):
    text = SPECIFICATION + "\n- **ABC-20** *test*: a thing MUST be long.\n"
    tests = TESTS.replace('"ABC-2"', '"ABC-2", "ABC-20"')
    code = CODE.replace("ABC-2", "ABC-20")
    assert problems(lay_out(text, code, tests)) == ["ABC-2 has no code"]


def test_an_id_without_its_vector_is_a_problem(lay_out):
    assert problems(lay_out(vectors=[])) == ["ABC-1 has no vector"]


def test_a_vector_may_show_an_id_that_it_does_not_break(lay_out):
    assert problems(lay_out(vectors=[{"rule": None, "shows": ["ABC-1"]}])) == []


def test_an_id_without_its_test_is_a_problem(lay_out):
    assert problems(lay_out(tests=TESTS.replace('"ABC-2", ', ""))) == ["ABC-2 has no test"]


def test_a_mark_in_a_comment_is_no_test(lay_out):
    tests = '# @pytest.mark.spec("ABC-2", "ABC-3")\n'
    assert problems(lay_out(tests=tests)) == ["ABC-2 has no test", "ABC-3 has no test"]


def test_a_rule_that_the_specification_does_not_know_is_a_problem(lay_out):
    code = CODE + '\nraise FormatError("no", rule="XYZ-9", where="byte 0")\n'
    assert problems(lay_out(code=code)) == [
        "XYZ-9, named in seedpack/check.py, is not in the specification"
    ]


def test_a_stale_id_in_a_comment_is_a_problem(lay_out):
    assert problems(lay_out(code=CODE + "# ABC-4\n")) == [
        "ABC-4, named in seedpack/check.py, is not in the specification"
    ]


def test_a_mark_that_the_specification_does_not_know_is_a_problem(lay_out):
    tests = TESTS.replace('"ABC-2"', '"ABC-2", "NEW-1"')
    assert problems(lay_out(tests=tests)) == [
        "NEW-1, named in tests/test_check.py, is not in the specification"
    ]


def test_a_vector_for_an_unknown_rule_is_a_problem(lay_out):
    assert problems(lay_out(vectors=[*VECTORS, {"rule": "ABC-7"}])) == [
        "ABC-7, shown by a vector, is not in the specification"
    ]
