"""``seedpack verify`` as whole processes: a large seed against hashing, a small one to start up."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING

from bench import rivals
from bench.measure import python_command, run_interleaved, seedpack_command
from bench.table import MIB, Row, format_mib, format_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.materials import Materials
    from bench.measure import Command, Typical

_HASHING_FACTOR = 1.15
_START_S = 0.1
_SMALL_CPU_S = 0.15
_PEAK_NBYTES = 100 * MIB
_MODEL_SIGNING_FACTOR = 2.0
_LARGE_ROUNDS = 9
_SMALL_ROUNDS = 25


def measure(materials: Materials, environment: Mapping[str, str]) -> list[Row]:
    """Return the rows of both seeds."""
    folder = materials.folder
    files = [materials.seed, materials.small_seed]
    signing = rivals.model_signing_verify(files, folder, environment)
    minisign = rivals.minisign_verify(materials.seed, folder, environment)
    large = {
        "seedpack": _verify(materials, materials.seed),
        "hashing": python_command("hashing", materials.seed),
    }
    small = {"seedpack": _verify(materials, materials.small_seed)}
    if signing is not None:
        large["model_signing"], small["model_signing"] = signing
    if minisign is not None:
        large["minisign"] = minisign
    sizes = [format_mib(file.stat().st_size) for file in files]
    return [
        *_large_rows(sizes[0], run_interleaved(large, environment, rounds=_LARGE_ROUNDS)),
        *_small_rows(sizes[1], run_interleaved(small, environment, rounds=_SMALL_ROUNDS)),
    ]


def _verify(materials: Materials, seed: object) -> Command:
    return seedpack_command("verify", seed, "--key", materials.public_key)


def _large_rows(size: str, took: Mapping[str, Typical]) -> list[Row]:
    ours = took["seedpack"]
    hashing_s = _hashing_s(took["hashing"])
    allowed_s = _HASHING_FACTOR * hashing_s + _START_S
    return [
        Row(
            f"verify {size} / hashing the same bytes",
            format_ratio(ours.wall_s / hashing_s, ours.wall_s),
            f"<= 1.15x + 0.1 s ({allowed_s:.3f} s)",
            ours.wall_s <= allowed_s,
        ),
        _rival_row(took, "model_signing", _MODEL_SIGNING_FACTOR),
        _rival_row(took, "minisign", 1.0),
        Row(
            "verify, peak memory",
            format_mib(ours.peak_nbytes),
            "< 100 MiB",
            ours.peak_nbytes < _PEAK_NBYTES,
        ),
    ]


def _hashing_s(hashing: Typical) -> float:
    """Return the median time of the faster way to hash."""
    runs = [json.loads(output) for output in hashing.outputs]
    medians = [statistics.median(run[way] for run in runs) for way in runs[0]]
    return float(min(medians))


def _rival_row(took: Mapping[str, Typical], name: str, factor: float) -> Row:
    what, bar = f"{name} verify / seedpack verify", f">= {factor:.0f}x"
    if name not in took:
        return Row(what, f"{name} is not installed", bar)
    ratio = took[name].wall_s / took["seedpack"].wall_s
    return Row(what, format_ratio(ratio, took[name].wall_s), bar, ratio >= factor)


def _small_rows(size: str, took: Mapping[str, Typical]) -> list[Row]:
    cpu_s = took["seedpack"].cpu_s
    rows = [
        Row(f"start-up: verify {size}", f"{cpu_s:.3f} CPU-s", "<= 0.150", cpu_s <= _SMALL_CPU_S)
    ]
    if "model_signing" in took:
        theirs = took["model_signing"].cpu_s
        figure = f"{theirs / cpu_s:.2f}x ({theirs:.3f} CPU-s)"
        rows.append(Row("model_signing / seedpack, the same file", figure))
    return rows
