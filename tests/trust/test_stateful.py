"""The trust store against a model of sets and numbers, over any history.

The model knows nothing of files, messages or records: a key is a number, a signature is the
number of its key. It says yes or no; the store must say the same, by the right class.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seedpack.crypto.keys import Algorithm
from seedpack.errors import (
    KeyExpired,
    KeyRevoked,
    PolicyRefused,
    Rollback,
    SeedError,
    SeedExpired,
    ThresholdNotMet,
    UnknownSigner,
)
from seedpack.trust.judge import judge_policy, judge_signatures
from seedpack.trust.model import SeenVersion, TrustedKey, TrustStore
from seedpack.trust.statements import (
    apply_statement,
    make_revocation,
    make_rotation,
    parse_statement,
)
from seedpack.trust.store import encode_trust_store, parse_trust_store
from tests.trust.stores import ED25519, ML_DSA_65, facts, key, principal, sign

START = 1_000_000
NAMES = ("acme", "lab")
SEEDS = ("acme/a", "shared")
MAY_SIGN = {"acme": ("acme/*", "shared"), "lab": ("shared",)}
FIRST = {"acme": ((1, ED25519), (2, ML_DSA_65)), "lab": ((3, ED25519), (4, ED25519))}
REQUIRE = {"acme": {ED25519, ML_DSA_65}, "lab": {ED25519}}
NEW_NUMBERS = range(5, 13)


def outcome(call):
    """Return the value of ``call`` and no refusal, or nothing and the class of the refusal."""
    try:
        return call(), None
    except SeedError as error:
        return None, type(error)


class ModelKey:
    """What the model knows of a key."""

    def __init__(self, owner, algorithm, begin):
        self.owner, self.algorithm, self.begin = owner, algorithm, begin
        self.end, self.revoked = None, False

    def state(self, now):
        if self.revoked:
            return "revoked"
        ended = self.end is not None and self.end <= now
        return "expired" if ended or now < self.begin else "usable"


class TrustStoreMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.store = TrustStore(
            principals=tuple(
                principal(
                    name,
                    *(key(*number) for number in FIRST[name]),
                    may_sign=MAY_SIGN[name],
                    require=tuple(sorted(REQUIRE[name])),
                )
                for name in NAMES
            )
        )
        self.keys = {
            number: ModelKey(name, algorithm, 0)
            for name in NAMES
            for number, algorithm in FIRST[name]
        }
        self.now = START
        self.last = 0
        self.threshold = 1
        self.serial = dict.fromkeys(NAMES, 0)
        self.seen = {}
        self.counted = set()

    # ------------------------------------------------------------ what the model says

    def expected_of_signatures(self, signers, expiries):
        """Return None for yes, or the class of the refusal."""
        if self.now < self.last - 300:
            return PolicyRefused
        reasons = []
        good = {name: set() for name in NAMES}
        for number, expires in zip(signers, expiries, strict=True):
            if number not in self.keys:
                continue
            model = self.keys[number]
            state = model.state(self.now)
            if state == "usable" and expires and expires <= self.now:
                state = "stale"
            if state == "usable":
                good[model.owner].add(model.algorithm)
            else:
                reasons.append(
                    {"revoked": KeyRevoked, "expired": KeyExpired, "stale": SeedExpired}[state]
                )
        if not any(number in self.keys for number in signers):
            return UnknownSigner
        self.counted = {name for name in NAMES if REQUIRE[name] <= good[name]}
        if len(self.counted) >= self.threshold:
            return None
        return reasons[0] if reasons else ThresholdNotMet

    def expected_of_policy(self, name, version, seed_id):
        may = {who for who in self.counted if name == "shared" or who == "acme"}
        if len(may) < self.threshold:
            return PolicyRefused
        if name in self.seen:
            highest, which = self.seen[name]
            if version < highest or (version == highest and which != seed_id):
                return Rollback
        return None

    def check(self, expected, call):
        """Run ``call``, compare its refusal with the expected one, and return its value."""
        value, refusal = outcome(call)
        assert refusal is expected
        return value

    # ------------------------------------------------------------ what happens

    @rule(
        signers=st.lists(st.integers(1, 14), max_size=5, unique=True),
        name=st.sampled_from(SEEDS),
        version=st.integers(0, 3),
        which=st.integers(0, 1),
        lifetimes=st.lists(st.sampled_from([0, 0, 0, -1, 0, 50]), min_size=5, max_size=5),
    )
    def seed_arrives(self, signers, name, version, which, lifetimes):
        manifest = f"{name} {version} {which}".encode()
        expiries = [self.now + life if life else 0 for life in lifetimes][: len(signers)]
        records = [
            sign(key(number, self.algorithm_of(number)), manifest, expires=expires)
            for number, expires in zip(signers, expiries, strict=True)
        ]
        vouching = self.check(
            self.expected_of_signatures(signers, expiries),
            lambda: judge_signatures(
                self.store, records, manifest=manifest, version=1, now=self.now
            ),
        )
        if vouching is None:
            return
        assert set(vouching.principals) == self.counted
        seed_id = bytes([which]) * 32
        seed = facts(name=name, version=version, seed_id=seed_id, created=self.now)
        expected = self.expected_of_policy(name, version, seed_id)
        self.check(expected, lambda: judge_policy(self.store, vouching, seed, now=self.now))
        if expected is None:
            self.store = self.store.with_seen(name, SeenVersion(version, seed_id), self.now)
            self.seen[name] = (version, seed_id)
            self.last = max(self.last, self.now)

    def algorithm_of(self, number):
        return self.keys[number].algorithm if number in self.keys else Algorithm.ED25519

    @precondition(lambda self: len(self.keys) < 12)
    @rule(
        who=st.sampled_from(NAMES),
        old=st.integers(1, 12),
        step=st.integers(0, 2),
        created=st.sampled_from([-20, 0, 300, 301]),
    )
    def rotation_arrives(self, who, old, step, created):
        new = next(number for number in NEW_NUMBERS if number not in self.keys)
        if old == new:
            return
        algorithm, serial, created = (
            self.algorithm_of(old),
            self.serial[who] + step,
            self.now + created,
        )
        statement = parse_statement(
            make_rotation(
                who, key(old, algorithm), key(new, algorithm), serial=serial, created=created
            )
        )
        model = self.keys.get(old)
        if self.now < self.last - 300 or created > self.now + 300:
            expected = PolicyRefused
        elif step == 0:
            expected = Rollback
        elif model is None or model.owner != who:
            expected = UnknownSigner
        else:
            expected = {"revoked": KeyRevoked, "expired": KeyExpired}.get(model.state(self.now))
        after = self.check(expected, lambda: apply_statement(self.store, statement, self.now))
        if after:
            self.store = after
            self.serial[who] = serial
            model.end = created if model.end is None else min(model.end, created)
            self.keys[new] = ModelKey(who, algorithm, created)

    @rule(
        who=st.sampled_from(NAMES),
        signer=st.integers(1, 12),
        revoked=st.lists(st.integers(1, 12), min_size=1, max_size=2, unique=True),
        step=st.integers(0, 2),
    )
    def revocation_arrives(self, who, signer, revoked, step):
        serial = self.serial[who] + step
        ids = [key(number, self.algorithm_of(number)).public.key_id for number in revoked]
        statement = parse_statement(
            make_revocation(
                who,
                key(signer, self.algorithm_of(signer)),
                ids,
                serial=serial,
                created=self.now,
            )
        )
        model = self.keys.get(signer)
        if self.now < self.last - 300:
            expected = PolicyRefused
        elif step == 0:
            expected = Rollback
        elif model is None or model.owner != who:
            expected = UnknownSigner
        elif model.state(self.now) != "usable":
            expected = {"revoked": KeyRevoked, "expired": KeyExpired}[model.state(self.now)]
        elif any(n not in self.keys or self.keys[n].owner != who for n in revoked):
            expected = PolicyRefused
        else:
            expected = None
        after = self.check(expected, lambda: apply_statement(self.store, statement, self.now))
        if after:
            self.store = after
            self.serial[who] = serial
            for number in revoked:
                self.keys[number].revoked = True

    @rule(seconds=st.sampled_from([1, 60, 300, -1, -300, -301]))
    def clock_moves(self, seconds):
        self.now += seconds

    @rule(threshold=st.integers(1, 3))
    def consumer_sets_threshold(self, threshold):
        self.store = self.store.with_threshold(threshold)
        self.threshold = threshold

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def consumer_forgets(self, data):
        name = data.draw(st.sampled_from(sorted(self.seen)))
        self.store = self.store.without_seen(name)
        del self.seen[name]

    @rule(number=st.integers(1, 12))
    def consumer_revokes(self, number):
        if number in self.keys:
            key_id = key(number, self.keys[number].algorithm).public.key_id
            self.store = self.store.with_revoked(key_id)
            self.keys[number].revoked = True

    @rule()
    def store_is_written_and_read(self):
        self.store = parse_trust_store(encode_trust_store(self.store))

    @invariant()
    def store_and_model_agree(self):
        assert self.store.keys_by_id() == {
            key(number, model.algorithm).public.key_id: (
                self.store.find_principal(model.owner),
                TrustedKey(
                    key(number, model.algorithm).public, model.begin, model.end, model.revoked
                ),
            )
            for number, model in self.keys.items()
        }
        assert {p.name: p.serial for p in self.store.principals} == self.serial
        assert {n: (s.version, s.seed_id) for n, s in self.store.seen.items()} == self.seen
        assert (self.store.last_time, self.store.threshold) == (self.last, self.threshold)


TestTrustStore = TrustStoreMachine.TestCase
TestTrustStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
