"""DATA of every kind becomes examples, or is refused with the rule that it breaks."""

from __future__ import annotations

import csv
import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedpack.errors import SeedError, TrainingError
from seedpack.training import Columns, read_examples
from seedpack.training.examples import MAX_EXAMPLES, MAX_PIXELS, Answer, Question
from seedpack.training.images import read_image
from tests.refusals import refused_by

SQUAD_ODD = '{"data": [{"paragraphs": [{"context": "a", "qas": [{"answers": %s}]}]}]}'
FORMS = ("texts", "tokens", "questions", "lines", "arrays", "images")
# Words that neither a line, nor a tab, nor a strip can change.
words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=9)
rows = st.lists(st.tuples(words, st.sampled_from(["0", "1", "good", "bad"])), min_size=1)


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def save_zip(path, **entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)
    return path


def npy(array, **kwargs):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **kwargs)
    return file.getvalue()


@given(rows=rows, header=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_table_gives_back_its_texts_and_labels(tmp_path, rows, header):
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    table = [("label", "sentence"), *((b, a) for a, b in rows)] if header else rows
    csv_text = io.StringIO()
    csv.writer(csv_text).writerows(table)
    files = {
        "a.tsv": "\n".join("\t".join(row) for row in table),
        "a.csv": csv_text.getvalue(),
        "a.jsonl": "\n".join(json.dumps({"text": a, "label": b}) for a, b in rows),
    }
    if texts[0].lower() in {"text", "sentence", "content", "review", "document", "input"}:
        return  # would be a header
    for name, text in files.items():
        examples = read_examples(written(tmp_path, name, text), ("texts",))
        assert (examples.inputs, examples.targets) == (texts, labels)


def test_columns_are_found_by_the_names_given(tmp_path):
    path = written(tmp_path, "a.csv", 'id,what,stars\n7,"a, b",5\n8,c,1\n')
    examples = read_examples(path, ("texts",), columns=Columns("what", "stars"))
    assert (examples.inputs, examples.targets) == (["a, b", "c"], ["5", "1"])


def test_sst2_and_wikiann_are_read_as_they_are(shared):
    sst2 = read_examples(shared / "data/sst2/dev.tsv", ("texts",))
    assert (len(sst2), sst2.targets.count("1"), sst2.targets.count("0")) == (872, 444, 428)
    names = read_examples(shared / "data/wikiann_en/dev.txt", ("tokens",))
    assert len(names) == 10_000
    assert not any(token.startswith("en:") for token in names.inputs[0])
    assert {tag for tags in names.targets for tag in tags} == {
        *("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
    }


def test_conll_takes_first_and_last_column_and_leaves_comments(tmp_path):
    text = "-DOCSTART- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nPeter NNP B-NP B-PER\n"
    examples = read_examples(written(tmp_path, "a.conll", text), ("tokens",))
    assert examples.inputs == [("EU", "rejects"), ("Peter",)]
    assert examples.targets == [("B-ORG", "O"), ("B-PER",)]


def test_token_objects_have_lists(tmp_path):
    text = json.dumps({"tokens": ["a", "b"], "ner_tags": ["O", "B-X"]})
    examples = read_examples(written(tmp_path, "a.jsonl", text), ("tokens",))
    assert (examples.inputs, examples.targets) == ([("a", "b")], [("O", "B-X")])


def squad(*answers, context="the cat sat"):
    entries = [{"text": text, "answer_start": start} for start, text in answers]
    question = {"question": "who sat?", "answers": entries}
    return json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [question]}]}]})


def test_squad_gives_questions_with_answers_in_place(tmp_path):
    path = written(tmp_path, "a.json", squad((4, "cat"), (0, "the cat")))
    examples = read_examples(path, ("questions",))
    assert examples.inputs == [Question("who sat?", "the cat sat")]
    assert examples.targets == [(Answer(4, "cat"), Answer(0, "the cat"))]


