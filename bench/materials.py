"""Models, keys and seeds that everything is measured on, made anew in every run.

    python -m bench.materials OUT.safetensors NTENSORS ROWS     writes random float32 weights

Random-normal weights leave a lossless codec the exponents only, as real weights do.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.measure import python_command, run, seedpack_command

if TYPE_CHECKING:
    from collections.abc import Mapping

SEEDPACK_STORES = 0.8316  # of random-normal float32, by the codec raw
_COLUMNS = 4096
_ROWS = 1024  # 16 MiB per tensor
_SMALL_ROWS = 7  # 112 KiB of weights: a seed of about 100 KB


class Materials(NamedTuple):
    """Paths of everything."""

    folder: Path
    private_key: Path
    public_key: Path
    model: Path
    seed: Path  # of ``model``
    small_seed: Path


def make_materials(folder: Path, nbytes: int, environment: Mapping[str, str]) -> Materials:
    """Make a key, a seed of about ``nbytes``, and one of about 100 KB."""
    materials = Materials(
        folder,
        folder / "bench.key",
        folder / "bench.pub",
        folder / "large.safetensors",
        folder / "large.seed",
        folder / "small.seed",
    )
    small_model = folder / "small.safetensors"
    ntensors = -(-nbytes // int(4 * _ROWS * _COLUMNS * SEEDPACK_STORES))
    for command in (
        seedpack_command("keygen", "bench", "--out", folder, "--no-passphrase"),
        python_command("materials", materials.model, ntensors, _ROWS),
        python_command("materials", small_model, 1, _SMALL_ROWS),
        extract_command(materials, materials.model, materials.seed),
        extract_command(materials, small_model, materials.small_seed),
    ):
        run(command, environment)
    return materials


def extract_command(materials: Materials, model: Path, seed: Path, *options: str) -> list[str]:
    """Return the command that makes a signed lossless seed."""
    key = ("--key", materials.private_key)
    return seedpack_command("extract", model, "-o", seed, *key, "--force", *options)


def write_model(path: Path, ntensors: int, rows: int) -> None:
    """Write random-normal float32 tensors of ``rows`` x 4096."""
    import numpy as np  # noqa: PLC0415 -- in the child only
    from safetensors.numpy import save_file  # noqa: PLC0415

    random = np.random.default_rng(0)
    scale = np.float32(0.02)  # as transformers initialise their weights
    tensors = {
        f"layers.{i}.weight": random.standard_normal((rows, _COLUMNS), dtype=np.float32) * scale
        for i in range(ntensors)
    }
    save_file(tensors, path)


if __name__ == "__main__":
    write_model(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
