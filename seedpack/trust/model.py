"""The trust store as immutable values: whatever exists is valid, every change is a new value.

TrustStore
├─ principals: Principal ──< TrustedKey      whom, with which keys, for which names
├─ policy: Policy                            what is not accepted from anybody
└─ seen: name -> SeenVersion                 what rollback is told by
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec.structs import force_setattr, replace

from seedpack.crypto.digests import DIGEST_NBYTES
from seedpack.crypto.keys import Algorithm, PublicKey
from seedpack.errors import StoreError
from seedpack.limits import MAX_INTEGER, MAX_TIME, MAX_VERSION
from seedpack.trust.patterns import matches
from seedpack.trust.texts import check_text

if TYPE_CHECKING:
    from collections.abc import Iterable

KeyStanding = Literal["usable", "revoked", "key expired"]

EVERY_NAME: Final = "*"


class TrustedKey(msgspec.Struct, frozen=True):
    """A key of a principal, and when it may be used."""

    public: PublicKey
    not_before: int = 0  # seconds since 1970, inclusive
    not_after: int | None = None  # exclusive; None: no end
    revoked: bool = False

    def __post_init__(self) -> None:
        """Refuse times that cannot be.

        Raises:
            StoreError: TRU-1.
        """
        _check_range(self.not_before, MAX_TIME, "not_before")
        if self.not_after is not None:
            _check_range(self.not_after, MAX_TIME, "not_after")

    @property
    def key_id(self) -> bytes:
        """The 32 bytes that records name this key by."""
        return self.public.key_id

    def standing(self, now: int) -> KeyStanding:
        """Say whether a signature by this key may count at ``now`` (TRU-3 before TRU-4)."""
        if self.revoked:
            return "revoked"
        if now < self.not_before or (self.not_after is not None and now >= self.not_after):
            return "key expired"
        return "usable"


class Principal(msgspec.Struct, frozen=True):
    """A person or organisation; counts once, whatever the number of its keys that signed."""

    name: str
    keys: tuple[TrustedKey, ...]
    may_sign: tuple[str, ...] = (EVERY_NAME,)  # patterns over seed names
    require: tuple[Algorithm, ...] = (Algorithm.ED25519,)  # one usable signature of each
    serial: int = 0  # of the last statement that was applied (STA-4)

    def __post_init__(self) -> None:
        """Refuse a principal that would count without having signed, or cannot be shown.

        Raises:
            StoreError: TRU-1.
        """
        check_text(self.name, "principal")
        for pattern in self.may_sign:
            check_text(pattern, f"{self.name}.may_sign")
        # With nothing required, "every required algorithm signed" would hold of anybody.
        if not self.require or len(set(self.require)) != len(self.require):
            raise _invalid("require names each algorithm once, and at least one", self.name)
        _check_range(self.serial, MAX_INTEGER, f"{self.name}.serial")

    def allows(self, name: str) -> bool:
        """Tell whether this principal may sign seeds of that name."""
        return any(matches(pattern, name) for pattern in self.may_sign)


class Policy(msgspec.Struct, frozen=True):
    """What is accepted, whoever signed (TRU-11); None: anything."""

    codecs: frozenset[str] | None = None
    max_decoded_nbytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse a bound that cannot be.

        Raises:
            StoreError: TRU-1.
        """
        for codec in self.codecs or ():
            check_text(codec, "policy.codecs")
        if self.max_decoded_nbytes is not None:
            _check_range(self.max_decoded_nbytes, MAX_INTEGER, "policy.max_decoded_nbytes")


class SeenVersion(msgspec.Struct, frozen=True):
    """The highest version of a name that was accepted, and which seed it was."""

    version: int
    seed_id: bytes  # (32,)

    def __post_init__(self) -> None:
        """Refuse what no seed can have.

        Raises:
            StoreError: TRU-1.
        """
        _check_range(self.version, MAX_VERSION, "seen.version")
        if len(self.seed_id) != DIGEST_NBYTES:
            raise _invalid(f"a seed id of {len(self.seed_id)} bytes", "seen.seed_id")


