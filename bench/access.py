"""What must not grow with the payload: adding a signature, reading one layer.

    python -m bench.access LARGE.seed SMALL.seed     prints bytes read for one layer

Bytes are those that the kernel counts for read() and write(), from cache or disk.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import python_command, read_counters, run, run_interleaved, seedpack_command
from bench.table import Row, format_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.materials import Materials
    from bench.measure import Usage

_SIGN_S = 0.3
_SIGN_ROUNDS = 7
_SIGN_WRITTEN_NBYTES = 64 * 1024  # one record in the reserve, and a line for the user
_READ_FACTOR = 1.01


def measure(materials: Materials, environment: Mapping[str, str]) -> list[Row]:
    """Return the rows of both."""
    return [
        *_signing_rows(materials, environment),
        *_reading_rows(materials, environment),
    ]


def _signing_rows(materials: Materials, environment: Mapping[str, str]) -> list[Row]:
    """Add one signature after another, each by another key, to a copy of the large seed."""
    seed = materials.folder / "signed.seed"
    shutil.copyfile(materials.seed, seed)
    usages = [_sign(seed, number, materials, environment) for number in range(_SIGN_ROUNDS + 1)]
    seed.unlink()
    usages = usages[1:]
    wall_s = sorted(usage.wall_s for usage in usages)[len(usages) // 2]
    written = max(usage.written_nbytes for usage in usages)
    share = written / materials.seed.stat().st_size
    return [
        Row(
            "add a signature / verify",
            format_ratio(wall_s / _verify_s(materials, environment), wall_s),
            "< 0.3 s",
            wall_s < _SIGN_S,
        ),
        Row(
            "add a signature, bytes written",
            f"{written:,} ({share:.1e} of the file)",
            "one record, not the file",
            written <= _SIGN_WRITTEN_NBYTES,
        ),
    ]


def _sign(seed: Path, number: int, materials: Materials, environment: Mapping[str, str]) -> Usage:
    name, folder = f"signer{number}", materials.folder
    run(seedpack_command("keygen", name, "--out", folder, "--no-passphrase"), environment)
    return run(seedpack_command("sign", seed, "--key", folder / f"{name}.key"), environment)


def _verify_s(materials: Materials, environment: Mapping[str, str]) -> float:
    verify = seedpack_command("verify", materials.seed, "--key", materials.public_key)
    return run_interleaved({"verify": verify}, environment, rounds=3)["verify"].wall_s


def _reading_rows(materials: Materials, environment: Mapping[str, str]) -> list[Row]:
    command = python_command("access", materials.seed, materials.small_seed)
    counted = json.loads(run(command, environment).output)
    ratio = counted["read"] / counted["needed"]
    share = counted["read"] / materials.seed.stat().st_size
    return [
        Row(
            "one layer: bytes read / header + its chunks",
            f"{ratio:.4f}x ({share:.2%} of the file)",
            f"<= {_READ_FACTOR}x",
            ratio <= _READ_FACTOR,
        )
    ]


def count_reads(large: Path, small: Path) -> dict[str, int]:
    """Decode one layer of ``large`` and return the bytes read, and those that it takes."""
    import seedpack  # noqa: PLC0415 -- in the child only
    from seedpack.seed.tensors import decode_layers  # noqa: PLC0415

    def decode_first(path: Path) -> int:
        with seedpack.open_unverified(path) as seed:
            layer = seed.manifest.layers[0]
            list(decode_layers(seed, layers=layer.name))
            stored = sum(chunk.stored_nbytes for chunk in layer.chunks)
            return seed.header.preamble.payload_offset + stored

    decode_first(small)  # so that reading modules does not count
    before = read_counters("self")["rchar"]
    needed = decode_first(large)
    return {"read": read_counters("self")["rchar"] - before, "needed": needed}


if __name__ == "__main__":
    print(json.dumps(count_reads(Path(sys.argv[1]), Path(sys.argv[2]))))
