"""Chunks dropped, swapped, spliced or forged; partial seeds that lie (spec: CHK-2, MAN-14, PRT).

The format has no offsets, so overlaps and gaps cannot be written down; what an attacker can
still do is to serve other bytes than those that were signed, or to say that fewer are needed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from seedpack.container.manifest import Chunk, encode_manifest
from seedpack.crypto.digests import digest
from seedpack.errors import BadSignature, FormatError, IntegrityError, SeedError
from seedpack.seed.opening import open_seed
from seedpack.seed.repair import repair_seed
from seedpack.seed.signing import make_record
from seedpack.seed.verify import verify_seed
from tests.builders import (
    NOW,
    BuiltSeed,
    TensorData,
    build_seed,
    damage,
    make_key,
    make_parity,
    raw_container,
    replace,
    trusting,
)
from tests.refusals import refused_by

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEY = make_key()
STORE = trusting(KEY)
TWINS = [
    TensorData(name, bytes([fill]) * 64 + bytes([fill + 16]) * 64)
    for name, fill in (("a", 1), ("b", 2), ("c", 3))
]


def serve(path: Path, built: BuiltSeed, stored: Sequence[bytes], *, presence: bytes = b"") -> None:
    """Write the signed manifest with another payload, as a mirror could."""
    record = make_record(built.manifest_bytes, KEY)
    payload = b"".join(stored)
    path.write_bytes(
        raw_container(built.manifest_bytes, payload, records=[record], presence=presence)
    )


def verify(path: Path) -> None:
    with open_seed(path, store=STORE, now=NOW) as seed:
        verify_seed(seed)


@pytest.fixture
def twins() -> BuiltSeed:
    """Return three layers of two chunks each, all of one size."""
    return build_seed(layers=TWINS, attachments=[])


@pytest.mark.spec("MAN-14")
def test_two_layers_cannot_share_bytes(path, twins):
    shared = [*twins.stored[:2], *twins.stored[4:]]  # "b" would have to lie over "a"
    serve(path, twins, shared)
    with refused_by(FormatError, "MAN-14"):
        verify(path)


@pytest.mark.spec("CHK-2")
def test_swapped_payloads_of_two_layers_of_one_size_are_refused(path, twins):
    a, b, c = twins.stored[:2], twins.stored[2:4], twins.stored[4:]
    serve(path, twins, [*b, *a, *c])
    with refused_by(IntegrityError, "CHK-2") as caught:
        verify(path)
    assert caught.value.where.startswith("chunk 0,")


@pytest.mark.spec("CHK-2")
def test_swapped_chunks_of_one_layer_are_refused(path):
    built = build_seed(layers=[TensorData("a", bytes(64) + b"\x01" * 64)], attachments=[])
    serve(path, built, built.stored[::-1])
    with refused_by(IntegrityError, "CHK-2"):
        verify(path)


@pytest.mark.spec("CHK-2")
def test_a_layer_moved_to_another_index_is_refused(path, twins):
    a, b, c = twins.stored[:2], twins.stored[2:4], twins.stored[4:]
    serve(path, twins, [*c, *a, *b])
    with refused_by(IntegrityError, "CHK-2"):
        verify(path)


@pytest.mark.spec("KEY-1")
def test_a_layer_record_moved_within_the_manifest_unmakes_the_signature(path, twins):
    moved = replace(twins.manifest, layers=twins.manifest.layers[::-1])
    record = make_record(twins.manifest_bytes, KEY)
    payload = b"".join([*twins.stored[4:], *twins.stored[2:4], *twins.stored[:2]])
    path.write_bytes(raw_container(encode_manifest(moved), payload, records=[record]))
    with refused_by(BadSignature, "KEY-1"):
        verify(path)


@pytest.mark.spec("MAN-14")
def test_a_dropped_layer_is_refused(path, twins):
    serve(path, twins, twins.stored[:4])
    with refused_by(FormatError, "MAN-14"):
        verify(path)


@pytest.mark.spec("MAN-14")
def test_an_added_layer_is_refused(path, twins):
    serve(path, twins, [*twins.stored, *twins.stored[:2]])
    with refused_by(FormatError, "MAN-14"):
        verify(path)


@pytest.mark.spec("CHK-2")
def test_a_layer_of_another_signed_seed_is_refused(path, twins):
    other = build_seed(layers=[TWINS[0]._replace(raw=b"\x09" * 128)], attachments=[], version=2)
    serve(path, twins, [*other.stored, *twins.stored[2:]])
    with refused_by(IntegrityError, "CHK-2"):
        verify(path)


# ---------------------------------------------------------------- partial seeds


@pytest.mark.spec("CHK-2")
def test_a_partial_seed_whose_bitmap_names_other_chunks_is_refused(path, twins):
    serve(path, twins, twins.stored[:2], presence=bytes([0b0000_1100]))
    with open_seed(path, store=STORE, now=NOW) as seed, refused_by(IntegrityError, "CHK-2"):
        verify_seed(seed, partial=True)


@pytest.mark.spec("PRT-1")
@pytest.mark.parametrize("presence", [bytes(2), bytes(6), b"\x01" + bytes(7)])
def test_a_bitmap_too_long_for_the_seed_is_refused(path, twins, presence):
    serve(path, twins, twins.stored[:1], presence=presence)
    with refused_by(FormatError, "PRT-1"):
        verify(path)


@pytest.mark.spec("PRT-1")
def test_a_bitmap_too_short_for_the_seed_is_refused(path):
    built = build_seed(layers=[TensorData("a", bytes(64 * 9))], attachments=[])
    serve(path, built, built.stored[:1], presence=b"\x01")
    with refused_by(FormatError, "PRT-1"):
        verify(path)


@pytest.mark.spec("PRT-2", "MAN-14")
@pytest.mark.parametrize(
    "presence, rule", [(b"", "MAN-14"), (b"\x3f", "PRT-2"), (b"\x7f", "PRT-2"), (b"\x1f", "MAN-14")]
)
def test_a_partial_seed_that_claims_to_be_complete_is_refused(path, twins, presence, rule):
    serve(path, twins, twins.stored[:2], presence=presence)
    with refused_by(FormatError, rule):
        verify(path)


@pytest.mark.spec("PRT-3")
def test_a_partial_seed_is_not_verified_as_a_whole(path, twins):
    serve(path, twins, twins.stored[:2], presence=bytes([0b0000_0011]))
    with refused_by(IntegrityError, "PRT-3"):
        verify(path)


# ---------------------------------------------------------------- parity


@pytest.mark.spec("PAR-4")
def test_a_parity_shard_forged_by_a_mirror_does_not_make_a_chosen_layer(path, tmp_path):
    built = build_seed(layers=TWINS, attachments=[], parity=50)
    data, parity = built.stored[:6], built.stored[6:]
    # one chunk damaged, and the parity changed by what should come out instead
    forged = [bytes(byte ^ 0xFF for byte in shard) for shard in parity]
    serve(path, built, [bytes(64), *data[1:], *forged])
    out = tmp_path / "out"
    with open_seed(path, store=STORE, now=NOW) as seed, refused_by(IntegrityError, "PAR-4"):
        repair_seed(seed, out)
    assert not out.exists()


@pytest.mark.spec("PAR-4", "CHK-2")
def test_forged_parity_is_not_used_where_enough_is_intact(path, tmp_path):
    built = build_seed(layers=TWINS, attachments=[], parity=50)
    stripe_of_chunk_0 = [0, 2, 4, 6, 7]  # three data chunks, two parity chunks
    stored = list(built.stored)
    stored[0], stored[6] = bytes(64), b"\xee" * 64
    serve(path, built, stored)
    with open_seed(path, store=STORE, now=NOW) as seed:
        report = repair_seed(seed, tmp_path / "out")
    assert set(report.lost) == {0, 6} < set(stripe_of_chunk_0)
    verify(tmp_path / "out")


@pytest.mark.spec("PAR-4")
def test_parity_that_its_signer_forged_is_not_written(path, tmp_path):
    built = build_seed(layers=TWINS, attachments=[], parity=50)
    forged = [b"\x5a" * 64] * 4
    chunks = [Chunk(64, digest("blake3-256", shard)) for shard in forged]
    manifest = replace(built.manifest, parity=replace(built.manifest.parity, chunks=chunks))
    signed = BuiltSeed(manifest, encode_manifest(manifest), [*built.stored[:6], *forged])
    serve(path, signed, signed.stored)
    verify(path)
    with open_seed(path, store=STORE, now=NOW) as seed:
        damage(path, seed, 0)
    with open_seed(path, store=STORE, now=NOW) as seed, refused_by(IntegrityError, "PAR-4"):
        repair_seed(seed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.spec("PAR-2")
@pytest.mark.parametrize("k, percent", [(0, 50), (256, 1), (200, 100), (16, 0), (1, 1_001)])
def test_parity_with_k_or_m_out_of_range_is_refused(path, k, percent):
    built = build_seed(
        patch=lambda _: {"parity": make_parity([], chunks=[], stripe_nchunks=k, percent=percent)}
    )
    serve(path, built, built.stored)
    with refused_by(FormatError, "PAR-2"):
        verify(path)


# ---------------------------------------------------------------- sizes


@pytest.mark.spec("PRE-8", "PRE-9")
@pytest.mark.parametrize("offset, form", [(12, "<I"), (16, "<I"), (20, "<I"), (24, "<Q")])
@pytest.mark.parametrize("change", [-1, 1, 64, -64, 1 << 31, (1 << 32) - 2])
def test_no_size_of_the_preamble_can_lie(path, twins, offset, form, change):
    serve(path, twins, twins.stored)
    content = bytearray(path.read_bytes())
    width = struct.calcsize(form)
    size = struct.unpack_from(form, content, offset)[0]
    struct.pack_into(form, content, offset, (size + change) % (1 << 8 * width))
    path.write_bytes(content)
    with pytest.raises(SeedError) as caught:
        verify(path)
    assert type(caught.value) is FormatError
    assert caught.value.rule[:4] == "PRE-"
