"""Extracting and rebuilding whole models: time and peak memory, in programs of their own.

    python -m bench.assembly          from the root of the repository

MiniLM-L6 (22.7 M parameters), GPT-2 small (124 M, random, from its configuration: nothing is
downloaded) and models of one huge tensor among many small ones. Each step runs in a process of its
own, which does what
the command line does (torch's import is not counted); the best of three runs, because others may
use the machine; the controls are a copy of the same file by the same library calls. How many
weights per second are decoded, ``bench.codecs`` measures.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.lossless import default_model
from bench.measure import child_environment, python_command, run
from bench.table import Row, format_mib, print_rows, print_title

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PRESETS = ("balanced", "lossless")
_JUDGED = "balanced"
_MAX_SECONDS = 5.0  # verified and assembled to one file
_MAX_EXTRACT = 0.04  # seconds per million parameters
_MAX_LARGEST = 1.5  # times the largest layer ...
_MAX_MORE_NBYTES = 500_000_000  # ... and this
_HUGE = (("float32", 16_384), ("float32", 65_536), ("float16", 65_536))  # 256, 1024, 512 MiB
_ITEMSIZES = {"float16": 2, "float32": 4}
_COLUMNS = 4096
_SMALL_TENSORS = 100
_ROUNDS = 3


def main() -> None:
    """Print both sections."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory(prefix="seedpack-bench-") as name:
        folder = Path(name)
        environment = child_environment(folder)
        cores = len(os.sched_getaffinity(0))
        gpt2 = folder / "gpt2"
        _step(environment, "make_gpt2", gpt2)
        for title, model in (("MiniLM-L6", default_model()), ("GPT-2 small", gpt2)):
            print_title(f"{title}, {cores} cores, load {os.getloadavg()[0]:.1f}")
            print_rows(_time_rows(model, folder, environment))
        print_title(f"peak memory: one huge tensor among many small ones, {_JUDGED}")
        for dtype, rows in _HUGE:
            print_rows(_memory_rows(folder, dtype, rows, environment))


def _time_rows(model: Path, folder: Path, environment: Mapping[str, str]) -> list[Row]:
    copied = min(_step(environment, "copy", model, folder)["wall_s"] for _ in range(_ROUNDS))
    rows = [Row("control: read and write the weights", f"{copied:.2f} s")]
    for preset in _PRESETS:
        seed, out = folder / f"{preset}.seed", folder / "out.safetensors"
        made = min(
            (_step(environment, "extract", model, seed, preset) for _ in range(_ROUNDS)),
            key=lambda counted: counted["wall_s"],
        )
        per_million = made["wall_s"] / (made["parameters"] / 1e6)
        figure = f"{per_million:.4f} s per million"
        judged = preset == _JUDGED
        bar = f"<= {_MAX_EXTRACT} s per million" if judged else ""
        met = per_million <= _MAX_EXTRACT if judged else None
        rows.append(Row(f"extract, {preset}", figure, bar, met))
        rows.append(_cpu_row(made["cpu_s"] / (made["parameters"] / 1e6), bar))
        took = sorted(
            (_step(environment, "assemble", seed, out) for _ in range(_ROUNDS)),
            key=lambda counted: counted["wall_s"],
        )
        best, worst = took[0]["wall_s"], took[-1]["wall_s"]
        ratio = model.joinpath("model.safetensors").stat().st_size / seed.stat().st_size
        figure = f"{best:.2f} s ({best / copied:.1f}x copying), worst {worst:.2f}"
        bar = f"<= {_MAX_SECONDS} s" if judged else ""
        met = best <= _MAX_SECONDS if judged else None
        rows.append(Row(f"verify + assemble, {preset}, ratio {ratio:.1f}", figure, bar, met))
        rows.append(_cpu_row(took[0]["cpu_s"], bar))
    return rows


def _cpu_row(seconds: float, bar: str) -> Row:
    """Return what no other load on the machine adds to, beside the bar of the elapsed time."""
    cores = len(os.sched_getaffinity(0))
    figure = f"{seconds:.4f} s, over {cores} cores {seconds / cores:.4f} s"
    return Row("  of that, CPU", figure, bar and f"({bar})")


