"""A config is JSON as every reader reads it, not as Python's does (spec: ARC-2)."""

import pytest

from seedpack.container.architecture import check_plain_json
from seedpack.errors import FormatError
from tests.refusals import refused


@pytest.mark.spec("ARC-2")
@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks_are_refused(name):
    with refused(FormatError, "ARC-2", "config", f"{name} is not JSON"):
        check_plain_json(f'{{"a": [{{"b": {name}}}]}}', where="config")


@pytest.mark.spec("ARC-2")
def test_text_that_names_such_numbers_is_fine():
    check_plain_json('{"NaN": "Infinity", "a": 1e999}', where="config")
