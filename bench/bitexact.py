"""The same seeds, decoded under many settings of one machine: equal to the bit.

    python -m bench.bitexact            exit status 0: all digests are equal

    model --extract, once per codec--> seeds, and the vectors of all codecs
    seed --decode under each setting--> SHA-256 over name, dtype, shape and values of all layers

Every layer's digest is also held against the signed one while it is decoded (LAY-8), so that
a difference would not get past a reader even where nobody compares.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_WITH_TORCH = "SEEDPACK_BENCH_TORCH"
_ONE_CORE = "SEEDPACK_BENCH_ONE_CORE"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_CORES = {  # of OpenBLAS: what the processor must have
    "Prescott": "pni",
    "Nehalem": "sse4_2",
    "Sandybridge": "avx",
    "Haswell": "avx2",
    "Zen": "avx2",
    "SkylakeX": "avx512f",
    "Cooperlake": "avx512_bf16",
}


def settings() -> dict[str, dict[str, str]]:
    """Return the settings that this machine can run, by name, as environment variables."""
    found = {f"{n} threads": dict.fromkeys(_THREADS, str(n)) for n in (1, 2, 4)}
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split()
    found |= {
        f"OPENBLAS_CORETYPE={core}": {"OPENBLAS_CORETYPE": core}
        for core, flag in _CORES.items()
        if flag in flags
    }
    found["numpy without vector units"] = {"NPY_DISABLE_CPU_FEATURES": _numpy_features()}
    found["one core"] = {_ONE_CORE: "1"}
    found["torch loaded first"] = {_WITH_TORCH: "1"}
    return found


def _numpy_features() -> str:
    """Return what numpy finds beyond its baseline, as it wants to be told to leave it alone."""
    code = (
        "from numpy._core._multiarray_umath import __cpu_dispatch__ as d, __cpu_features__ as f;"
        "print(*(n for n in d if f.get(n)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> int:
    """Print one line per setting."""
    with tempfile.TemporaryDirectory() as folder:
        _child({}, "make", folder)
        answers = {name: _child(values, "decode", folder) for name, values in settings().items()}
    (first, expected), *_ = answers.items()
    for name, digests in answers.items():
        same = sum(digests.get(seed) == digest for seed, digest in expected.items())
        whole = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
        print(f"{name:32} {whole[:16]}  {same} of {len(expected)} seeds as with {first}")
    equal = all(digests == expected for digests in answers.values())
    print(
        f"{len(answers)} settings, {len(expected)} seeds, {'all equal' if equal else 'DIFFERENT'}"
    )
    print("every layer of every seed also has the digest that its publisher signed (LAY-8)")
    return 0 if equal else 1


def _child(values: dict[str, str], *arguments: str) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k not in _THREADS} | values
    command = [sys.executable, "-m", "bench.bitexact", *arguments]
    done = subprocess.run(
        command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


# ---------------------------------------------------------------- in the child


def make_seeds(folder: Path) -> dict[str, str]:
    """Write a model, and a seed of it with each codec that can be asked for."""
    import numpy as np  # noqa: PLC0415 -- in the child only
    from safetensors.numpy import save_file  # noqa: PLC0415

    import seedpack  # noqa: PLC0415
    from seedpack.codecs import CODEC_IDS  # noqa: PLC0415
    from seedpack.codecs.init import make_values  # noqa: PLC0415
    from seedpack.codecs.registry import BASED_IDS  # noqa: PLC0415
    from seedpack.dtypes import DTYPES  # noqa: PLC0415

    random = np.random.default_rng(0)
    weights = random.normal(0, 0.05, (384, 256)).astype(np.float32)
    pruned = np.where(random.random(weights.shape) < 0.1, weights, np.float32(0))
    thin = (random.normal(size=(384, 8)) @ random.normal(size=(8, 256))).astype(np.float32)
    model = folder / "model.safetensors"
    tensors = {
        "weights": weights,
        "half": weights[:128].astype(np.float16),
        "convolution": weights[:64].reshape(64, 32, 4, 2),
        "pruned": pruned,
        "thin": thin,
        "drawn": make_values(3, 0.5, 4096, DTYPES["float32"]).reshape(64, 64),
        "ones": np.ones((64, 64), np.float32),
        "bias": weights[0].copy(),
    }
    save_file(tensors, model)
    for codec in sorted(CODEC_IDS - BASED_IDS):
        seedpack.extract_seed(model, folder / f"{codec}.seed", name="bench/bitexact", codec=codec)
    return {}


def decode_seeds(folder: Path) -> dict[str, str]:
    """Return a digest of what each seed, and each vector of a codec, decodes to."""
    if os.environ.get(_WITH_TORCH):
        import torch  # noqa: PLC0415

        torch.ones(8).sum()
    if os.environ.get(_ONE_CORE):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    found = {path.stem: _digest(path) for path in sorted(folder.glob("*.seed"))}
    index = json.loads((_ROOT / "spec/vectors/index.json").read_bytes())["vectors"]
    for vector in index:
        file = vector["file"]
        needs_base = "base" in vector or file.startswith("codecs/delta")
        if file.startswith("codecs/") and vector["expect"] == "accept" and not needs_base:
            found[file] = _digest(_ROOT / "spec/vectors" / file)
    return found


def _digest(path: Path) -> str:
    import seedpack  # noqa: PLC0415
    from seedpack.seed.tensors import decode_layers  # noqa: PLC0415

    hasher = hashlib.sha256()
    with seedpack.open_unverified(path) as seed:
        for tensor in decode_layers(seed):  # refuses a tensor that is not as signed
            head = f"{tensor.name} {tensor.dtype.name} {tensor.array.shape}"
            hasher.update(head.encode() + tensor.array.tobytes())
    return hasher.hexdigest()


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(main())
    jobs = {"make": make_seeds, "decode": decode_seeds}
    print(json.dumps(jobs[sys.argv[1]](Path(sys.argv[2]))))
