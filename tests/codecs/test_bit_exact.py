"""The same seeds decode to the same bits, whatever threads, BLAS and vector units do."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from bench import bitexact
from seedpack.codecs import CODEC_IDS
from seedpack.codecs.registry import BASED_IDS
from tests.conftest import ROOT

# Of the settings that the benchmark runs, those that have differed for float arithmetic.
QUICK = ["1 threads", "4 threads", "OPENBLAS_CORETYPE=Nehalem", "numpy without vector units"]


def run(values, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "bench.bitexact", *arguments],
        cwd=ROOT,
        env={**os.environ, **values},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_every_codec_decodes_to_the_same_bits_under_every_setting(tmp_path):
    run({}, "make", str(tmp_path))
    known = bitexact.settings()
    answers = [run(known[name], "decode", str(tmp_path)) for name in QUICK if name in known]
    assert len(answers) >= 2
    assert answers[0].keys() >= CODEC_IDS - BASED_IDS
    assert all(answer == answers[0] for answer in answers)


def test_the_benchmark_has_eight_settings_or_more():
    assert len(bitexact.settings()) >= 8
