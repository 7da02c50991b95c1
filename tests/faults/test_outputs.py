"""Every writer: full disks, read-only folders, links, rivals (spec: OUT)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seedpack.assemble import assemble
from seedpack.errors import SeedError, StoreError
from seedpack.extract import extract
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.partial import merge_seeds, split_evenly, split_seed
from seedpack.seed.repair import repair_seed
from seedpack.seed.signing import sign_seed
from tests.builders import NOW, TensorData, make_key, make_seed, trusting
from tests.faults.operations import safetensors
from tests.limits import NOBODY, file_size_limit, open_folder, plain_user, small_disk
from tests.refusals import refused_by

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECOND = make_key(1), make_key(2)
ROOT = Path(__file__).resolve().parents[2]
# large enough to fill a disk of 64 KiB, whatever part of it is written
LAYERS = [TensorData(name, bytes(range(256)) * 400, chunk_nbytes=4_096) for name in "ab"]


def write_split(source: Path, out: Path, **options: bool) -> None:
    with open_unverified(source) as seed:
        split_seed(seed, out, layers="a", **options)


def write_even_split(source: Path, out: Path, **options: bool) -> None:
    with open_unverified(source) as seed:
        split_evenly(seed, [out], **options)


def write_merge(source: Path, out: Path, **options: bool) -> None:
    with open_unverified(source) as seed:
        merge_seeds([seed], out, **options)


def write_repair(source: Path, out: Path, **options: bool) -> None:
    with open_unverified(source) as seed:
        repair_seed(seed, out, **options)


def write_assembly(source: Path, out: Path, **options: bool) -> None:
    with open_seed(source, store=trusting(KEY), now=NOW) as seed:
        assemble(seed, out, **options)


def write_extraction(source: Path, out: Path, **options: bool) -> None:
    model = source.with_name("model.safetensors")
    extract(model, out, name="acme/x", created=NOW, **options)


WRITERS = [
    write_split,
    write_even_split,
    write_merge,
    write_repair,
    write_assembly,
    write_extraction,
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.seed"
    make_seed(path, layers=LAYERS, parity=50)
    content = {tensor.name: os.urandom(100_000) for tensor in LAYERS}
    (tmp_path / "model.safetensors").write_bytes(safetensors(content))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "out"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- full disks


@pytest.mark.spec("OUT-1")
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("limit", [0, 1, 4_096, 60_000])
def test_an_output_that_the_disk_cuts_does_not_appear(source, out, write, limit):
    before = source.read_bytes()
    with file_size_limit(limit), refused_by(StoreError, "OUT-1"):
        write(source, out)
    assert names(out.parent) == []
    assert source.read_bytes() == before


@pytest.mark.spec("OUT-1")
@pytest.mark.parametrize("write", WRITERS)
def test_an_output_that_the_disk_cuts_leaves_the_old_one(source, out, write):
    out.write_bytes(b"old")
    with file_size_limit(60_000), refused_by(StoreError, "OUT-1"):
        write(source, out, overwrite=True)
    assert names(out.parent) == ["out"]
    assert out.read_bytes() == b"old"


@pytest.fixture
def full(out: Path) -> Iterator[Path]:
    with small_disk(out.parent):
        yield out


@pytest.mark.spec("OUT-1")
@pytest.mark.parametrize("write", WRITERS)
def test_an_output_on_a_full_disk_does_not_appear(source, full, write):
    with refused_by(StoreError, "OUT-1") as caught:
        write(source, full)
    assert caught.value.message == "cannot write: No space left on device"
    assert names(full.parent) == []


@pytest.mark.spec("OUT-1")
def test_a_file_that_cannot_be_signed_on_a_full_disk_is_unharmed(source):
    before = source.read_bytes()
    with file_size_limit(60_000), refused_by(StoreError, "OUT-1"):
        sign_seed(source, SECOND)
    assert source.read_bytes() == before
    assert names(source.parent) == ["a.seed", "model.safetensors"]


# ---------------------------------------------------------------- folders and links


@pytest.mark.spec("OUT-1")
@pytest.mark.parametrize("write", WRITERS)
def test_a_read_only_folder_is_left_as_it_is(source, write):
    with open_folder() as readable, open_folder() as folder:
        for path in (source, source.with_name("model.safetensors")):
            (readable / path.name).write_bytes(path.read_bytes())
        folder.chmod(0o555)
        with plain_user(), refused_by(StoreError, "OUT-1"):
            write(readable / source.name, folder / "out")
        assert names(folder) == []


@pytest.mark.spec("OUT-1")
def test_a_file_in_a_read_only_folder_is_not_signed_anew(source):
    with open_folder() as folder:
        path = folder / "a.seed"
        path.write_bytes(source.read_bytes())
        folder.chmod(0o555)
        with plain_user(), refused_by(StoreError, "OUT-1"):
            sign_seed(path, SECOND)
        assert path.read_bytes() == source.read_bytes()


@pytest.mark.spec("OUT-1")
def test_a_read_only_file_is_not_signed_in_place():
    with open_folder() as folder:
        path = folder / "a.seed"
        zeros = TensorData("zeros", bytes(65 << 20), chunk_nbytes=4 << 20)
        make_seed(path, layers=[zeros], attachments=[])
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0o444)
        with plain_user(), refused_by(StoreError, "OUT-1"):
            sign_seed(path, SECOND)
        with open_unverified(path) as contents:
            assert len(contents.header.records) == 1


@pytest.mark.spec("OUT-2")
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_no_writer_follows_a_link(source, out, write, overwrite):
    victim = out.with_name("victim")
    victim.write_bytes(b"precious")
    out.symlink_to(victim)
    with refused_by(StoreError, "OUT-2"):
        write(source, out, overwrite=overwrite)
    assert victim.read_bytes() == b"precious"
    assert names(out.parent) == ["out", "victim"]


@pytest.mark.spec("OUT-2")
@pytest.mark.parametrize("write", WRITERS)
def test_no_writer_replaces_an_output_unasked(source, out, write):
    out.write_bytes(b"old")
    with refused_by(StoreError, "OUT-2"):
        write(source, out)
    assert out.read_bytes() == b"old"
    write(source, out, overwrite=True)
    assert out.stat().st_size > 60_000


@pytest.mark.spec("OUT-2")
@pytest.mark.parametrize("write", WRITERS)
def test_no_writer_replaces_a_folder_or_a_device(source, out, write):
    out.mkdir()
    with refused_by(StoreError, "OUT-2"):
        write(source, out, overwrite=True)
    assert out.is_dir()
    with refused_by(StoreError, "OUT-2"):
        write(source, Path("/dev/null"), overwrite=True)


# ---------------------------------------------------------------- rivals

SPLITTER = """
import sys
from pathlib import Path
from seedpack.errors import SeedError
from seedpack.seed.opening import open_unverified
from seedpack.seed.partial import split_seed
source, out, _ = sys.argv[1:]
with open_unverified(Path(source)) as seed:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        split_seed(seed, Path(out), layers="*")
        print("won")
    except SeedError as error:
        print(error.rule)