def _memory_rows(folder: Path, dtype: str, rows: int, environment: Mapping[str, str]) -> list[Row]:
    model, seed, out = (folder / name for name in ("h.safetensors", "h.seed", "ho.safetensors"))
    _step(environment, "make_huge", model, dtype, rows)
    largest = rows * _COLUMNS * _ITEMSIZES[dtype]
    most = _MAX_LARGEST * largest + _MAX_MORE_NBYTES
    idle = _step(environment, "idle")["peak_nbytes"]
    found = [Row("control: imports only", format_mib(idle))]
    steps = {"extract": (model, seed, _JUDGED), "assemble": (seed, out)}
    for name, arguments in steps.items():
        peak = _step(environment, name, *arguments)["peak_nbytes"]
        figure = f"{format_mib(peak)}, {peak / largest:.2f}x the largest"
        bar = f"<= {format_mib(most)}"
        what = f"{name}, largest layer {format_mib(largest)}, {dtype}"
        found.append(Row(what, figure, bar, peak <= most))
    return found


def _step(environment: Mapping[str, str], name: str, *arguments: object) -> dict[str, Any]:
    """Run one of ``_STEPS`` in a process of its own; return what it and the system counted."""
    usage = run(python_command("assembly", name, *arguments), environment)
    counted: dict[str, Any] = json.loads(usage.output or "{}")
    return counted | {"peak_nbytes": usage.peak_nbytes}


# ---------------------------------------------------------------- in a process of its own


def _make_gpt2(folder: str) -> dict[str, float]:
    import torch  # noqa: PLC0415 -- in this process only
    import transformers  # noqa: PLC0415

    torch.manual_seed(0)
    transformers.GPT2LMHeadModel(transformers.GPT2Config()).save_pretrained(folder)
    return {}


def _make_huge(path: str, dtype: str, rows: str) -> dict[str, float]:
    import numpy as np  # noqa: PLC0415
    from safetensors.numpy import save_file  # noqa: PLC0415

    random = np.random.default_rng(0)
    tensors = {
        f"small.{i}": random.standard_normal((64, _COLUMNS), np.float32).astype(dtype)
        for i in range(_SMALL_TENSORS)
    }
    tensors["huge"] = random.standard_normal((int(rows), _COLUMNS), np.float32).astype(dtype)
    save_file(tensors, path)
    return {}


def _copy(folder: str, out: str) -> dict[str, float]:
    from safetensors.numpy import load_file, save_file  # noqa: PLC0415

    start = time.perf_counter()
    save_file(load_file(Path(folder) / "model.safetensors"), Path(out) / "copy.safetensors")
    return {"wall_s": time.perf_counter() - start}


def _extract(model: str, seed: str, preset: str) -> dict[str, float]:
    import seedpack  # noqa: PLC0415
    from seedpack.frameworks import open_model  # noqa: PLC0415

    open_model(Path(model))  # torch and transformers are imported here, which is not counted
    start, cpu = time.perf_counter(), time.process_time()
    report = seedpack.extract_seed(
        Path(model), Path(seed), name="bench/m", preset=preset, overwrite=True
    )
    return {
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "parameters": report.raw_nbytes / 4,  # all are float32
    }


def _assemble(seed: str, out: str) -> dict[str, float]:
    import seedpack  # noqa: PLC0415

    start, cpu = time.perf_counter(), time.process_time()
    with seedpack.open_unverified(Path(seed)) as contents:
        seedpack.verify_seed(contents)
        seedpack.assemble_seed(contents, Path(out), insecure=True, overwrite=True)
    return {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}


def _idle() -> dict[str, float]:
    import seedpack.assemble  # noqa: PLC0415
    import seedpack.codecs.ecq  # noqa: PLC0415
    import seedpack.extract  # noqa: F401, PLC0415

    return {}


_STEPS: dict[str, Callable[..., dict[str, float]]] = {
    "assemble": _assemble,
    "copy": _copy,
    "extract": _extract,
    "idle": _idle,
    "make_gpt2": _make_gpt2,
    "make_huge": _make_huge,
}

if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(_STEPS[sys.argv[1]](*sys.argv[2:])))
    else:
        main()
