"""One target under libFuzzer: ``python -m fuzz.worker TARGET [libFuzzer's options] [folders]``.

Reproduces a finding, too: ``python -m fuzz.worker TARGET FILE``.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import atheris

with atheris.instrument_imports(include=["seedpack"]):
    from fuzz import harness

_MIB: Final = 1 << 20
_M_ARENA_MAX: Final = -8  # mallopt(3)
_BLIND_SHARE: Final = 0.25  # of mutations that know nothing of the structure
_STEPS: Final = (1, 1, 1, 2, 4)  # structured edits per input


def main(name: str, options: list[str]) -> None:
    """Fuzz one target until libFuzzer's options say stop; a finding ends the process."""
    with atheris.instrument_imports(include=["seedpack"]):
        target = harness.load_target(name)
        for data in target.starts().values():  # what is imported late has to be instrumented
            harness.check_input(target, data)
    hooks = {}
    if target.mutate is not None:
        hooks["custom_mutator"] = partial(_mutate, target)
    arguments = [sys.argv[0], f"-max_len={target.max_input_nbytes}", *options]
    atheris.Setup(arguments, partial(harness.check_input, target), **hooks)
    _bound_memory(target.memory_mib)
    atheris.Fuzz()


def _mutate(target: harness.Target, data: bytes, limit: int, seed: int) -> bytes:
    random = Random(seed)  # noqa: S311 -- no secret: mutation has to be repeatable
    assert target.mutate is not None
    if random.random() < _BLIND_SHARE:
        return bytes(atheris.Mutate(data, limit))
    for _ in range(random.choice(_STEPS)):
        data = target.mutate(data, random)[:limit]
    return data


def _bound_memory(memory_mib: int) -> None:
    """Turn an allocation beyond the budget into a MemoryError, which is a finding."""
    # One heap for all threads: glibc reserves 64 MiB of address space for each other one.
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + memory_mib * _MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
