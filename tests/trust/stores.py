"""Keys, principals, signature records and facts for tests of trust."""

from __future__ import annotations

import functools
from typing import NamedTuple
from unicodedata import is_normalized

from hypothesis import strategies as st

from seedpack.crypto.keys import Algorithm, PrivateKey, private_key_from_secret
from seedpack.crypto.messages import signed_message
from seedpack.limits import MAX_INTEGER, MAX_TIME, MAX_VERSION
from seedpack.trust.judge import SeedFacts
from seedpack.trust.model import Policy, Principal, SeenVersion, TrustedKey, TrustStore

ED25519, ML_DSA_65 = Algorithm.ED25519, Algorithm.ML_DSA_65
NOW = 1_800_000_000
MANIFEST = b"manifest bytes"
SEED_ID = bytes(range(32))


@functools.cache
def key(number: int, algorithm: Algorithm = ED25519) -> PrivateKey:
    """Return the same key for the same number."""
    return private_key_from_secret(algorithm, number.to_bytes(32, "big"))


class Record(NamedTuple):
    algorithm: int
    expires: int
    key_id: bytes
    signature: bytes


def sign(private: PrivateKey, manifest: bytes = MANIFEST, *, expires: int = 0, version: int = 1):
    """Return a good record."""
    public = private.public
    message = signed_message(
        version=version,
        algorithm=public.algorithm,
        expires=expires,
        key_id=public.key_id,
        manifest=manifest,
    )
    return Record(int(public.algorithm), expires, public.key_id, private.sign(message))


def principal(name: str, *privates: PrivateKey, **fields):
    """Return a principal with keys that are always valid."""
    keys = tuple(TrustedKey(private.public) for private in privates)
    return Principal(name, keys, **fields)


def store_of(*principals: Principal, **fields) -> TrustStore:
    return TrustStore(principals=principals, **fields)


def facts(**changes) -> SeedFacts:
    """Return facts that any store without a policy accepts at ``NOW``."""
    usual = SeedFacts(
        name="acme/minilm",
        version=3,
        seed_id=SEED_ID,
        created=NOW - 1000,
        expires=None,
        codecs=frozenset({"raw"}),
        decoded_nbytes=1000,
    )
    return usual._replace(**changes)


# ---------------------------------------------------------------- any valid store


def _is_valid(text: str) -> bool:
    return text.isprintable() and is_normalized("NFC", text)


times = st.integers(0, MAX_TIME)
names = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12
).filter(_is_valid)


@st.composite
def principals(draw, name, numbers):
    keys = tuple(
        TrustedKey(
            key(number, draw(st.sampled_from(Algorithm))).public,
            draw(times),
            draw(st.none() | times),
            draw(st.booleans()),
        )
        for number in numbers
    )
    return Principal(
        name,
        keys,
        tuple(draw(st.lists(names, max_size=3))),
        draw(st.sampled_from([(ED25519,), (ML_DSA_65,), (ED25519, ML_DSA_65)])),
        draw(st.integers(0, MAX_INTEGER)),
    )


@st.composite
def stores(draw) -> TrustStore:
    """Return any valid store with up to six keys."""
    who = draw(st.lists(names, max_size=3, unique=True))
    counts = [draw(st.integers(0, 2)) for _ in who]
    members = [
        draw(principals(name, range(10 * i, 10 * i + count)))
        for i, (name, count) in enumerate(zip(who, counts, strict=True))
    ]
    seen = st.builds(SeenVersion, st.integers(0, MAX_VERSION), st.binary(min_size=32, max_size=32))
    return TrustStore(
        principals=tuple(members),
        threshold=draw(st.integers(1, MAX_INTEGER)),
        policy=Policy(
            draw(st.none() | st.frozensets(names, max_size=3)),
            draw(st.none() | st.integers(0, MAX_INTEGER)),
        ),
        seen=draw(st.dictionaries(names, seen, max_size=3)),
        last_time=draw(times),
    )
