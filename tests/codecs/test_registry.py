"""The registry: ids without numpy, codecs on demand, raw for what others decline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seedpack.codecs import CODEC_IDS, encode_tensor, get_codec
from seedpack.codecs.rans.turns import Turns
from seedpack.codecs.registry import BASED_IDS, BUSY_IDS, FALLBACK_ID
from seedpack.dtypes import DTYPES
from tests.codecs.laws import decode, gaussian, layer_for, liked_by
from tests.conftest import ROOT

F32 = DTYPES["float32"]


def test_knowing_the_ids_costs_neither_numpy_nor_a_codec():
    program = (
        "import sys; from seedpack.codecs import CODEC_IDS; assert 'raw' in CODEC_IDS\n"
        "print([m for m in sys.modules if m in {'numpy', 'zstandard'} or '.codecs.' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['seedpack.codecs.registry']"


@pytest.mark.parametrize("codec_id", sorted(CODEC_IDS))
def test_every_codec_knows_its_id_and_has_a_page(codec_id):
    assert get_codec(codec_id).id == codec_id
    assert Path(ROOT, "spec", "codecs", f"{codec_id}.md").is_file()


def test_an_unknown_codec_is_a_wrong_call():
    with pytest.raises(ValueError, match="unknown codec 'zip'"):
        get_codec("zip")


def test_values_of_another_storage_type_are_a_wrong_call():
    with pytest.raises(ValueError, match="float32"):
        encode_tensor("raw", np.zeros(3), F32)
    with pytest.raises(ValueError, match=">f4"):
        encode_tensor("raw", np.zeros(3, ">f4"), F32)


@pytest.mark.parametrize("codec_id", sorted(CODEC_IDS - BASED_IDS))
@pytest.mark.parametrize("nbytes", [16, 4 << 20])
def test_chunk_sizes_at_the_limits_are_taken(codec_id, nbytes):
    values = liked_by(codec_id)
    encoded = encode_tensor(codec_id, values, F32, chunk_raw_nbytes=nbytes)
    assert encoded.codec == codec_id
    assert encoded.stored_nbytes == sum(len(chunk) for chunk in encoded.chunks)


@pytest.mark.parametrize("nbytes", [15, (4 << 20) + 1])
def test_chunk_sizes_outside_the_limits_are_a_wrong_call(nbytes):
    with pytest.raises(ValueError, match="chunks of"):
        encode_tensor("raw", gaussian(F32, 100), F32, chunk_raw_nbytes=nbytes)


def test_what_a_codec_declines_is_stored_raw():
    values = np.arange(1000, dtype="<i8")
    encoded = encode_tensor("q8", values, DTYPES["int64"], chunk_raw_nbytes=1024)
    assert (encoded.codec, encoded.params) == (FALLBACK_ID, {"chunk_values": 128})


@pytest.mark.parametrize("codec_id", sorted(BUSY_IDS))
def test_threads_of_a_busy_codec_never_take_turns(codec_id, monkeypatch):
    taken = []
    monkeypatch.setattr(Turns, "run", lambda _, job: taken.append(job))
    values = liked_by(codec_id)
    encoded = encode_tensor(codec_id, values, F32)
    assert encoded.codec == codec_id
    decode(layer_for(encoded, F32, values.shape, finite=True), encoded.chunks)
    assert not taken


def test_where_a_codec_is_not_busy_threads_take_turns(monkeypatch):
    class Turned(Exception):  # noqa: N818 -- not an error
        """A thread would have waited."""

    def run(turns, job):
        raise Turned

    monkeypatch.setattr(Turns, "run", run)
    for codec_id in ("ecq", "tcq"):
        with pytest.raises(Turned):
            encode_tensor(codec_id, liked_by(codec_id), F32)
