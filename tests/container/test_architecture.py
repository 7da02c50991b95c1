"""An architecture is data that points to no code (spec: ARC)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.container.architecture import check_architecture, check_plain_json
from seedpack.errors import FormatError, SeedError
from tests.builders import make_architecture
from tests.ids import plain_id
from tests.refusals import refused

MIB = 1 << 20
CONFIG = "architecture.config"

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.spec("ARC-1")
@pytest.mark.parametrize("name", ["B", "BertModel", "a.b-c_D9", "x" * 255])
def test_identifiers_are_accepted(name):
    check_architecture(make_architecture(class_name=name, model_type=name))


@pytest.mark.spec("ARC-1")
@pytest.mark.parametrize("field, shown", [("class_name", "class"), ("model_type", "model_type")])
@pytest.mark.parametrize(
    "name", ["", "a b", "a/b", "a\n", "é", "os:system", "x" * 256], ids=plain_id
)
def test_what_is_no_identifier_is_refused(field, shown, name):
    message = f"not an identifier: {name[:80]!a}"
    with refused(FormatError, "ARC-1", f"architecture.{shown}", message):
        check_architecture(make_architecture(**{field: name}))


@pytest.mark.spec("ARC-1")
@pytest.mark.parametrize("framework", ["", "pickle", "Transformers", "transformers\n"])
def test_another_framework_is_refused(framework):
    with refused(FormatError, "ARC-1", "architecture.framework", "unknown framework"):
        check_architecture(make_architecture(framework=framework))


@pytest.mark.spec("ARC-2")
def test_a_config_may_have_one_mebibyte():
    full = '{"a":"' + "x" * (MIB - 8) + '"}'
    assert len(full) == MIB
    check_architecture(make_architecture(config=full))
    wide = '{"a":"' + "é" * (MIB // 2 - 4) + '"}'
    assert len(wide.encode()) == MIB
    check_architecture(make_architecture(config=wide))
    for large in (full + "\n", wide + "\n"):
        with refused(FormatError, "ARC-2", CONFIG, "config is larger than 1 MiB"):
            check_architecture(make_architecture(config=large))


@pytest.mark.spec("ARC-2", "MAN-6")
def test_a_config_is_text_in_which_only_lines_may_end():
    check_architecture(make_architecture(config='{\n  "a": 1\n}\n'))
    with refused(FormatError, "MAN-6", CONFIG, "text holds U+0009"):
        check_architecture(make_architecture(config='{\t"a": 1}'))


@pytest.mark.spec("ARC-2")
@pytest.mark.parametrize(
    "text", ["", "{", "{'a': 1}", "{} {}", '{"a":1,}', "nul", "[" * 100_000, "9" * 5_000]
)
def test_what_is_no_json_is_refused(text):
    with refused(FormatError, "ARC-2", "here", "config is not JSON"):
        check_plain_json(text, where="here")
    with refused(FormatError, "ARC-2", CONFIG, "config is not JSON"):
        check_architecture(make_architecture(config=text))


@pytest.mark.spec("ARC-2")
@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_only_python_reads_are_refused(constant):
    with refused(FormatError, "ARC-2", "here", f"{constant} is not JSON"):
        check_plain_json(f'{{"a": [{constant}]}}', where="here")


@pytest.mark.spec("ARC-2")
@pytest.mark.parametrize("text", ["1", '"x"', "null", "[]", '[{"a": 1}]'])
def test_json_that_is_no_object_is_refused(text):
    with refused(FormatError, "ARC-2", "here", "config is not a JSON object"):
        check_plain_json(text, where="here")


@pytest.mark.spec("ARC-2")
@pytest.mark.parametrize("text", ['{"a":1,"a":1}', '{"b":[{"a":1,"a":2}]}', '{"a":1,"\\u0061":1}'])
def test_a_key_that_stands_twice_is_refused(text):
    with refused(FormatError, "ARC-2", "here", "a key stands twice in the config"):
        check_plain_json(text, where="here")


@pytest.mark.spec("ARC-3")
@pytest.mark.parametrize("key", ["auto_map", "custom_pipelines", "trust_remote_code"])
@pytest.mark.parametrize("form", ['{{"{}": 0}}', '{{"a": [{{"b": {{"{}": null}}}}]}}'])
def test_keys_that_point_to_code_are_refused_at_any_depth(key, form):
    with refused(FormatError, "ARC-3", "here", f"config points to code: {key}"):
        check_plain_json(form.format(key), where="here")


@pytest.mark.spec("ARC-3")
def test_all_keys_that_point_to_code_are_named():
    text = '{"trust_remote_code": true, "auto_map": {}}'
    message = "config points to code: auto_map, trust_remote_code"
    with refused(FormatError, "ARC-3", "here", message):
        check_plain_json(text, where="here")


@pytest.mark.spec("ARC-3")
def test_words_about_code_are_no_keys():
    check_plain_json(
        '{"a": "auto_map", "AUTO_MAP": 1, "auto_map_": ["trust_remote_code"]}', where=""
    )


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=5))
def test_any_plain_object_is_accepted(value):
    check_plain_json(json.dumps(value), where="here")


@given(st.text(max_size=40))
def test_any_text_is_accepted_or_refused(text):
    try:
        check_plain_json(text, where="here")
    except SeedError:
        return
    assert isinstance(json.loads(text), dict)


@pytest.mark.spec("ARC-2")
def test_a_config_may_nest_32_containers():
    for opening, closing in (("[", "]"), ('{"b": ', "}")):
        inner = "0" if closing == "}" else ""
        fits = '{"a": ' + opening * 31 + inner + closing * 31 + "}"
        check_plain_json(fits, where="config")
        with pytest.raises(FormatError) as caught:
            check_plain_json(f'{{"a": {opening}{fits}{closing}}}', where="config")
        assert (caught.value.rule, caught.value.message) == (
            "ARC-2",
            "config is nested deeper than 32",
        )