def test_plain_text_keeps_every_line_with_words(tmp_path):
    lines = [f"line {i} " + "word " * 30 for i in range(100)]
    examples = read_examples(written(tmp_path, "a.txt", "\n\n".join(lines)), ("lines",))
    assert len(examples) > 1
    assert "\n".join(examples.inputs).split("\n") == [line.strip() for line in lines]


def test_npz_gives_arrays_and_classes_or_numbers(tmp_path):
    x = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    np.savez(tmp_path / "a.npz", X=x, y=np.array([1, 0, 2, 1]))
    np.savez_compressed(tmp_path / "b.npz", x=x, y=np.array([0.5, 0.25, 1, 2]))
    classes = read_examples(tmp_path / "a.npz", ("arrays",))
    assert np.array_equal(classes.inputs, x)
    assert (classes.targets, classes.is_numeric) == (["1", "0", "2", "1"], False)
    numbers = read_examples(tmp_path / "b.npz", ("arrays",))
    assert numbers.is_numeric
    assert numbers.take([2, 0]).targets.tolist() == [1, 0.5]


def save_images(folder):
    from PIL import Image

    for name, shade in (("cat", 0), ("dog", 255)):
        (folder / name).mkdir(parents=True)
        Image.new("L", (5, 4), shade).save(folder / name / "a.png")
    return folder


def test_image_folder_has_a_class_per_folder(tmp_path):
    pytest.importorskip("PIL")
    examples = read_examples(save_images(tmp_path / "d"), ("images", "arrays"))
    assert examples.targets == ["cat", "dog"]
    image = read_image(examples.inputs[1], width=3, height=2)
    assert (image.shape, image.dtype, image.min()) == ((3, 2, 3), np.float32, 1)


@pytest.mark.spec("TRN-9")
def test_TRN_9_file_that_is_no_image_is_refused(tmp_path):
    pytest.importorskip("PIL")
    with refused_by(TrainingError, "TRN-9"):
        read_image(written(tmp_path, "a.png", "not an image"), width=3, height=2)


@pytest.mark.spec("TRN-2")
def test_TRN_2_image_that_claims_too_many_pixels_is_refused(tmp_path):
    pytest.importorskip("PIL")
    side = int(MAX_PIXELS**0.5) + 1
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
    png += struct.pack(">I", zlib.crc32(header)) + bytes(4) + b"IDAT" + bytes(8)
    with refused_by(TrainingError, "TRN-2"):
        read_image(written(tmp_path, "a.png", png), width=3, height=2)


@pytest.mark.spec("TRN-9", "TRN-11")
def test_TRN_9_format_that_no_ending_stands_for_is_not_decoded(tmp_path):
    """For some of these, such as EPS, the library would start a program."""
    image = pytest.importorskip("PIL.Image")
    image.new("L", (4, 3)).save(tmp_path / "a.png", format="PPM")
    with refused_by(TrainingError, "TRN-9"):
        read_image(tmp_path / "a.png", width=3, height=2)


@pytest.mark.spec("TRN-1")
@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.parquet", "", "texts"),
        ("a.tsv", b"\xff\xfe\t1", "texts"),
        ("a.tsv", "\t1", "texts"),
        ("a.csv", '"open', "texts"),
        ("a.jsonl", "[1]", "texts"),
        ("a.jsonl", "{", "texts"),
        ("a.jsonl", "[" * 100_000, "texts"),
        ("a.jsonl", '{"tokens": "ab", "tags": "cd"}', "tokens"),
        ("a.json", "{}", "questions"),
        ("a.json", squad((5, "cat")), "questions"),
        ("a.json", SQUAD_ODD % "7", "questions"),
        ("a.json", SQUAD_ODD % "[7]", "questions"),
        ("a.npz", "no zip", "arrays"),
        ("a.npz", "", "arrays"),
    ],
)
def test_TRN_1_file_that_is_not_what_its_name_says_is_refused(tmp_path, name, content, form):
    with refused_by(TrainingError, "TRN-1"):
        read_examples(written(tmp_path, name, content), (form,))


