"""A whole container, edited and signed again by a trusted key (spec: section 12).

The input is the file itself. Behind the signature nothing may be believed either: a
publisher's tools fail, and keys are stolen.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from fuzz.drafts import Draft, drop_chunks, read_draft, settle, with_crc, write_container
from fuzz.harness import Target, demand, reference, scratch_folder
from fuzz.samples import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    EVE,
    MALLORY,
    NOW,
    OLD,
    container,
    drafts,
    trust_store,
)
from fuzz.trees import copy_tree, edit_bytes, edit_number, mutate
from seedpack.container.preamble import encode_preamble
from seedpack.container.signature_area import SignatureRecord, encode_signature_area
from seedpack.crypto.digests import digest
from seedpack.crypto.keys import Algorithm
from seedpack.errors import SeedError, TrustError
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.signing import sign_seed
from seedpack.seed.verify import verify_seed
from seedpack.trust.store import encode_trust_store

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from seedpack.seed.opening import Seed

_SETTLED_SHARE: Final = 0.8  # of edits whose sizes and digests are made to fit again
_FORGED_SHARE: Final = 0.05  # of files
_FIRST_RECORD: Final = slice(64, 192)
_EXPIRING_SHARE: Final = 0.05  # of signatures
_COSIGNED_SHARE: Final = 0.01  # by ML-DSA-65, which takes a millisecond
_COSIGNED_EVERY: Final = 8  # accepted files get one signature more
_SIGNERS: Final = (
    *([(ALICE,)] * 20),
    *((ALICE, BOB), (BOB,), (MALLORY, ALICE), (MALLORY,), (OLD,), (EVE,), (DAVE,), (DAVE, EVE), ()),
)


def _check(data: bytes) -> None:
    theirs = reference().read_seed(data, _plain_store(), NOW, decode=True, partial=True)
    path = scratch_folder() / "input.seed"
    path.write_bytes(data)
    try:
        seed = open_seed(path, store=trust_store(), now=NOW)
    except SeedError as refusal:
        demand(theirs.get("code") == refusal.code, f"{refusal}; independent reader: {theirs}")
        if isinstance(refusal, TrustError):
            open_unverified(path).close()  # which says less, and may find less
        raise
    with seed:
        try:
            report = verify_seed(seed, decode=True, partial=True)
        except SeedError as refusal:
            agreed = theirs.get("code") in {"SP300", "SP400"}
            demand(agreed, f"{refusal}; independent reader: {theirs}")
            raise
        assert theirs["result"] == "accept", theirs
        assert theirs["seed_id"] == seed.id
        assert len(theirs["layers"]) == report.layers
        _check_bytes(seed, data)
        signers = {record.key_id for record in seed.header.records}
        signed = data[seed.header.preamble.manifest_offset :]
    if BOB.public.key_id not in signers and data[-1] % _COSIGNED_EVERY == 0:
        _check_cosigned(path, signed)


def _check_cosigned(path: Path, signed: bytes) -> None:
    """Demand that one signature more counts, and changes nothing behind the signatures."""
    sign_seed(path, BOB)
    with open_seed(path, store=trust_store(), now=NOW) as seed:
        assert BOB.public.key_id in seed.vouching.key_ids
        assert path.read_bytes()[seed.header.preamble.manifest_offset :] == signed


def _check_bytes(seed: Seed, data: bytes) -> None:
    """Demand that the parts give the file again, and that all digests hold."""
    header, manifest = seed.header, seed.manifest
    front = encode_preamble(header.preamble), header.manifest_bytes + header.presence
    areas = (encode_signature_area(header.records, reserve=reserve) for reserve in (False, True))
    present = [chunk for chunk in seed.chunks if chunk.offset is not None]
    stored = [data[c.offset : c.offset + c.stored_nbytes] for c in present if c.offset is not None]
    assert any(b"".join((front[0], area, front[1], *stored)) == data for area in areas)
    for chunk, content in zip(present, stored, strict=True):
        assert digest(manifest.digest_algorithm, content) == chunk.digest


def _wrong_algorithm(whole: bytes) -> bytes:
    """Put a record of the other algorithm in the place of Alice's (KEY-2)."""
    record = SignatureRecord(Algorithm.ML_DSA_65, 0, ALICE.public.key_id, bytes(3309))
    area = encode_signature_area([record], reserve=False)
    head = whole[:12] + struct.pack("<I", len(area)) + whole[16:64]
    return head + area + whole[_FIRST_RECORD.stop :]


@cache
def _plain_store() -> object:
    return json.loads(encode_trust_store(trust_store()))


def _starts() -> dict[str, bytes]:
    partial = dataclasses.replace(drafts()["parity"])
    drop_chunks(partial, {0, 3})
    return {
        **{name: container(name) for name in drafts()},
        "co-signed": write_container(drafts()["small"], [ALICE, CAROL]),
        "forged": _put_record(container("small"), container("small")[64:112]),
        "wrong-algorithm": _wrong_algorithm(container("small")),
        "partial": write_container(partial, [ALICE]),
    }


def _mutate(data: bytes, random: Random) -> bytes:
    draft = read_draft(data)
    if draft is None or not draft.contents:
        draft = random.choice(list(drafts().values()))
        draft = Draft(copy_tree(draft.tree), dict(draft.contents))
    match random.randrange(6):
        case 0:
            _edit_content(draft, random)
        case 1:
            drop_chunks(draft, {random.randrange(16) for _ in range(random.randrange(4))})
        case 2:
            draft.presence = edit_bytes(draft.presence, random)
        case _:
            draft.tree = mutate(draft.tree, random)
    if random.random() < _SETTLED_SHARE:
        draft = settle(draft)
    expires = 0
    if random.random() < _EXPIRING_SHARE:
        expires = random.choice([NOW, NOW + 1, edit_number(NOW, random) % (1 << 63)])
    cosigned = (CAROL,) if random.random() < _COSIGNED_SHARE else ()
    whole = write_container(draft, (*random.choice(_SIGNERS), *cosigned), expires=expires)
    return _forge(whole, random) if random.random() < _FORGED_SHARE else whole


def _forge(whole: bytes, random: Random) -> bytes:
    """Change what is between the preamble and byte 192: mostly the first record."""
    return _put_record(whole, edit_bytes(whole[_FIRST_RECORD], random))


def _put_record(whole: bytes, record: bytes) -> bytes:
    """Put ``record``, cut or padded, in the place of the first, with a CRC that fits."""
    start, stop = _FIRST_RECORD.start, _FIRST_RECORD.stop
    record = record[: stop - start].ljust(stop - start, b"\0")
    return whole[:start] + with_crc(record) + whole[stop:]


def _edit_content(draft: Draft, random: Random) -> None:
    name = random.choice(list(draft.contents))
    draft.contents[name] = edit_bytes(draft.contents[name], random)


TARGET: Final = Target(_check, _starts, _mutate, memory_mib=128, max_input_nbytes=16_384)
