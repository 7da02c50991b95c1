"""Names and text that nothing can misread (spec: MAN-6, MAN-11, LAY-1, ATT-1, ATT-2, ATT-4)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.container import names
from seedpack.errors import FormatError
from tests.refusals import refused

SEED_HINT = "lower-case letters, digits, . _ - and up to 3 slashes: acme/minilm-l6"
LAYER_HINT = "letters, digits, _ . : - and at most 255 of them"
ENDINGS_HINT = (
    "allowed are .jinja, .json, .md, .model, .tiktoken, .txt, .yaml and names without a dot"
)


# ---------------------------------------------------------------- seeds


@pytest.mark.spec("MAN-11")
@pytest.mark.parametrize(
    "name", ["a", "0", "acme/minilm-l6", "a/b/c/d", "a.b_c-d", "a..b", "x" * 255, "0-/1_"]
)
def test_plain_seed_names_are_accepted(name):
    names.check_seed_name(name)


@pytest.mark.spec("MAN-11")
@pytest.mark.parametrize(
    "name",
    ["", "A", "acme/Minilm", "a/b/c/d/e", "/a", "a/", "a//b", ".a", "-a", "_a", "a/.b", "a b",
     "a\n", "a\0", "é", "../x", "a/../b", "a\\b", "x" * 256],
)  # fmt: skip
def test_other_seed_names_are_refused(name):
    message = f"seed name {name[:80]!a}"
    with refused(FormatError, "MAN-11", "name", message, SEED_HINT):
        names.check_seed_name(name)


# ---------------------------------------------------------------- layers


@pytest.mark.spec("LAY-1")
@pytest.mark.parametrize(
    "name", ["a", "_", "0", "encoder.layer.0.weight", "a:b-c", "x" * 255, "__metadata", "A.b."]
)
def test_plain_layer_names_are_accepted(name):
    names.check_layer_name(name, where="here")


@pytest.mark.spec("LAY-1")
@pytest.mark.parametrize(
    "name",
    ["", ".a", "-a", ":a", "a/b", "a\\b", "a b", "a\n", "a\0b", "é", "a\u202eb", "a\u200bb",
     "[red]", "{x}", "__metadata__", "x" * 256],
)  # fmt: skip
def test_other_layer_names_are_refused(name):
    message = f"layer name {name[:80]!a}"
    with refused(FormatError, "LAY-1", "layers[3].name", message, LAYER_HINT):
        names.check_layer_name(name, where="layers[3].name")


# ---------------------------------------------------------------- attachments


@pytest.mark.spec("ATT-1")
@pytest.mark.parametrize(
    "name",
    ["LICENSE", "a/b/c/d", "tokenizer.json", "docs/README.md", "_x.txt", "0.yaml", "a.b-c_d.txt",
     "x" * 255, "console", "com", "com10", "lpt", "xcon", "con_", "nul-1"],
)  # fmt: skip
def test_plain_relative_paths_are_accepted(name):
    names.check_attachment_name(name, where="here")


@pytest.mark.spec("ATT-1")
@pytest.mark.parametrize(
    "name",
    ["", "a/b/c/d/e", "/etc/passwd", "../x", "a/../b", "./a", "a/", "a//b", "C:\\x", "\\\\?\\x",
     "a\\b", "a b", "a:b", "-a", ".hidden", "a.", "a./b", "docs./x", "a\n", "a\0", "é.txt", "~x",
     "con", "CON", "Con.txt", "aux.json", "nul.a.txt", "prn", "COM0", "com9.txt", "lpt5",
     "a/NUL", "nul/a", "x" * 256],
)  # fmt: skip
def test_paths_that_some_system_reads_otherwise_are_refused(name):
    message = f"attachment name {name[:80]!a}"
    with refused(FormatError, "ATT-1", "attachments[1].name", message):
        names.check_attachment_name(name, where="attachments[1].name")


@pytest.mark.spec("ATT-4")
@pytest.mark.parametrize("ending", ["json", "txt", "md", "model", "jinja", "tiktoken", "yaml"])
def test_harmless_kinds_are_carried(ending):
    names.check_attachment_name(f"a.py.{ending}", where="here")
    names.check_attachment_name(f"a/b.{ending}", where="here")


@pytest.mark.spec("ATT-4")
@pytest.mark.parametrize(
    "name",
    ["a.py", "a.PY", "a.JSON", "a.pt", "a.pkl", "a.bin", "a.safetensors", "a.so", "a.json.py",
     "a.sh", "a.html", "d.json/a.py"],
)  # fmt: skip
def test_what_a_program_might_run_or_unpickle_is_not_carried(name):
    message = f"attachment {name!a} of a kind that is not carried"
    with refused(FormatError, "ATT-4", "here", message, ENDINGS_HINT):
        names.check_attachment_name(name, where="here")


@pytest.mark.spec("ATT-4")
def test_only_the_last_component_has_an_ending():
    names.check_attachment_name("v1.2/LICENSE", where="here")


@pytest.mark.spec("ATT-4")
def test_a_long_name_is_cut_in_the_message():
    name = "x" * 90 + ".py"
    message = f"attachment {'x' * 80!a} of a kind that is not carried"
    with refused(FormatError, "ATT-4", "here", message, ENDINGS_HINT):
        names.check_attachment_name(name, where="here")


@pytest.mark.spec("ATT-2")
@pytest.mark.parametrize(
    "together",
    [[], ["a"], ["a", "b"], ["a/b", "a/c"], ["a/b", "b"], ["ab", "a/b"], ["a/b/c", "a/b2", "c/a"]],
)
def test_names_that_never_meet_are_accepted(together):
    names.check_attachment_names(together)


@pytest.mark.spec("ATT-2")
@pytest.mark.parametrize(
    "together",
    [["a", "a"], ["a", "A"], ["README.md", "readme.MD"], ["a", "a/b"], ["A/b", "a"],
     ["a/b/c/d", "a/b"], ["a/b/c/d", "A/B/c"], ["x", "a/b", "a/b/c"]],
)  # fmt: skip
def test_names_that_meet_in_one_folder_are_refused(together):
    for order in (together, together[::-1]):
        with refused(FormatError, "ATT-2", "attachments", "attachment names collide"):
            names.check_attachment_names(order)


@given(st.text(max_size=12))
def test_an_accepted_attachment_name_is_a_plain_relative_path(name):
    try:
        names.check_attachment_name(name, where="here")
    except FormatError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", name)
    assert not {"", ".", ".."} & set(name.split("/"))


# ---------------------------------------------------------------- text


@pytest.mark.spec("MAN-6")
@pytest.mark.parametrize("text", ["", "plain ASCII", "é ü ß 日本", "😀", "x" * 4_096, "é" * 2_048])
def test_text_that_shows_as_what_it_is_is_accepted(text):
    names.check_text(text, where="here")


@pytest.mark.spec("MAN-6")
def test_what_is_unassigned_is_no_readers_to_judge():
    for character in "\u0378\ufdd0\uffff\U0010ffff":
        names.check_text(f"a{character}b", where="here")


@pytest.mark.spec("MAN-6")
@pytest.mark.parametrize(
    "character",
    ["\0", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\u00ad", "\u200b", "\u200d", "\u202e",
     "\u2028", "\u2029", "\u2066", "\ue000", "\ufeff", "\ufff9", "\U000e0001",
     "\U0010fffd"],
)  # fmt: skip
def test_characters_that_hide_or_fake_are_refused(character):
    for text in (character, f"a{character}b", f"é{character}"):
        with refused(FormatError, "MAN-6", "here", f"text holds U+{ord(character):04X}"):
            names.check_text(text, where="here")


@pytest.mark.spec("MAN-6")
def test_text_in_another_normal_form_is_refused():
    with refused(FormatError, "MAN-6", "here", "text is not in NFC"):
        names.check_text("e\u0301", where="here")


@pytest.mark.spec("MAN-6")
@pytest.mark.parametrize("text", ["x" * 4_097, "é" * 2_048 + "x", "\x1b" * 4_097])
def test_text_is_bounded_in_utf8_bytes(text):
    with refused(FormatError, "MAN-6", "here", "text of more than 4096 bytes"):
        names.check_text(text, where="here")


@pytest.mark.spec("MAN-6")
def test_a_caller_may_set_the_limit_and_allow_a_character():
    names.check_text("x\n" * 3, where="here", allow="\n", limit=6)
    with refused(FormatError, "MAN-6", "here", "text of more than 6 bytes"):
        names.check_text("x\n" * 3 + "x", where="here", allow="\n", limit=6)
    with refused(FormatError, "MAN-6", "here", "text of more than 6 bytes"):
        names.check_text("x" * 7, where="here", limit=6)
    with refused(FormatError, "MAN-6", "here", "text holds U+000D"):
        names.check_text("x\r\n", where="here", allow="\n")


@pytest.mark.spec("MAN-6")
def test_every_pair_is_checked_at_its_own_place():
    names.check_texts([])
    names.check_texts([("a", "x"), ("b", "y")])
    with refused(FormatError, "MAN-6", "b", "text holds U+0009"):
        names.check_texts([("a", "x"), ("b", "\t"), ("c", "\n")])
