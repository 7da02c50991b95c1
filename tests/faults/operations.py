"""Everything that writes a file, each with what must hold when it is killed."""

from __future__ import annotations

import json
import os
import shutil
import struct
from typing import TYPE_CHECKING, Final

from seedpack.assemble import assemble
from seedpack.extract import extract
from seedpack.files import atomic_directory
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.partial import merge_seeds, split_evenly, split_seed
from seedpack.seed.repair import repair_seed
from seedpack.seed.signing import sign_seed
from seedpack.seed.verify import verify_seed
from tests.builders import (
    NOW,
    TensorData,
    build_seed,
    container_bytes,
    damage,
    make_key,
    trusting,
)
from tests.faults.killing import Operation

if TYPE_CHECKING:
    from pathlib import Path

KEY = make_key()
MIB = 1 << 20


class _Writes(Operation):
    """Writes ``out`` from ``a.seed``."""

    overwrites = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.built = build_seed(parity=50)
        self.good = container_bytes(self.built, keys=[KEY])
        self.source = folder / "a.seed"
        self.out = folder / "out"
        self.before = self.good
        self.expected = self.good

    def prepare(self) -> None:
        self.source.write_bytes(self.before)
        if self.overwrites:
            self.out.write_bytes(b"old")
        else:
            self.out.unlink(missing_ok=True)

    def check(self, *, done: bool) -> None:
        assert self.source.read_bytes() == self.before
        seen = self.out.read_bytes() if self.out.exists() else None
        old = b"old" if self.overwrites else None
        assert seen == self.expected or (seen == old and not done)
        for path in self.leftovers():
            path.unlink()
        assert set(self.folder.iterdir()) <= {self.source, self.out}


class Split(_Writes):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        absent = set(range(len(self.built.stored))) - {4, 5, 6, 8}
        self.expected = container_bytes(self.built, keys=[KEY], absent=absent)

    def operate(self) -> None:
        with open_unverified(self.source) as seed:
            split_seed(seed, self.out, layers="dense", overwrite=self.overwrites)


class SplitOver(Split):
    overwrites = True


class SplitEvenly(_Writes):
    def operate(self) -> None:
        with open_unverified(self.source) as seed:
            split_evenly(seed, [self.out])


class Merge(_Writes):
    def operate(self) -> None:
        with open_unverified(self.source) as seed:
            merge_seeds([seed, seed], self.out)


class Repair(_Writes):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.source.write_bytes(self.good)
        with open_unverified(self.source) as seed:
            damage(self.source, seed, 0, 7)
        self.before = self.source.read_bytes()

    def operate(self) -> None:
        with open_unverified(self.source) as seed:
            repair_seed(seed, self.out, overwrite=self.overwrites)


class RepairOver(Repair):
    overwrites = True


class RepairInPlace(Repair):
    """The damaged file and the output are one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.out = self.source

    def prepare(self) -> None:
        self.source.write_bytes(self.before)

    def operate(self) -> None:
        with open_unverified(self.source) as seed:
            repair_seed(seed, self.source, overwrite=True)

    def check(self, *, done: bool) -> None:
        seen = self.source.read_bytes()
        assert seen == self.good or (seen == self.before and not done)
        for path in self.leftovers():
            path.unlink()
        assert list(self.folder.iterdir()) == [self.source]


class SignAnew(RepairInPlace):
    """A small file is written anew to take a signature."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.before = container_bytes(self.built)

    def operate(self) -> None:
        sign_seed(self.source, KEY)


class SignInPlace(Operation):
    """A large file takes a signature by one write."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        zeros = TensorData("zeros", bytes(65 * MIB), chunk_nbytes=4 * MIB)
        self.built = build_seed(layers=[zeros], attachments=[])
        self.path = folder / "a.seed"
        old, new = (container_bytes(self.built, keys=keys) for keys in ([], [KEY]))
        self.nbytes = len(old)
        self.old, self.new = old[: -65 * MIB], new[: -65 * MIB]

    def prepare(self) -> None:
        self.path.write_bytes(self.old)
        os.truncate(self.path, self.nbytes)

    def operate(self) -> None:
        sign_seed(self.path, KEY)

    def check(self, *, done: bool) -> None:
        with self.path.open("rb") as file:
            seen = file.read(len(self.old))
        assert seen == self.new or (seen == self.old and not done)
        assert self.path.stat().st_size == self.nbytes
        assert list(self.folder.iterdir()) == [self.path]


class Extract(_Writes):
    """A model of two tensors becomes a seed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.source = folder / "model.safetensors"
        self.before = safetensors({"a": bytes(range(256)) * 8, "b": bytes(64)})

    def operate(self) -> None:
        extract(self.source, self.out, name="acme/x", created=NOW, key=KEY, parity_percent=50)

    def check(self, *, done: bool) -> None:
        if self.out.exists():
            with open_seed(self.out, store=trusting(KEY), now=NOW) as seed:
                assert verify_seed(seed).is_whole
            self.expected = self.out.read_bytes()
        super().check(done=done)


class AssembleFile(_Writes):
    """A seed becomes a file of tensors."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        tensors = {"a": bytes(range(256)), "b": b"\x01\x02"}
        layers = [TensorData(name, raw) for name, raw in tensors.items()]
        self.before = container_bytes(build_seed(layers=layers), keys=[KEY])
        self.out = folder / "out.safetensors"
        self.tensors = tensors

    def operate(self) -> None:
        with open_seed(self.source, store=trusting(KEY), now=NOW) as seed:
            assemble(seed, self.out)

    def check(self, *, done: bool) -> None:
        if self.out.exists():
            self.expected = self.out.read_bytes()
            assert self.expected.endswith(b"".join(self.tensors.values()))
        super().check(done=done)


class Folder(Operation):
    """A folder with files in it, as ``assemble`` writes them."""

    def prepare(self) -> None:
        shutil.rmtree(self.folder / "out", ignore_errors=True)

    def operate(self) -> None:
        with atomic_directory(self.folder / "out") as folder:
            (folder / "sub").mkdir()
            for name in ("config.json", "sub/model.safetensors"):
                with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT), "wb") as file:
                    file.write(name.encode())

    def check(self, *, done: bool) -> None:
        out = self.folder / "out"
        if out.exists() or done:
            assert (out / "config.json").read_text() == "config.json"
            assert (out / "sub/model.safetensors").read_text() == "sub/model.safetensors"
        for path in self.leftovers():
            shutil.rmtree(path)
        assert list(self.folder.iterdir()) in ([], [out])


def safetensors(tensors: dict[str, bytes]) -> bytes:
    """Return a .safetensors file of uint8 tensors."""
    header, at = {}, 0
    for name, raw in tensors.items():
        header[name] = {"dtype": "U8", "shape": [len(raw)], "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(tensors.values())


OPERATIONS: Final[dict[str, type[Operation]]] = {
    operation.__name__: operation
    for operation in (
        *(SignAnew, SignInPlace, Split, SplitOver, SplitEvenly, Merge),
        *(Repair, RepairOver, RepairInPlace, Extract, AssembleFile, Folder),
    )
}
