"""Share of tampered seeds that are refused, by kind, beside the bar of 100 %.

    python -m bench.tampering [--count N]        from the root of the repository

Seeds of every layout (raw, quantised, entropy-coded, parity, hybrid signatures, SHA-256) of a
small model; changed copies as the audit `integrity` makes them; the verifier is that of
`seedpack verify --decode`. Control: the unchanged copies, which have to be accepted.

Exit status: 0 every change refused and every control accepted, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from seedpack.audits.mutations import Replay, Target, draw_mutations, verify_fully
from seedpack.crypto.keys import Algorithm, generate_private_key
from seedpack.extract import extract
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.signing import sign_seed
from seedpack.training.statistics import wilson_interval
from seedpack.trust.model import Principal, TrustedKey
from seedpack.trust.store import TrustStore

if TYPE_CHECKING:
    from seedpack.crypto.keys import PrivateKey

_COUNT = 12_000
_LAYOUTS: dict[str, dict[str, Any]] = {
    "raw": {"codec": "raw"},
    "raw, SHA-256": {"codec": "raw", "digest_algorithm": "sha2-256"},
    "8 bits": {"codec": "q8", "chunk_nbytes": 2048},
    "entropy-coded": {"codec": "ecq", "chunk_nbytes": 2048},
    "8 bits, parity": {"codec": "q8", "chunk_nbytes": 1024, "parity_percent": 50},
    "8 bits, hybrid": {"codec": "q8", "chunk_nbytes": 2048},
}


def main() -> int:
    """Tamper, print the table, and compare with the bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.tampering", description="Tampering.")
    parser.add_argument("--count", type=int, default=_COUNT, help="changed copies in all")
    each = -(-parser.parse_args().count // len(_LAYOUTS))
    tried: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    rules: dict[str, Counter[str]] = {}
    controls = 0
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="seedpack-bench-") as name:
        for seed, layout in enumerate(_LAYOUTS):
            controls += _tamper(Path(name), layout, seed, each, (tried, refused, rules))
    return _print(tried, refused, rules, controls, time.perf_counter() - start)


def _tamper(
    folder: Path,
    layout: str,
    seed: int,
    count: int,
    tallies: tuple[Counter[str], Counter[str], dict[str, Counter[str]]],
) -> int:
    """Fill the tallies; return how many of the two unchanged copies were accepted."""
    tried, refused, rules = tallies
    keys, store = _make_store(layout)
    path, donor = folder / f"{seed}.seed", folder / f"{seed}-donor.seed"
    _extract(folder, path, layout, keys, version=1)
    _extract(folder, donor, layout, [generate_private_key(Algorithm.ED25519)], version=2)
    with open_seed(path, store=store) as contents, open_unverified(donor) as other:
        target = Target(contents, store, other)
        replay = Replay(target, folder / "copy.seed", verify_fully)
        accepted = not replay.judge_unchanged().rule
        for mutation in islice(draw_mutations(target, seed=seed), count):
            outcome = replay.judge(mutation)
            tried[mutation.kind] += 1
            refused[mutation.kind] += bool(outcome.rule)
            rules.setdefault(mutation.kind, Counter())[outcome.rule or "ACCEPTED"] += 1
        return accepted + (not replay.judge_unchanged().rule)


def _make_store(layout: str) -> tuple[list[PrivateKey], TrustStore]:
    keys = [generate_private_key(Algorithm.ED25519)]
    if "hybrid" in layout:
        keys.append(generate_private_key(Algorithm.ML_DSA_65))
    principal = Principal(
        name="publisher",
        keys=tuple(TrustedKey(key.public) for key in keys),
        require=tuple(key.public.algorithm for key in keys),
    )
    return keys, TrustStore((principal,))


def _extract(
    folder: Path, seed: Path, layout: str, keys: list[PrivateKey], *, version: int
) -> None:
    weights = folder / f"model-{version}.safetensors"
    random = np.random.default_rng(version)  # the two versions differ in every weight
    shapes = {"embed": (64, 32), "dense.weight": (48, 32), "dense.bias": (48,), "head": (10, 48)}
    save_file(
        {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()},
        weights,
    )
    extract(weights, seed, name="bench/tampered", version=version, key=keys[0], **_LAYOUTS[layout])
    for key in keys[1:]:
        sign_seed(seed, key)


def _print(
    tried: Counter[str],
    refused: Counter[str],
    rules: dict[str, Counter[str]],
    controls: int,
    seconds: float,
) -> int:
    print(f"{'change':30} {'tried':>6} {'refused':>8}  by rule")
    for kind in sorted(tried):
        named = ", ".join(f"{rule} {n}" for rule, n in sorted(rules[kind].items()))
        print(f"{kind:30} {tried[kind]:6} {refused[kind] / tried[kind]:8.2%}  {named}")
    total, caught = tried.total(), refused.total()
    low, high = wilson_interval(caught, total)
    wanted = 2 * len(_LAYOUTS)
    print(f"\n{'all':30} {total:6} {caught / total:8.2%}  bar 100 %; 95 %: {low:.3%} to {high:.3%}")
    print(f"{'control: unchanged copies':30} {wanted:6} {1 - controls / wanted:8.2%}  bar 0 %")
    print(f"{seconds:.0f} s, {1000 * seconds / total:.2f} ms a copy")
    return 0 if caught == total and controls == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
