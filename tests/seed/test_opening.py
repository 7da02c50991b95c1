"""From a path to a ``Seed``: which step refuses, and that none is skipped (spec: section 12)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from seedpack.container.manifest import encode_manifest
from seedpack.container.signature_area import SignatureRecord
from seedpack.errors import (
    AssemblyError,
    BadSignature,
    FormatError,
    IntegrityError,
    PolicyRefused,
    Rollback,
    SeedExpired,
    StoreError,
    ThresholdNotMet,
    UnknownSigner,
)
from seedpack.files import InputFile
from seedpack.seed.header import read_header
from seedpack.seed.opening import (
    Seed,
    UnverifiedContents,
    check_vouched,
    open_seed,
    open_unverified,
)
from seedpack.seed.signing import make_record
from seedpack.trust.store import Policy, SeenVersion
from tests.builders import (
    CREATED,
    LAYERS,
    NOW,
    bare_manifest,
    build_seed,
    container_bytes,
    make_key,
    make_seed,
    raw_container,
    replace,
    trusting,
)
from tests.refusals import refused, refused_by

KEY = make_key(1)
STORE = trusting(KEY)
BOMBS = {
    "array of 2^31 values": b"\xdd\x7f\xff\xff\xff",
    "chain of arrays": b"\xdc\xff\xff" * 20_000,
    "deep nesting": b"\x91" * 100_000,
    "float": b"\xca\x00\x00\x00\x00",
    "reserved byte": b"\xc1",
    "duplicate keys": b"\x82\xa1a\x01\xa1a\x02",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.seed"


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# ---------------------------------------------------------------- accepted


def test_a_seed_that_a_trusted_key_signed_opens(path):
    built = make_seed(path, name="acme/minilm", version=7, expires=NOW + 5)
    with open_seed(path, store=STORE, now=NOW) as seed:
        assert type(seed) is Seed
        assert seed.manifest == built.manifest
        assert seed.id == built.seed_id.hex()
        assert seed.header.manifest_bytes == built.manifest_bytes
        assert seed.facts == (
            "acme/minilm",
            7,
            built.seed_id,
            CREATED,
            NOW + 5,
            frozenset({"raw"}),
            sum(len(tensor.raw) for tensor in LAYERS) + 360,
        )
        assert seed.vouching.key_ids == (KEY.public.key_id,)
        assert seed.is_complete
        assert seed.file.path == path


def test_signers_that_nobody_knows_are_ignored(path):
    make_seed(path, keys=[make_key(9), KEY, make_key(8)])
    with open_seed(path, store=STORE, now=NOW) as seed:
        assert seed.vouching.key_ids == (KEY.public.key_id,)
        assert len(seed.header.records) == 3


def test_the_clock_is_read_where_no_time_is_given(path):
    make_seed(path, created=int(time.time()) + 10_000)
    with refused_by(SeedExpired, "TRU-7"):
        open_seed(path, store=STORE)
    make_seed(path, created=0)
    open_seed(path, store=STORE).close()


def test_time_zero_is_a_time(path):
    make_seed(path, created=301)
    with refused_by(SeedExpired, "TRU-7"):
        open_seed(path, store=STORE, now=0)
    make_seed(path, created=300)
    open_seed(path, store=STORE, now=0).close()


def test_anybody_may_open_without_trust_and_gets_another_type(path):
    make_seed(path, keys=[])
    with open_unverified(path) as contents:
        assert type(contents) is UnverifiedContents
        assert not isinstance(contents, Seed)
        assert contents.manifest.name == "acme/minilm"


@pytest.mark.spec("ASM-3")
def test_what_nobody_vouches_for_is_rebuilt_only_where_the_user_asks_for_that(path):
    make_seed(path)
    with open_seed(path, store=STORE, now=NOW) as seed:
        check_vouched(seed, insecure=False)
    with open_unverified(path) as contents:
        check_vouched(contents, insecure=True)
        with refused_by(AssemblyError, "ASM-3"):
            check_vouched(contents, insecure=False)


# ---------------------------------------------------------------- the order of the steps


@pytest.mark.spec("PRE-11")
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_nothing_is_decoded_for_a_signer_whom_nobody_knows(path, bomb):
    record = make_record(bomb, make_key(9))
    path.write_bytes(raw_container(bomb, records=[record]))
    with refused_by(UnknownSigner, "TRU-2"):
        open_seed(path, store=STORE, now=NOW)


@pytest.mark.spec("PRE-11", "KEY-1")
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_nothing_is_decoded_when_the_signature_is_bad(path, bomb):
    record = make_record(b"another manifest", KEY)
    path.write_bytes(raw_container(bomb, records=[record]))
    with refused_by(BadSignature, "KEY-1"):
        open_seed(path, store=STORE, now=NOW)


@pytest.mark.spec("MAN-1", "MAN-2", "MAN-3", "MAN-4")
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_signed_bomb_is_refused_by_its_form(path, bomb):
    path.write_bytes(raw_container(bomb, records=[make_record(bomb, KEY)]))
    with pytest.raises(FormatError) as caught:
        open_seed(path, store=STORE, now=NOW)
    assert caught.value.rule in {"MAN-1", "MAN-3", "MAN-4"}


@pytest.mark.spec("PRE-11")
def test_before_a_signature_holds_only_the_header_is_read(path, monkeypatch):
    built = make_seed(path, keys=[make_key(9)])
    ranges = []
    real = os.preadv

    def preadv(fd, buffers, offset):
        ranges.append((offset, offset + len(buffers[0])))
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(UnknownSigner):
        open_seed(path, store=STORE, now=NOW)
    header_nbytes = 64 + 128 + len(built.manifest_bytes)
    assert ranges == [(0, 64), (64, 192), (192, header_nbytes)]


@pytest.mark.spec("PRE-9")
def test_step_1_comes_before_step_2(path):
    wrong_id = raw_container(b"\xc1", seed_id=b"\x07" * 32)
    path.write_bytes(wrong_id + b"x")
    with refused_by(FormatError, "PRE-9"):
        open_seed(path, store=STORE, now=NOW)
    path.write_bytes(wrong_id)
    hint = "the file was damaged or changed; fetch it again"
    message = "manifest does not have the seed id that the preamble gives"
    with refused(FormatError, "PRE-10", "byte 32", message, hint):
        open_seed(path, store=STORE, now=NOW)


@pytest.mark.spec("SIG-6")
def test_step_2_comes_before_step_3(path):
    record = SignatureRecord(1, 0, KEY.public.key_id, bytes(64))
    head = bytearray(raw_container(b"\xc1", records=[record]))
    path.write_bytes(head)
    with refused_by(BadSignature, "KEY-1"):
        open_seed(path, store=STORE, now=NOW)
    head[64 + 60] ^= 1
    path.write_bytes(head)
    with refused_by(FormatError, "SIG-6"):
        open_seed(path, store=STORE, now=NOW)


@pytest.mark.spec("TRU-6")
def test_step_3_asks_for_the_threshold_before_step_4(path):
    path.write_bytes(raw_container(b"\xc1", records=[make_record(b"\xc1", KEY)]))
    with refused_by(ThresholdNotMet, "TRU-6"):
        open_seed(path, store=trusting(KEY, make_key(2), threshold=2), now=NOW)


@pytest.mark.spec("TRU-7", "PRT-1", "MAN-14")
def test_step_4_comes_before_step_5(path):
    built = build_seed(expires=NOW - 1)
    records = [make_record(built.manifest_bytes, KEY)]
    payload = b"".join(built.stored)
    good = {"records": records, "presence": b""}
    for presence, content, rule in ((b"\0\0\0\0", b"", "PRT-1"), (b"", payload[:-1], "MAN-14")):
        bad = raw_container(built.manifest_bytes, content, **(good | {"presence": presence}))
        path.write_bytes(bad)
        with refused_by(FormatError, rule):
            open_seed(path, store=STORE, now=NOW)
    path.write_bytes(raw_container(built.manifest_bytes, payload, **good))
    with refused_by(SeedExpired, "TRU-7"):
        open_seed(path, store=STORE, now=NOW)


@pytest.mark.spec("LAY-5")
def test_step_4_validates_what_it_decodes(path):
    manifest = build_seed().manifest
    layers = [replace(layer, codec="q9") for layer in manifest.layers]
    data = encode_manifest(bare_manifest(layers=layers))
    path.write_bytes(raw_container(data, records=[make_record(data, KEY)]))
    with refused_by(FormatError, "LAY-5"):
        open_seed(path, store=STORE, now=NOW)
    with refused_by(FormatError, "LAY-5"):
        open_unverified(path)


@pytest.mark.spec("TRU-11")
def test_step_5_judges_codecs_and_budget(path):
    built = make_seed(path)
    nbytes = built.manifest.decoded_nbytes
    for policy, accepted in (
        (Policy(codecs=frozenset({"raw"})), True),
        (Policy(codecs=frozenset({"q8"})), False),
        (Policy(max_decoded_nbytes=nbytes), True),
        (Policy(max_decoded_nbytes=nbytes - 1), False),
    ):
        store = STORE.with_policy(policy)
        if accepted:
            open_seed(path, store=store, now=NOW).close()
        else:
            with refused_by(PolicyRefused, "TRU-11"):
                open_seed(path, store=store, now=NOW)


@pytest.mark.spec("TRU-9", "TRU-10")
def test_step_5_judges_the_version_and_the_seed_that_were_seen(path):
    built = make_seed(path, version=7)
    name = built.manifest.name
    for version, seed_id, error, rule in (
        (6, bytes(32), None, ""),
        (7, built.seed_id, None, ""),
        (7, bytes(32), Rollback, "TRU-10"),
        (8, built.seed_id, Rollback, "TRU-9"),
    ):
        store = STORE.with_seen(name, SeenVersion(version, seed_id), NOW)
        if error is None:
            open_seed(path, store=store, now=NOW).close()
        else:
            with refused_by(error, rule):
                open_seed(path, store=store, now=NOW)


@pytest.mark.spec("TRU-5")
def test_the_version_and_the_expiry_of_a_record_are_signed(path):
    built = build_seed()
    path.write_bytes(container_bytes(built, keys=[KEY], expires=NOW + 1))
    open_seed(path, store=STORE, now=NOW).close()
    with refused_by(SeedExpired, "TRU-5"):
        open_seed(path, store=STORE, now=NOW + 1)


def test_every_refusal_closes_the_file(path):
    make_seed(path, keys=[make_key(9)])
    before = open_descriptors()
    with pytest.raises(UnknownSigner):
        open_seed(path, store=STORE, now=NOW)
    path.write_bytes(b"")
    with refused_by(FormatError, "PRE-1"):
        open_seed(path, store=STORE, now=NOW)
    with refused_by(FormatError, "PRE-1"):
        open_unverified(path)
    assert open_descriptors() == before


# ---------------------------------------------------------------- damaged files


@pytest.mark.spec("PRE-9")
@pytest.mark.parametrize("nbytes", [-1, -300, 1, 5_000])
def test_a_payload_of_another_length_opens_only_as_damaged(path, nbytes):
    built = make_seed(path)
    content = path.read_bytes()
    path.write_bytes(content[:nbytes] if nbytes < 0 else content + bytes(nbytes))
    with refused_by(FormatError, "PRE-9"):
        open_seed(path, store=STORE, now=NOW)
    with refused_by(FormatError, "PRE-9"):
        open_unverified(path)
    for contents in (
        open_seed(path, store=STORE, now=NOW, damaged=True),
        open_unverified(path, damaged=True),
    ):
        assert contents.manifest == built.manifest
        contents.close()


@pytest.mark.spec("PRE-9")
def test_a_file_cut_inside_its_header_is_damaged_beyond_opening(path):
    make_seed(path)
    content = path.read_bytes()
    with open_unverified(path) as contents:
        payload_offset = contents.header.preamble.payload_offset
    path.write_bytes(content[:payload_offset])
    open_unverified(path, damaged=True).close()
    path.write_bytes(content[: payload_offset - 1])
    with refused_by(FormatError, "PRE-9"):
        open_unverified(path, damaged=True)


# ---------------------------------------------------------------- the header


@pytest.mark.spec("PRE-1")
@pytest.mark.parametrize("nbytes", [0, 63])
def test_a_file_shorter_than_the_preamble_is_refused_by_its_length(path, nbytes):
    path.write_bytes(b"\x89SEED\r\n\x1a".ljust(64, b"\0")[:nbytes])
    with refused_by(FormatError, "PRE-1"):
        open_unverified(path)


def test_the_header_is_split_at_its_sizes(path):
    built = make_seed(path, absent=[0, 3])
    with InputFile(path) as file:
        header = read_header(file)
    assert header.manifest_bytes == built.manifest_bytes
    assert [record.key_id for record in header.records] == [KEY.public.key_id]
    assert len(header.presence) == -(-len(built.stored) // 8)
    assert header.presence[0] == 0b1111_0110
    assert header.preamble.presence_nbytes == len(header.presence)


@pytest.mark.spec("FIL-2")
def test_a_file_that_shrinks_while_its_header_is_read_is_refused(path):
    make_seed(path)
    with InputFile(path) as file:
        os.truncate(path, 100)
        with refused_by(IntegrityError, "FIL-2"):
            read_header(file)


# ---------------------------------------------------------------- locks


@pytest.mark.spec("OUT-3")
def test_an_exclusive_opening_keeps_other_writers_away(path):
    make_seed(path)
    with open_unverified(path, exclusive=True):
        with refused_by(StoreError, "OUT-3"):
            open_unverified(path, exclusive=True)
        open_unverified(path).close()  # readers may come
    before = open_descriptors()
    with open_unverified(path, exclusive=True):
        pass
    assert open_descriptors() == before
