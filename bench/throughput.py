"""What has no bar: making, decoding, rebuilding and repairing seeds, as whole processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.lossless import default_model
from bench.materials import extract_command
from bench.measure import Command, run_interleaved, seedpack_command
from bench.table import MIB, Row, format_mib

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.materials import Materials
    from bench.measure import Typical

_ROUNDS = 3
_PARITY_PERCENT = 30
_DAMAGED_SHARE = 5  # one chunk of so many: 20 %


def measure(materials: Materials, environment: Mapping[str, str]) -> list[Row]:
    """Return the rows."""
    again = materials.folder / "again.seed"
    took = run_interleaved(
        {
            "extract": extract_command(materials, materials.model, again),
            "verify": _trusting(materials, "verify", materials.seed),
            "decode": _trusting(materials, "verify", materials.seed, "--decode"),
        },
        environment,
        rounds=_ROUNDS,
    )
    again.unlink()
    nbytes = materials.model.stat().st_size
    return [
        _throughput_row("extract", took["extract"], nbytes),
        _throughput_row("verify --decode", took["decode"], nbytes),
        Row("verify --decode / verify", f"{took['decode'].wall_s / took['verify'].wall_s:.2f}x"),
        *_minilm_rows(materials, environment),
    ]


def _trusting(materials: Materials, command: str, *arguments: object) -> Command:
    return seedpack_command(command, *arguments, "--key", materials.public_key)


def _throughput_row(what: str, took: Typical, nbytes: int) -> Row:
    speed, peak = nbytes / took.wall_s / MIB, format_mib(took.peak_nbytes)
    return Row(what, f"{speed:.0f} MiB/s, peak {peak}")


def _minilm_rows(materials: Materials, environment: Mapping[str, str]) -> list[Row]:
    folder, model = materials.folder, default_model()
    whole, damaged, repaired = (folder / f"minilm{n}.seed" for n in ("", "-damaged", "-repaired"))
    tensors = folder / "minilm.safetensors"
    damage: Command = [sys.executable, "-m", "bench.throughput", str(whole), str(damaged)]
    took = run_interleaved(
        {
            "extract": extract_command(materials, model, whole, "--parity", str(_PARITY_PERCENT)),
            "assemble": _trusting(materials, "assemble", whole, "-o", tensors, "--force"),
            "damage": damage,
            "repair": _trusting(materials, "repair", damaged, "-o", repaired, "--force"),
        },
        environment,
        rounds=_ROUNDS,
    )
    if repaired.read_bytes() != whole.read_bytes():
        raise SystemExit("the repaired seed differs")
    nbytes = (model / "model.safetensors").stat().st_size
    return [
        _throughput_row(f"extract MiniLM with {_PARITY_PERCENT} % parity", took["extract"], nbytes),
        _throughput_row("assemble MiniLM", took["assemble"], nbytes),
        _throughput_row("repair MiniLM, 20 % of chunks damaged", took["repair"], nbytes),
    ]


def damage_chunks(whole: Path, damaged: Path) -> None:
    """Copy a seed with one byte changed in every fifth data chunk of each stripe."""
    import seedpack  # noqa: PLC0415 -- in the child only
    from seedpack.container.stripes import stripe_layout  # noqa: PLC0415

    content = bytearray(whole.read_bytes())
    with seedpack.open_unverified(whole) as seed:
        parity = seed.manifest.parity
        if parity is None:
            raise SystemExit(f"{whole} has no parity")
        stored = [chunk.stored_nbytes for chunk in seed.manifest.data_chunks]
        for stripe in stripe_layout(stored, parity.stripe_nchunks, parity.percent):
            for index in stripe.members[::_DAMAGED_SHARE]:
                content[seed.chunks[index].offset or 0] ^= 1
    damaged.write_bytes(content)


if __name__ == "__main__":
    damage_chunks(Path(sys.argv[1]), Path(sys.argv[2]))