@pytest.mark.spec("TRN-1")
def test_TRN_1_absent_file_and_arrays_that_do_not_match_are_refused(tmp_path):
    with refused_by(TrainingError, "TRN-1"):
        read_examples("absent.tsv", ("texts",))
    for arrays in ({"y": [1]}, {"x": [1.0, 2], "y": [1]}, {"x": [1.0], "y": [[1]]}):
        np.savez(tmp_path / "a.npz", **arrays)
        with refused_by(TrainingError, "TRN-1"):
            read_examples(tmp_path / "a.npz", ("arrays",))


@pytest.mark.spec("TRN-2")
def test_TRN_2_array_that_claims_more_than_the_zip_holds_is_never_allocated(tmp_path):
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    path = save_zip(tmp_path / "a.npz", x=file.getvalue() + bytes(64), y=npy(np.zeros(8, int)))
    with refused_by(TrainingError, "TRN-1"):
        read_examples(path, ("arrays",))


@pytest.mark.spec("TRN-2")
def test_TRN_2_entries_without_bytes_are_counted_before_they_are_made(tmp_path):
    count = MAX_EXAMPLES + 1
    for x, y in ((np.zeros((count, 0)), np.zeros(count, "U0")), (np.zeros(3), np.zeros(count))):
        path = save_zip(tmp_path / "a.npz", x=npy(x), y=npy(y))
        with refused_by(TrainingError, "TRN-2"):
            read_examples(path, ("arrays",))


@pytest.mark.spec("TRN-1")
def test_TRN_1_array_with_a_broken_header_is_refused(tmp_path):
    for old, new in ((b"(8,)", b"(8, "), (b"'<f8'", b"'<q8'"), (b"NUMPY\x01", b"NUMPY\x07")):
        data = npy(np.zeros(8)).replace(old, new)
        path = save_zip(tmp_path / "a.npz", x=data, y=npy(np.zeros(8, int)))
        with refused_by(TrainingError, "TRN-1"):
            read_examples(path, ("arrays",))


@pytest.mark.spec("TRN-2")
def test_TRN_2_text_longer_than_a_mebibyte_is_refused(tmp_path):
    with refused_by(TrainingError, "TRN-2"):
        read_examples(written(tmp_path, "a.tsv", "x" * (1 << 20) + "x\t1"), ("texts",))


@pytest.mark.spec("TRN-3")
@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.txt", "a.conll", "a.json"])
def test_TRN_3_data_without_examples_are_refused(tmp_path, name):
    text = '{"data": []}' if name == "a.json" else "\n \n"
    with refused_by(TrainingError, "TRN-3"):
        read_examples(written(tmp_path, name, text), FORMS)


@pytest.mark.spec("TRN-4")
@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.tsv", "good film\t1\nbad film\n", "texts"),
        ("a.tsv", "good film\t1\nbad film\t \n", "texts"),
        ("a.tsv", "good film\nbad film\n", "texts"),
        ("a.csv", "text,stars\ngood film,5\n", "texts"),
        ("a.jsonl", '{"text": "good film"}', "texts"),
        ("a.jsonl", '{"text": "good film", "label": null}', "texts"),
        ("a.conll", "EU\tB-ORG\nrejects\n", "tokens"),
        ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["O"]}', "tokens"),
        ("a.json", squad(), "questions"),
    ],
)
def test_TRN_4_examples_without_labels_are_refused(tmp_path, name, content, form):
    with refused_by(TrainingError, "TRN-4"):
        read_examples(written(tmp_path, name, content), (form,))


