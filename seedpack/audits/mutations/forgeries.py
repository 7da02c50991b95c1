"""What somebody does who knows the format, but has no key that is trusted.

Sizes, seed id and checksums are right in all of these; the signature alone stands in the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from seedpack.audits.mutations.base import Mutation, Patch, Target, rewritten
from seedpack.container.manifest import encode_manifest
from seedpack.crypto.keys import Algorithm, private_key_from_secret
from seedpack.limits import MAX_TIME
from seedpack.seed.signing import make_record
from seedpack.trust.store import SeenVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from seedpack.container.manifest import Manifest
    from seedpack.container.signature_area import SignatureRecord

    Edit = Callable[[Manifest, np.random.Generator], dict[str, Any]]

_SECRET_NBYTES: Final = 32
_MAX_STEP: Final = 1 << 40


def edit_manifest(target: Target, random: np.random.Generator) -> Mutation | None:
    """Change what is signed, and leave the signatures as they are."""
    what, manifest = _edited(target, random)
    return rewritten(target, "edited manifest", what, manifest=manifest)


def edit_and_sign(target: Target, random: np.random.Generator) -> Mutation | None:
    """Change what is signed, and sign it with a key of nobody."""
    what, manifest = _edited(target, random)
    records = [make_record(manifest, private_key_from_secret(Algorithm.ED25519, _secret(random)))]
    return rewritten(target, "edited and re-signed", what, manifest=manifest, records=records)


def sign_as_other(target: Target, random: np.random.Generator) -> Mutation | None:
    """Replace the signatures by one of a key of nobody."""
    record = _forged(target, random)
    what = f"signed by key {record.key_id.hex()[:16]}"
    return rewritten(target, "re-signed by another key", what, records=[record])


def sign_as_known(target: Target, random: np.random.Generator) -> Mutation | None:
    """Sign with a key of nobody, in the name of a trusted one."""
    known = _one_of(target, random)
    record = _forged(target, random, Algorithm(known.algorithm))._replace(key_id=known.key_id)
    what = f"posing as key {known.key_id.hex()[:16]}"
    return _with_record(target, "forged signature", what, known, record)


def change_signature(target: Target, random: np.random.Generator) -> Mutation | None:
    """Change a trusted key's signature or its term; the record's checksum is made to fit."""
    known = _one_of(target, random)
    if random.random() < 0.5:  # noqa: PLR2004 -- half of each
        expires = (known.expires + int(random.integers(1, MAX_TIME))) % MAX_TIME
        what, record = f"expires at {expires}", known._replace(expires=expires)
    else:
        at = int(random.integers(len(known.signature)))
        changed = bytearray(known.signature)
        changed[at] ^= int(random.integers(1, 256))
        what, record = f"byte {at} of the signature", known._replace(signature=bytes(changed))
    return _with_record(target, "changed signature record", what, known, record)


def remove_signatures(target: Target, random: np.random.Generator) -> Mutation | None:
    """Take away every trusted signature, and leave those of others."""
    del random
    records = [record for record in target.contents.header.records if record not in target.known]
    what = f"{len(target.known)} signatures removed"
    return rewritten(target, "signatures removed", what, records=records)


def claim_seed_id(target: Target, random: np.random.Generator) -> Mutation:
    """Give the file another seed id, in the preamble alone."""
    del target
    at = 32  # bytes from the file start: the last field of the preamble
    return Mutation("other seed id", "random seed id", (Patch(at, random.bytes(32)),))


def roll_back(target: Target, random: np.random.Generator) -> Mutation:
    """Offer the seed to a consumer who has seen a later version."""
    manifest = target.contents.manifest
    version = manifest.version + int(random.integers(1, _MAX_STEP))
    return _remembering(target, "rollback", version, random.bytes(32))


def equivocate(target: Target, random: np.random.Generator) -> Mutation:
    """Offer the seed to a consumer who has seen another one of the same version."""
    version = target.contents.manifest.version
    return _remembering(target, "other seed of this version", version, random.bytes(32))


def _remembering(target: Target, kind: str, version: int, seed_id: bytes) -> Mutation:
    name = target.contents.manifest.name
    seen = {**target.store.seen, name: SeenVersion(version, seed_id)}
    what = f"version {version} was seen as {seed_id.hex()[:16]}"
    return Mutation(kind, what, store=replace(target.store, seen=seen))


def _forged(
    target: Target, random: np.random.Generator, algorithm: Algorithm = Algorithm.ED25519
) -> SignatureRecord:
    key = private_key_from_secret(algorithm, _secret(random))
    return make_record(target.contents.header.manifest_bytes, key)


def _with_record(
    target: Target, kind: str, what: str, old: SignatureRecord, new: SignatureRecord
) -> Mutation | None:
    records = [new if record == old else record for record in target.contents.header.records]
    return rewritten(target, kind, what, records=records)


def _one_of(target: Target, random: np.random.Generator) -> SignatureRecord:
    return target.known[int(random.integers(len(target.known)))]


def _secret(random: np.random.Generator) -> bytes:
    return random.bytes(_SECRET_NBYTES)


# ---------------------------------------------------------------- edits of the manifest


def _edited(target: Target, random: np.random.Generator) -> tuple[str, bytes]:
    """Return what was changed, and the manifest's bytes."""
    manifest = target.contents.manifest
    edits = [edit for edit, fits in _EDITS.items() if fits(manifest)]
    edit = edits[int(random.integers(len(edits)))]
    changes = edit(manifest, random)
    changed = replace(manifest, **changes)
    return f"{', '.join(changes)} of the manifest", encode_manifest(changed)


def _version(manifest: Manifest, random: np.random.Generator) -> dict[str, Any]:
    return {"version": manifest.version + int(random.integers(1, 1 << 30))}


def _name(manifest: Manifest, random: np.random.Generator) -> dict[str, Any]:
    return {"name": f"{manifest.name}-{random.bytes(4).hex()}"}


def _expires(manifest: Manifest, random: np.random.Generator) -> dict[str, Any]:
    del manifest
    return {"expires": MAX_TIME - int(random.integers(1 << 30))}


def _layer(manifest: Manifest, random: np.random.Generator) -> dict[str, Any]:
    """Change one field of one layer record."""
    layers = list(manifest.layers)
    at = int(random.integers(len(layers)))
    layer = layers[at]
    turn = int(random.integers(4))
    if turn == 0:
        layers[at] = replace(layer, digest=random.bytes(32))
    elif turn == 1:
        layers[at] = replace(layer, name=f"{layer.name}.{random.bytes(2).hex()}")
    elif turn == 2:  # noqa: PLR2004 -- one of four
        layers[at] = replace(layer, shape=[*layer.shape, int(random.integers(2, 1 << 20))])
    else:
        chunks = [replace(chunk, digest=random.bytes(32)) for chunk in layer.chunks]
        layers[at] = replace(layer, chunks=chunks)
    return {"layers": layers}


def _architecture(manifest: Manifest, random: np.random.Generator) -> dict[str, Any]:
    assert manifest.architecture is not None  # noqa: S101 -- asked before
    named = f"{manifest.architecture.class_name}{random.bytes(2).hex()}"
    return {"architecture": replace(manifest.architecture, class_name=named)}


def _always(manifest: Manifest) -> bool:
    del manifest
    return True


_EDITS: Final[dict[Edit, Callable[[Manifest], bool]]] = {
    _version: _always,
    _name: _always,
    _expires: _always,
    _layer: lambda manifest: bool(manifest.layers),
    _architecture: lambda manifest: manifest.architecture is not None,
}
