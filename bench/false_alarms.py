"""How often an audit alarms at honest seeds: clean networks, all audits of each, profile quick.

    digits ──four fifths, drawn per network──> network ──extract──> seed ──seedpack audit──> gates
       └──all──> arms and twins of the audits: one cache for all ────────────────┘

Run: python -m bench.false_alarms [--networks N] [--first N] [--factory F] [--keep DIR]

With --factory bench.perceptron:make_module the networks are perceptrons of the zoo's size, which
take half a minute each where the demo's convolutions take three.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.audits import DEMO, audit_published, publish_digits
from bench.table import Row, print_rows, print_title

if TYPE_CHECKING:
    from seedpack_cli.demo.network import Digits

BAR = 0.05
_SHARE = 0.8  # of the training images, so that no network is one of the audit's own twins
_FIRST = 1_000  # seeds far from those that audits give to their twins


def main() -> None:
    """Audit each network, then print what alarmed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first network")
    parser.add_argument("--factory", default=DEMO)
    parser.add_argument(
        "--keep", type=Path, help="a folder that keeps seeds and reports; those there are reused"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (chosen.keep or Path(scratch)).absolute()
        numbers = range(chosen.first, chosen.first + chosen.networks)
        reports = [_report_of(folder, number, chosen.factory) for number in numbers]
    _show(reports)


def _report_of(folder: Path, number: int, factory: str) -> dict[str, Any]:
    from seedpack_cli.demo.network import load_images  # noqa: PLC0415 -- imports torch

    own = folder / f"network{number}"
    done = own / "report" / "report.json"
    if done.exists():  # a report appears when it is complete
        report: dict[str, Any] = json.loads(done.read_bytes())
    else:
        shutil.rmtree(own, ignore_errors=True)  # what an interrupted run left
        own.mkdir(parents=True)
        digits = load_images()
        learnt = _learnt(digits, number)
        words = publish_digits(own, learnt, digits, _FIRST + number, factory)
        words += ["--audit", "quick,all"]
        report = audit_published(own, words, str(folder / "cache"))
    alarms = [result["audit"] for result in report["results"] if result["status"] == "fail"]
    print(f"network {number}: {', '.join(alarms) or 'no alarm'}", flush=True)
    return report


def _learnt(digits: Digits, number: int) -> Digits:
    """Return the images that network ``number`` learns from."""
    count = len(digits.train_labels)
    taken = np.random.default_rng(number).permutation(count)[: round(_SHARE * count)]
    return digits._replace(
        train_images=digits.train_images[taken], train_labels=digits.train_labels[taken]
    )


def _show(reports: list[dict[str, Any]]) -> None:
    from seedpack.training.statistics import wilson_interval  # noqa: PLC0415 -- imports torch

    print_title(f"audits of {len(reports)} clean networks, quick")
    counts: dict[str, Counter[str]] = {}
    for report in reports:
        for result in report["results"]:
            counts.setdefault(result["audit"], Counter())[result["status"]] += 1
    print_rows(
        [
            Row(name, ", ".join(f"{status} {n}" for status, n in sorted(count.items())))
            for name, count in counts.items()
        ]
    )
    alarmed = sum(any(r["status"] == "fail" for r in report["results"]) for report in reports)
    low, high = wilson_interval(alarmed, len(reports))
    figure = f"{alarmed} of {len(reports)} [{low:.2f}, {high:.2f}]"
    print_rows([Row("any audit alarms", figure, f"<= {BAR}", alarmed <= BAR * len(reports))])
    if high > BAR:
        print(f"So few networks do not show it: the interval reaches {high:.2f}.")


if __name__ == "__main__":
    main()