@pytest.mark.spec("TRN-4")
def test_TRN_4_arrays_and_images_without_classes_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with refused_by(TrainingError, "TRN-4"):
        read_examples(tmp_path / "a.npz", ("arrays",))
    (tmp_path / "d").mkdir()
    written(tmp_path / "d", "a.png", b"")
    with refused_by(TrainingError, "TRN-4"):
        read_examples(tmp_path / "d", ("images",))


@pytest.mark.spec("TRN-7")
@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.tsv", "good film\t1\nbad film\t0\n", "tokens"),
        ("a.tsv", "good film\t1\n", "arrays"),
        ("a.npz", "", "texts"),
        ("a.json", "{}", "lines"),
    ],
)
def test_TRN_7_data_of_another_task_are_refused(tmp_path, name, content, form):
    with refused_by(TrainingError, "TRN-7"):
        read_examples(written(tmp_path, name, content), (form,))


@pytest.mark.spec("TRN-9")
@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.array([1, np.nan]), np.array([0, 1])),
        (np.array([1, np.inf]), np.array([0, 1])),
        (np.array(["a", "b"]), np.array([0, 1])),
        (np.array([1.0, 2]), np.array([0, np.nan])),
        (np.array([1.0, 2]), np.array([1j, 2])),
    ],
)
def test_TRN_9_arrays_that_are_no_finite_numbers_are_refused(tmp_path, x, y):
    np.savez(tmp_path / "a.npz", x=x, y=y)
    with refused_by(TrainingError, "TRN-9"):
        read_examples(tmp_path / "a.npz", ("arrays",))


class Trap:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.spec("TRN-9", "TRN-11")
def test_TRN_9_pickled_array_is_refused_and_runs_nothing(tmp_path, capsys):
    pickled = npy(np.array([Trap()], dtype=object), allow_pickle=True)
    assert pickle.dumps(Trap())[-20:] in pickled or b"print" in pickled
    path = save_zip(tmp_path / "a.npz", x=pickled, y=npy(np.zeros(1, int)))
    with refused_by(TrainingError, "TRN-9"):
        read_examples(path, ("arrays",))
    assert capsys.readouterr().out == ""


@pytest.mark.spec("TRN-11", "TRN-12")
def test_TRN_11_data_set_id_loads_no_local_script(tmp_path, monkeypatch):
    # Only what does not exist as a path is an id; offline, that is refused.
    script = tmp_path / "owner" / "name"
    script.mkdir(parents=True)
    (script / "name.py").write_text("raise SystemExit('ran')")
    monkeypatch.chdir(tmp_path)
    with refused_by(TrainingError, "TRN-7"):
        read_examples("owner/name", ("texts",))
    with pytest.raises(TrainingError) as caught:
        read_examples("owner/nowhere:config@test", ("texts",))
    assert caught.value.rule in {"TRN-1", "TRN-12"}


@pytest.mark.spec("TRN-12")
def test_TRN_12_missing_package_is_named(tmp_path):
    code = (
        "import sys; sys.modules['PIL'] = None; sys.modules['PIL.Image'] = None\n"
        "from pathlib import Path\n"
        "from seedpack.training.images import read_image\n"
        "from seedpack.errors import TrainingError\n"
        "try: read_image(Path('a.png'), width=1, height=1)\n"
        "except TrainingError as e: print(e.rule, e.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "TRN-12 pip install 'seedpack[images]'\n"


@pytest.mark.spec("TRN-10")
def test_TRN_10_reading_and_refusing_needs_no_torch():
    code = (
        "import sys; from seedpack.training import *\n"
        "from seedpack.training import sampling, statistics, answers\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'PIL'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@given(
    data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    ending=st.sampled_from([".tsv", ".csv", ".jsonl", ".conll", ".txt", ".json", ".npz"]),
    form=st.sampled_from(FORMS),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_bytes_give_examples_or_a_refusal(tmp_path, data, ending, form):
    path = written(tmp_path, f"a{ending}", data)
    try:
        examples = read_examples(path, (form,))
    except SeedError:
        return
    assert len(examples) > 0