"""

SIGNER = """
import sys
from pathlib import Path
from seedpack.errors import SeedError
from seedpack.seed.signing import sign_seed
from tests.builders import make_key
path, _, number = sys.argv[1:]
key = make_key(int(number))
print("ready", flush=True)
sys.stdin.readline()
try:
    sign_seed(Path(path), key)
    print("won")
except SeedError as error:
    print(error.rule)
"""


def race(program: str, source: Path, out: Path, nrivals: int = 4) -> list[str]:
    """Start processes, let them go at once, and return what each of them says."""
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(source), str(out), str(number)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(10, 10 + nrivals)
    ]
    for rival in rivals:
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        rival.stdin.write("go\n")
        rival.stdin.flush()
    return [rival.communicate()[0].strip() for rival in rivals]


@pytest.mark.spec("OUT-2")
def test_of_writers_to_one_output_exactly_one_wins(source, out):
    said = race(SPLITTER, source, out)
    assert sorted(said) == ["OUT-2", "OUT-2", "OUT-2", "won"]
    assert names(out.parent) == ["out"]
    with open_unverified(out) as seed:
        assert not seed.is_complete  # parity is left out


@pytest.mark.spec("OUT-3")
def test_no_signature_of_rivals_is_lost(source, out):
    said = race(SIGNER, source, out)
    assert "won" in said
    assert set(said) <= {"won", "OUT-3"}
    with open_unverified(source) as contents:
        signers = {record.key_id for record in contents.header.records}
    winners = {make_key(10 + i).public.key_id for i, word in enumerate(said) if word == "won"}
    assert signers == {KEY.public.key_id} | winners


def test_every_refusal_of_a_writer_is_one_that_a_user_can_read(source, out):
    with file_size_limit(10), pytest.raises(SeedError) as caught:
        write_split(source, out)
    assert str(out) in str(caught.value)
    assert (
        caught.value.hint
        == "check space and permissions of the folder; a file that stands there is whole"
    )