class TrustStore(msgspec.Struct, frozen=True):
    """Whom to trust, for what, and what was seen."""

    principals: tuple[Principal, ...] = ()
    threshold: int = 1  # principals that have to count
    policy: Policy = Policy()
    seen: Mapping[str, SeenVersion] = MappingProxyType({})  # by name of the seed
    last_time: int = 0  # when a seed was last accepted, seconds since 1970

    def __post_init__(self) -> None:
        """Refuse a store in which one key or one name stands for two principals.

        Raises:
            StoreError: TRU-1.
        """
        if not 1 <= self.threshold <= MAX_INTEGER:
            raise _invalid(f"a threshold of {self.threshold}", "threshold")
        _check_range(self.last_time, MAX_TIME, "last_time")
        for name in self.seen:
            check_text(name, "seen")
        _check_unique([p.name for p in self.principals], "principals")
        _check_unique([k.public for p in self.principals for k in p.keys], "keys")
        force_setattr(self, "seen", MappingProxyType(dict(self.seen)))

    @classmethod
    def of_keys(cls, keys: Iterable[PublicKey], threshold: int = 1) -> TrustStore:
        """Return a store without memory: each key is a principal that may sign anything.

        Raises:
            StoreError: TRU-1, a key is given twice, or the threshold is below 1.
        """
        principals = (
            Principal(name=key.key_id.hex(), keys=(TrustedKey(key),), require=(key.algorithm,))
            for key in keys
        )
        return cls(principals=tuple(principals), threshold=threshold)

    def find_principal(self, name: str) -> Principal | None:
        """Return the principal of that name, if there is one."""
        return next((p for p in self.principals if p.name == name), None)

    def keys_by_id(self) -> dict[bytes, tuple[Principal, TrustedKey]]:
        """Return every key of the store and whose it is, by its id."""
        return {key.key_id: (p, key) for p in self.principals for key in p.keys}

    def with_principal(self, principal: Principal) -> TrustStore:
        """Return the store with one principal more.

        Raises:
            StoreError: TRU-1, its name or a key of its is in the store.
        """
        return replace(self, principals=(*self.principals, principal))

    def without_principal(self, name: str) -> TrustStore:
        """Return the store without that principal and its keys.

        Raises:
            StoreError: TRU-1, there is none of that name.
        """
        if self.find_principal(name) is None:
            raise _invalid("no such principal", name)
        return replace(self, principals=tuple(p for p in self.principals if p.name != name))

    def with_changed(self, principal: Principal) -> TrustStore:
        """Return the store with ``principal`` in the place of the one of the same name.

        Raises:
            StoreError: TRU-1, there is none of that name, or another has a key of its.
        """
        if self.find_principal(principal.name) is None:
            raise _invalid("no such principal", principal.name)
        changed = (principal if p.name == principal.name else p for p in self.principals)
        return replace(self, principals=tuple(changed))

    def with_key(self, name: str, key: TrustedKey) -> TrustStore:
        """Return the store with one key more for the principal of that name.

        Raises:
            StoreError: TRU-1, there is no such principal, or the key is in the store.
        """
        principal = self.find_principal(name)
        if principal is None:
            raise _invalid("no such principal", name)
        return self.with_changed(replace(principal, keys=(*principal.keys, key)))

    def with_revoked(self, key_id: bytes) -> TrustStore:
        """Return the store with that key revoked; revoking twice changes nothing.

        Raises:
            StoreError: TRU-1, the key is not in the store.
        """
        found = self.keys_by_id().get(key_id)
        if found is None:
            raise _invalid("no such key", key_id.hex())
        principal, _ = found
        keys = tuple(replace(k, revoked=True) if k.key_id == key_id else k for k in principal.keys)
        return self.with_changed(replace(principal, keys=keys))

    def with_threshold(self, threshold: int) -> TrustStore:
        """Return the store with another threshold.

        Raises:
            StoreError: TRU-1, it is below 1.
        """
        return replace(self, threshold=threshold)

    def with_policy(self, policy: Policy) -> TrustStore:
        """Return the store with another policy."""
        return replace(self, policy=policy)

    def with_seen(self, name: str, seen: SeenVersion, now: int) -> TrustStore:
        """Return the store that remembers ``seen`` and that it was ``now`` (TRU-13)."""
        return replace(self, seen={**self.seen, name: seen}, last_time=max(self.last_time, now))

    def without_seen(self, name: str) -> TrustStore:
        """Return the store that has forgotten that name: recovery from a fast-forward.

        Raises:
            StoreError: TRU-1, nothing of that name was seen.
        """
        if name not in self.seen:
            raise _invalid("nothing of this name was seen", name)
        return replace(self, seen={n: s for n, s in self.seen.items() if n != name})


def _check_range(value: int, highest: int, where: str) -> None:
    if not 0 <= value <= highest:
        raise _invalid(f"{value} is not in 0 to {highest}", where)


def _check_unique(values: list[str] | list[PublicKey], where: str) -> None:
    if len(set(values)) != len(values):
        raise _invalid("one stands here twice", where)


def _invalid(message: str, where: str) -> StoreError:
    return StoreError(message, rule="TRU-1", where=where)
