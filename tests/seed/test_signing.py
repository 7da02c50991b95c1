"""A signature is added without touching the payload (spec: OUT-1, OUT-3, SIG)."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from seedpack.crypto.keys import Algorithm, PrivateKey
from seedpack.crypto.messages import signed_message
from seedpack.errors import FormatError, IntegrityError, SeedExpired, StoreError
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.signing import make_record, sign_seed
from seedpack.seed.verify import verify_seed
from tests.builders import (
    NOW,
    TensorData,
    build_seed,
    container_bytes,
    make_key,
    make_seed,
    trusting,
)
from tests.refusals import refused, refused_by

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
KEY, SECOND = make_key(1), make_key(2)
POST_QUANTUM = make_key(1, Algorithm.ML_DSA_65)
RESERVE = 65_472


@pytest.fixture(scope="module")
def large_header() -> tuple[bytes, int]:
    """Return all before the payload of an unsigned seed of 68 MiB of zeros, and its size."""
    zeros = TensorData("zeros", bytes(68 * MIB), chunk_nbytes=4 * MIB)
    content = container_bytes(build_seed(layers=[zeros], attachments=[]))
    return content[: len(content) - 68 * MIB], len(content)


@pytest.fixture
def large(path: Path, large_header: tuple[bytes, int]) -> Path:
    """Write that seed; its payload is a hole, which costs no disk and reads as zeros."""
    header, nbytes = large_header
    path.write_bytes(header)
    os.truncate(path, nbytes)
    return path


def key_ids(path: Path) -> list[bytes]:
    with open_unverified(path) as contents:
        return [record.key_id for record in contents.header.records]


def opens(path: Path, *keys: PrivateKey) -> bool:
    """Tell whether every one of ``keys`` counts."""
    store = trusting(*keys, threshold=len(keys))
    with open_seed(path, store=store, now=NOW) as seed:
        return len(seed.vouching.principals) == len(keys)


# ---------------------------------------------------------------- records


@pytest.mark.parametrize("key", [KEY, POST_QUANTUM], ids=["ed25519", "ml-dsa-65"])
@pytest.mark.parametrize("expires", [0, NOW])
def test_a_record_signs_the_manifest_and_its_own_fields(key, expires):
    record = make_record(b"manifest", key, expires=expires)
    public = key.public
    assert record[:3] == (int(public.algorithm), expires, public.key_id)
    assert type(record.algorithm) is int
    message = signed_message(
        version=1,
        algorithm=public.algorithm,
        expires=expires,
        key_id=public.key_id,
        manifest=b"manifest",
    )
    assert public.verifies(message, record.signature)
    assert not public.verifies(message + b"x", record.signature)


def test_a_signature_never_expires_unless_said(path):
    make_seed(path, keys=[])
    assert sign_seed(path, KEY).expires == 0
    assert make_record(b"m", KEY).expires == 0


# ---------------------------------------------------------------- by writing anew


@pytest.mark.spec("SIG-1")
def test_a_small_file_is_written_anew(path):
    built = make_seed(path, keys=[])
    inode = path.stat().st_ino
    record = sign_seed(path, KEY)
    assert path.read_bytes() == container_bytes(built, keys=[KEY])
    assert path.stat().st_ino != inode
    assert record == make_record(built.manifest_bytes, KEY)
    sign_seed(path, SECOND)
    assert path.read_bytes() == container_bytes(built, keys=[KEY, SECOND])
    assert opens(path, KEY, SECOND)


def test_a_partial_file_stays_as_partial_as_it_was(path):
    built = make_seed(path, keys=[], absent=[0, 5], parity=50)
    sign_seed(path, KEY)
    assert path.read_bytes() == container_bytes(built, keys=[KEY], absent=[0, 5])


@pytest.mark.spec("TRU-5")
def test_an_expiry_is_signed_and_kept(path):
    make_seed(path, keys=[])
    assert sign_seed(path, KEY, expires=NOW + 1).expires == NOW + 1
    assert opens(path, KEY)
    with refused_by(SeedExpired, "TRU-5"):
        open_seed(path, store=trusting(KEY), now=NOW + 1)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755, 0o777])
def test_permissions_are_kept(path, mode):
    make_seed(path, keys=[])
    path.chmod(mode)
    sign_seed(path, KEY)
    assert path.stat().st_mode & 0o7777 == mode


def test_special_permission_bits_are_not_kept(path):
    make_seed(path, keys=[])
    path.chmod(0o4755)
    sign_seed(path, KEY)
    assert path.stat().st_mode & 0o7777 == 0o755


@pytest.mark.spec("OUT-1")
def test_a_large_payload_is_copied_when_the_file_is_written_anew(path):
    # 9 MiB: more than one piece of the copy, less than what reserves room
    layer = TensorData("x", bytes(range(256)) * (36 * 1_024 + 1), chunk_nbytes=MIB)
    built = make_seed(path, layers=[layer], keys=[])
    sign_seed(path, KEY)
    assert path.read_bytes() == container_bytes(built, keys=[KEY])


class MeddlingKey(PrivateKey):
    """Signs like ``KEY``, and lets somebody else act between reading and writing."""

    def __init__(self, act) -> None:
        super().__init__(KEY.handle)
        self.act = act

    def sign(self, message: bytes) -> bytes:
        self.act()
        return super().sign(message)


@pytest.mark.spec("FIL-2")
def test_a_file_that_changes_while_it_is_signed_is_refused(path):
    make_seed(path, keys=[])

    def touch() -> None:
        os.utime(path, ns=(0, 1))

    before = path.read_bytes()
    with refused_by(IntegrityError, "FIL-2"):
        sign_seed(path, MeddlingKey(touch))
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.spec("FIL-2")
def test_a_file_that_shrinks_while_it_is_signed_is_refused(path):
    make_seed(path, keys=[])
    with refused_by(IntegrityError, "FIL-2"):
        sign_seed(path, MeddlingKey(lambda: os.truncate(path, 900)))


# ---------------------------------------------------------------- in place


@pytest.mark.spec("OUT-1", "SIG-1")
def test_a_large_file_is_signed_in_place(large, large_header):
    header, nbytes = large_header
    before = large.stat()
    record = sign_seed(large, KEY)
    after = large.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, nbytes)
    assert after.st_blocks * 512 < MIB  # the payload is still a hole
    with large.open("rb") as file:
        written = file.read(len(header))
    assert written[:64] == header[:64]
    assert written[64 + 128 :] == header[64 + 128 :]
    assert key_ids(large) == [record.key_id]
    assert opens(large, KEY)


@pytest.mark.spec("SIG-4", "OUT-1")
def test_records_that_would_cross_a_page_go_to_the_next(large):
    keys = [make_key(number, Algorithm.ML_DSA_65) for number in (1, 2, 3)]
    inode = large.stat().st_ino
    for key in (keys[0], KEY, keys[1], SECOND, keys[2]):
        sign_seed(large, key)
    assert large.stat().st_ino == inode
    assert opens(large, KEY, SECOND, *keys)
    with large.open("rb") as file:
        area = file.read(16 * 4_096)
    for at, key in (
        (64, keys[0]),
        (3_520, KEY),
        (4_096, keys[1]),
        (7_552, SECOND),
        (8_192, keys[2]),
    ):
        assert area[at + 16 : at + 48] == key.public.key_id


@pytest.mark.spec("SIG-2")
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_sixteen_signatures_are_added_and_the_seventeenth_is_refused(large, algorithm):
    keys = [make_key(number, algorithm) for number in range(1, 18)]
    inode = large.stat().st_ino
    for key in keys[:16]:
        sign_seed(large, key)
    assert large.stat().st_ino == inode
    assert opens(large, *keys[:16])
    with large.open("rb") as file:
        before = file.read(RESERVE + 64)
    with refused_by(FormatError, "SIG-2"):
        sign_seed(large, keys[16])
    with large.open("rb") as file:
        assert file.read(RESERVE + 64) == before


@pytest.mark.spec("SIG-7")
@pytest.mark.parametrize("is_large", [False, True])
def test_a_key_signs_once(path, large_header, is_large):
    make_seed(path, keys=[])
    if is_large:
        path.write_bytes(large_header[0])
        os.truncate(path, large_header[1])
    sign_seed(path, KEY)
    with path.open("rb") as file:
        before = file.read(RESERVE + 64)
    with refused_by(FormatError, "SIG-7"):
        sign_seed(path, KEY, expires=NOW)
    with path.open("rb") as file:
        assert file.read(RESERVE + 64) == before


@pytest.mark.spec("OUT-1")
def test_a_file_with_another_name_is_written_anew(large):
    other = large.with_name("other")
    os.link(large, other)
    sign_seed(large, KEY)
    assert large.stat().st_ino != other.stat().st_ino
    assert key_ids(large) == [KEY.public.key_id]
    assert key_ids(other) == []
    assert opens(large, KEY)
    with open_unverified(large) as contents:
        assert contents.header.preamble.signatures_nbytes == RESERVE
        assert verify_seed(contents).is_whole


@pytest.mark.spec("SIG-1")
def test_a_small_file_that_has_the_reserve_is_signed_in_place(path):
    # writers SHOULD not reserve room in small files; readers accept it all the same
    content = bytearray(container_bytes(build_seed()))
    content[12:16] = RESERVE.to_bytes(4, "little")
    content[64:64] = bytes(RESERVE)
    path.write_bytes(content)
    inode = path.stat().st_ino
    sign_seed(path, KEY)
    assert path.stat().st_ino == inode
    assert opens(path, KEY)


@pytest.mark.spec("OUT-3")
def test_nothing_is_written_into_a_file_that_took_the_name_meanwhile(large):
    other = large.with_name("other")
    large_bytes = large.stat().st_size
    other.write_bytes(b"precious")
    os.truncate(other, large_bytes)
    with refused_by(StoreError, "OUT-3"):
        sign_seed(large, MeddlingKey(lambda: other.replace(large)))
    with large.open("rb") as file:
        assert file.read(1_000) == b"precious".ljust(1_000, b"\0")


# ---------------------------------------------------------------- who may sign what


def test_a_container_that_breaks_the_format_is_not_signed(path):
    make_seed(path, keys=[])
    content = path.read_bytes()
    path.write_bytes(content + b"x")
    with refused_by(FormatError, "PRE-9"):
        sign_seed(path, KEY)
    assert path.read_bytes() == content + b"x"


HOLDER = """
import sys
from pathlib import Path
from seedpack.files import InputFile
with InputFile(Path(sys.argv[1])) as file:
    file.lock()
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.mark.spec("OUT-3")
def test_two_processes_do_not_sign_one_file_at_once(path):
    make_seed(path, keys=[])
    before = path.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "locked\n"
        message, hint = "another program is writing this file", "try again when it has finished"
        with refused(StoreError, "OUT-3", str(path), message, hint):
            sign_seed(path, KEY)
        assert path.read_bytes() == before
        open_unverified(path).close()  # readers are not kept out
        holder.communicate()
    sign_seed(path, KEY)
    assert opens(path, KEY)


@pytest.mark.spec("OUT-3")
def test_signing_holds_the_lock_until_it_is_done(path):
    make_seed(path, keys=[])
    refusals = []

    def second_writer() -> None:
        try:
            sign_seed(path, SECOND)
        except StoreError as error:
            refusals.append(error.rule)

    sign_seed(path, MeddlingKey(second_writer))
    assert refusals == ["OUT-3"]
    assert key_ids(path) == [KEY.public.key_id]


@pytest.mark.spec("FIL-1", "OUT-2")
def test_a_link_is_not_signed_through(path):
    make_seed(path, keys=[])
    link = path.with_name("link")
    link.symlink_to(path)
    with refused_by(StoreError, "FIL-1"):
        sign_seed(link, KEY)
    assert key_ids(path) == []
