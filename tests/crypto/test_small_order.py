"""The table of small-order points, derived from the curve and not believed (attacks 103, 104).

Affine arithmetic on the curve of RFC 8032, section 5.1, written only for this test:
-x^2 + y^2 = 1 + d x^2 y^2 over the field of p = 2^255 - 19.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from seedpack.crypto.keys import _SMALL_ORDER_Y, _Y_OF_ZERO_X, Algorithm, PublicKey
from seedpack.errors import KeyFileError
from tests.crypto.refusals import refuses

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, P)
    return x % P, y % P


def times_8(point):
    for _ in range(3):
        point = add(point, point)
    return point


def decode(y, sign):
    """Return the point of RFC 8032, section 5.1.3, without its check that y < p."""
    y %= P
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = pow(u * pow(v, -1, P), (P + 3) // 8, P)
    if v * x * x % P == -u % P:
        x = x * SQRT_MINUS_1 % P
    if v * x * x % P != u:
        return None
    return (P - x if x % 2 != sign else x) % P, y


def torsion():
    """Return all points whose order divides 8, from the roots of the doubling formula.

    Doubling gives y' = (y^2 + x^2) / (1 - d x^2 y^2). Order 4 needs y = 0; order 8 needs
    x^2 = -y^2 on the curve, that is 2 y^2 = 1 - d y^4, a quadratic equation in y^2.
    """
    points = {decode(y, sign) for y in (0, 1, P - 1) for sign in (0, 1)}
    discriminant = (4 + 4 * D) % P
    root = pow(discriminant, (P + 3) // 8, P)
    if root * root % P != discriminant:
        root = root * SQRT_MINUS_1 % P
    for signed_root in (root, -root):
        y_squared = (-2 + signed_root) * pow(2 * D, -1, P) % P
        y = pow(y_squared, (P + 3) // 8, P)
        if y * y % P != y_squared:
            y = y * SQRT_MINUS_1 % P
        if y * y % P == y_squared:
            points |= {decode(s, sign) for s in (y, P - y) for sign in (0, 1)}
    return points - {None}


def encodings():
    """Return each 32-byte string that a lenient decoder takes for a point of small order."""
    return {
        (y + lift + (sign << 255)).to_bytes(32, "little")
        for _, y in torsion()
        for lift in (0, P)
        for sign in (0, 1)
        if y + lift < 2**255 and times_8(decode(y, sign)) == NEUTRAL
    }


def is_canonical(raw):
    value = int.from_bytes(raw, "little")
    point = decode(value % 2**255, value >> 255)
    return (point[1] | (point[0] % 2) << 255) == value


def test_torsion_has_eight_points_and_is_a_group():
    points = torsion()
    assert len(points) == 8
    assert all(times_8(point) == NEUTRAL for point in points)
    assert {add(a, b) for a in points for b in points} == points


@pytest.mark.spec("KEY-4")
def test_table_is_the_y_of_the_eight_points():
    assert {y for _, y in torsion()} == _SMALL_ORDER_Y
    assert {y for x, y in torsion() if x == 0} == _Y_OF_ZERO_X


@pytest.mark.spec("KEY-3", "KEY-4")
def test_attack_103_all_fourteen_encodings_of_small_order_are_refused():
    rules = {}
    for raw in encodings():
        with pytest.raises(KeyFileError) as caught:
            PublicKey(Algorithm.ED25519, raw)
        rules[raw] = caught.value.rule
    assert len(rules) == 14
    assert all((rule == "KEY-4") == is_canonical(raw) for raw, rule in rules.items())
    assert sorted(rules.values()) == ["KEY-3"] * 6 + ["KEY-4"] * 8


def test_attack_103_constant_signature_forgery_works_below_and_not_here():
    neutral = (1).to_bytes(32, "little")
    forged = neutral + bytes(32)  # R = neutral, S = 0: S B = R + k A for every message
    below = Ed25519PublicKey.from_public_bytes(neutral)
    below.verify(forged, b"any message")
    below.verify(forged, b"any other message")
    with refuses(KeyFileError, "KEY-4", where="public key"):
        PublicKey(Algorithm.ED25519, neutral)


@pytest.mark.spec("KEY-3")
@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", range(2**255 - 19, 2**255))
def test_attack_104_every_y_from_p_on_is_refused(y, sign):
    message = "not the canonical encoding of an Ed25519 public key"
    with refuses(KeyFileError, "KEY-3", where="public key", message=message):
        PublicKey(Algorithm.ED25519, (y | sign << 255).to_bytes(32, "little"))


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [2, 3, P - 2, P - 3])
def test_neighbours_of_what_is_refused_are_keys(y, sign):
    raw = (y | sign << 255).to_bytes(32, "little")
    assert PublicKey(Algorithm.ED25519, raw).raw == raw


@given(st.binary(min_size=32, max_size=32))
def test_random_strings_are_refused_only_for_what_the_rules_say(raw):
    y = int.from_bytes(raw, "little") % 2**255
    if y < P and y not in _SMALL_ORDER_Y:
        assert PublicKey(Algorithm.ED25519, raw).raw == raw
    else:
        with pytest.raises(KeyFileError):
            PublicKey(Algorithm.ED25519, raw)
