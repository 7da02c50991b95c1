from __future__ import annotations

import functools
import importlib.util
import shutil
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed448, mldsa, rsa
from hypothesis import given
from hypothesis import strategies as st

from seedpack.crypto.keyfiles import load_private_key, load_public_key, write_key_pair
from seedpack.crypto.keys import Algorithm, private_key_from_secret
from seedpack.crypto.pem import encode_pem
from seedpack.errors import KeyFileError, SeedError, StoreError
from seedpack.limits import MAX_KEY_FILE_NBYTES
from tests.crypto.refusals import refuses

PASSPHRASE = b"correct horse"
KEYS = {a: private_key_from_secret(a, bytes([7]) * 32) for a in Algorithm}
ED25519 = KEYS[Algorithm.ED25519]
PEM_PRIVATE = (s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
OPENSSH_PRIVATE = (s.Encoding.PEM, s.PrivateFormat.OpenSSH, s.NoEncryption())

algorithms = pytest.mark.parametrize("algorithm", Algorithm, ids=lambda a: a.label)


def never_asked():
    pytest.fail("asked for a passphrase that is not needed")


def ask():
    return PASSPHRASE


@pytest.fixture
def write(tmp_path):
    def write(content, mode=0o600):
        path = tmp_path / "some.key"
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return write


@functools.cache
def foreign_keys():
    return {
        "RSA": rsa.generate_private_key(65537, 2048),
        "EC": ec.generate_private_key(ec.SECP256R1()),
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "ML-DSA-44": mldsa.MLDSA44PrivateKey.generate(),
    }


# ---------------------------------------------------------------- pairs that seedpack writes


@pytest.mark.spec("KEY-5")
@algorithms
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["clear", "encrypted"])
def test_pair_that_is_written_is_read_back(tmp_path, algorithm, passphrase):
    secret, public = write_key_pair(KEYS[algorithm], tmp_path, "release-2.a", passphrase)
    assert (secret, public) == (tmp_path / "release-2.a.key", tmp_path / "release-2.a.pub")
    loaded = load_private_key(secret, never_asked if passphrase is None else ask)
    assert loaded.public == load_public_key(public) == KEYS[algorithm].public
    assert loaded.public.verifies(b"message", loaded.sign(b"message"))


@pytest.mark.spec("KEY-5")
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["clear", "encrypted"])
def test_only_the_owner_can_read_a_private_key(tmp_path, passphrase):
    secret, public = write_key_pair(ED25519, tmp_path, "k", passphrase)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (secret, public)]
    assert modes == [0o600, 0o644]


@algorithms
def test_written_files_are_read_by_cryptography(tmp_path, algorithm):
    clear, public = write_key_pair(KEYS[algorithm], tmp_path, "clear", None)
    encrypted, _ = write_key_pair(KEYS[algorithm], tmp_path, "encrypted", PASSPHRASE)
    raw = KEYS[algorithm].public.raw
    assert s.load_pem_public_key(public.read_bytes()).public_bytes_raw() == raw
    loaded = [
        s.load_pem_private_key(clear.read_bytes(), None),
        s.load_pem_private_key(encrypted.read_bytes(), PASSPHRASE),
    ]
    assert [key.public_key().public_bytes_raw() for key in loaded] == [raw, raw]


@algorithms
def test_written_files_in_the_clear_are_those_of_cryptography(tmp_path, algorithm):
    secret, public = write_key_pair(KEYS[algorithm], tmp_path, "k", None)
    handle = KEYS[algorithm].handle
    spki = (s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    assert secret.read_bytes() == handle.private_bytes(*PEM_PRIVATE)
    assert public.read_bytes() == handle.public_key().public_bytes(*spki)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program")
def test_encrypted_key_is_read_by_the_openssl_program(tmp_path):
    secret, public = write_key_pair(ED25519, tmp_path, "k", PASSPHRASE)
    command = ["openssl", "pkey", "-in", secret, "-passin", "stdin", "-pubout"]
    done = subprocess.run(command, input=PASSPHRASE, capture_output=True, check=True)
    assert done.stdout == public.read_bytes()
    shape = subprocess.run(
        ["openssl", "asn1parse", "-in", secret], capture_output=True, check=True, text=True
    ).stdout
    assert [w in shape for w in (":PBES2", ":scrypt", ":aes-256-cbc")] == [True] * 3
    # N = 2^14, r = 8, p = 5
    assert [f"INTEGER           :{n}" in shape for n in ("4000", "08", "05")] == [True] * 3


def test_encrypting_twice_gives_two_files_that_share_nothing_secret(tmp_path):
    one, _ = write_key_pair(ED25519, tmp_path, "one", PASSPHRASE)
    two, _ = write_key_pair(ED25519, tmp_path, "two", PASSPHRASE)
    assert one.read_bytes() != two.read_bytes()
    assert one.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")


@pytest.mark.parametrize("there", ["k.key", "k.pub"])
def test_pair_never_overwrites(tmp_path, there):
    (tmp_path / there).write_bytes(b"precious")
    with refuses(StoreError, "OUT-2"):
        write_key_pair(ED25519, tmp_path, "k", None)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {there: b"precious"}


@pytest.mark.parametrize("name", ["", "../k", "a/b", ".hidden", "-k", "k\n", "k ", "k" * 101])
def test_pair_has_a_file_name(tmp_path, name):
    with refuses(
        KeyFileError,
        "KEY-5",
        message=f"{name!r} is no name for a key",
        where="name",
        hint="use letters, digits, underscore, dot and dash",
    ):
        write_key_pair(ED25519, tmp_path, name, None)
    assert list(tmp_path.iterdir()) == []


def test_pair_may_have_a_name_of_a_hundred_characters(tmp_path):
    secret, _ = write_key_pair(ED25519, tmp_path, "k" * 100, None)
    assert secret.name == "k" * 100 + ".key"


def test_empty_passphrase_is_refused(tmp_path):
    message = "the passphrase is empty"
    with refuses(KeyFileError, "KEY-5", where="passphrase", message=message):
        write_key_pair(ED25519, tmp_path, "k", b"")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- private keys


@algorithms
def test_pkcs8_of_others_is_read(write, algorithm):
    encryption = s.BestAvailableEncryption(PASSPHRASE)
    pem = KEYS[algorithm].handle.private_bytes(*PEM_PRIVATE[:2], encryption)
    assert load_private_key(write(pem), ask).public == KEYS[algorithm].public


def test_openssh_key_made_by_cryptography_is_read(write):
    path = write(ED25519.handle.private_bytes(*OPENSSH_PRIVATE))
    assert load_private_key(path, never_asked).public == ED25519.public


def test_line_ends_of_windows_are_read(write):
    pem = ED25519.handle.private_bytes(*PEM_PRIVATE)
    path = write(pem.replace(b"\n", b"\r\n") + b"\r\n")
    assert load_private_key(path, None).public == ED25519.public


@pytest.fixture
def ssh_key(tmp_path):
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen program")

    def make(passphrase, kind="ed25519"):
        path = tmp_path / f"id_{kind}"
        command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "a@b c", "-f", path]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return path

    return make


@pytest.mark.spec("KEY-5")
def test_key_made_by_ssh_keygen_is_read(ssh_key):
    path = ssh_key("")
    private = load_private_key(path, never_asked)
    assert load_public_key(path.with_suffix(".pub")) == private.public


def test_ssh_key_with_passphrase_is_read_or_says_what_is_missing(ssh_key):
    path = ssh_key(PASSPHRASE.decode())
    if importlib.util.find_spec("bcrypt"):
        public = load_public_key(path.with_suffix(".pub"))
        assert load_private_key(path, ask).public == public
        return
    hint = "for an OpenSSH key with passphrase: pip install bcrypt"
    with refuses(KeyFileError, "KEY-5", where=str(path), hint=hint):
        load_private_key(path, ask)


@pytest.mark.spec("KEY-6")
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_attack_105_ssh_keys_of_other_algorithms_are_refused(ssh_key, kind):
    path = ssh_key("", kind)
    with refuses(KeyFileError, "KEY-6", where=str(path)):
        load_private_key(path, never_asked)
    public = path.with_suffix(".pub")
    with refuses(KeyFileError, "KEY-6", where=str(public)):
        load_public_key(public)


@pytest.mark.spec("KEY-6")
@pytest.mark.parametrize("kind", ["RSA", "EC", "Ed448", "ML-DSA-44"])
def test_attack_105_keys_of_other_algorithms_are_refused(write, kind):
    key = foreign_keys()[kind]
    path = write(key.private_bytes(*PEM_PRIVATE))
    with refuses(KeyFileError, "KEY-6", where=str(path)):
        load_private_key(path, never_asked)
    pem = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    with refuses(KeyFileError, "KEY-6", where=str(path)):
        load_public_key(write(pem))


def test_old_armour_of_openssl_is_refused(write):
    old = (s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, s.NoEncryption())
    path = write(foreign_keys()["EC"].private_bytes(*old))
    with refuses(KeyFileError, "KEY-6", where=str(path)):
        load_private_key(path, never_asked)


@pytest.mark.parametrize("wrong", [b"correct horsf", b"", b"\xff\0"])
def test_wrong_passphrase_is_refused(tmp_path, wrong):
    secret, _ = write_key_pair(ED25519, tmp_path, "k", PASSPHRASE)
    hint = "wrong passphrase, or a damaged file"
    with refuses(KeyFileError, "KEY-5", where=str(secret), hint=hint) as caught:
        load_private_key(secret, lambda: wrong)
    assert caught.value.message == f"cannot decode: {caught.value.__cause__}"


def test_encrypted_key_without_anybody_to_ask_is_refused(tmp_path):
    secret, _ = write_key_pair(ED25519, tmp_path, "k", PASSPHRASE)
    with refuses(
        KeyFileError,
        "KEY-5",
        message="encrypted, and there is nobody to ask for the passphrase",
        where=str(secret),
        hint="run on a terminal, or pass the passphrase in the way that the help describes",
    ):
        load_private_key(secret, None)


def test_passphrase_is_asked_for_once(tmp_path):
    secret, _ = write_key_pair(ED25519, tmp_path, "k", PASSPHRASE)
    asked = []
    load_private_key(secret, lambda: asked.append(1) or PASSPHRASE)
    assert asked == [1]


@pytest.mark.spec("KEY-5")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o610, 0o602, 0o644, 0o777])
def test_private_key_that_others_may_touch_is_refused(write, mode):
    path = write(ED25519.handle.private_bytes(*PEM_PRIVATE), mode)
    with refuses(
        KeyFileError,
        "KEY-5",
        message=f"private key is open to others (mode {mode:04o})",
        where=str(path),
        hint=f"chmod 600 {path}",
    ):
        load_private_key(path, None)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_private_key_that_only_its_owner_may_touch_is_read(write, mode):
    path = write(ED25519.handle.private_bytes(*PEM_PRIVATE), mode)
    assert load_private_key(path, None).public == ED25519.public


@pytest.mark.spec("KEY-5")
@algorithms
def test_public_key_where_a_private_one_is_asked_for_is_refused(tmp_path, algorithm):
    _, public = write_key_pair(KEYS[algorithm], tmp_path, "k", None)
    with refuses(
        KeyFileError,
        "KEY-5",
        message="a public key where a private one is asked for",
        where=str(public),
        hint="pass the .key file",
    ):
        load_private_key(public, None)


def test_ssh_public_key_where_a_private_one_is_asked_for_is_refused(write):
    line = (s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
    path = write(ED25519.handle.public_key().public_bytes(*line))
    with refuses(KeyFileError, "KEY-5", where=str(path), hint="pass the .key file"):
        load_private_key(path, None)


def private_texts():
    pem = ED25519.handle.private_bytes(*PEM_PRIVATE)
    ssh = ED25519.handle.private_bytes(*OPENSSH_PRIVATE)
    return {
        "empty": b"",
        "two keys": pem + pem,
        "a key and an OpenSSH key": pem + ssh,
        "text before": b"# mine\n" + pem,
        "text after": pem + b"# mine\n",
        "no end": pem[:-10],
        "no lines": b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        "another end": pem.replace(b"END PRIVATE", b"END PUBLIC"),
        "space in base64": pem.replace(b"\nM", b"\n M", 1),
        "DER": ED25519.handle.private_bytes(s.Encoding.DER, *PEM_PRIVATE[1:]),
        "certificate": pem.replace(b"PRIVATE KEY", b"CERTIFICATE"),
    }


@pytest.mark.spec("KEY-6")
@pytest.mark.parametrize("case", private_texts())
def test_file_without_exactly_one_private_key_is_refused(write, case):
    path = write(private_texts()[case])
    with refuses(
        KeyFileError,
        "KEY-6",
        message="not exactly one Ed25519 or ML-DSA-65 private key",
        where=str(path),
        hint="pass a PEM file (PKCS#8) or an OpenSSH Ed25519 key; seedpack keygen makes one",
    ):
        load_private_key(path, None)


@algorithms
@pytest.mark.parametrize("cut", [1, 16, 40])
def test_truncated_private_key_is_refused(write, algorithm, cut):
    der = KEYS[algorithm].handle.private_bytes(s.Encoding.DER, *PEM_PRIVATE[1:])
    path = write(encode_pem("PRIVATE KEY", der[:-cut]))
    with refuses(KeyFileError, "KEY-5", where=str(path)):
        load_private_key(path, None)


@pytest.mark.spec("KEY-6")
@pytest.mark.parametrize("load", [load_public_key, lambda path: load_private_key(path, None)])
def test_key_file_has_at_most_64_kib(write, load):
    assert MAX_KEY_FILE_NBYTES == 65_536
    path = write(b"A" * MAX_KEY_FILE_NBYTES)
    with refuses(KeyFileError, "KEY-6"):  # read, and not a key
        load(path)
    path = write(b"A" * (MAX_KEY_FILE_NBYTES + 1))
    with refuses(StoreError, "KEY-6"):  # not read
        load(path)


@pytest.mark.parametrize("load", [load_public_key, lambda path: load_private_key(path, None)])
def test_key_file_that_is_absent_is_refused(tmp_path, load):
    with refuses(StoreError, "FIL-1"):
        load(tmp_path / "absent")


PRIVATE_SAMPLES = [
    ED25519.handle.private_bytes(*PEM_PRIVATE),
    ED25519.handle.private_bytes(*OPENSSH_PRIVATE),
    KEYS[Algorithm.ML_DSA_65].handle.private_bytes(*PEM_PRIVATE),
]


@given(
    st.sampled_from(PRIVATE_SAMPLES),
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), min_size=1, max_size=3),
)
def test_any_damage_gives_a_key_or_a_refusal(tmp_path_factory, sample, damage):
    text = bytearray(sample)
    for position, change in damage:
        text[position % len(text)] ^= change
    path = tmp_path_factory.mktemp("keys") / "k"
    path.write_bytes(text)
    path.chmod(0o600)
    try:
        load_private_key(path, ask)
    except SeedError as error:
        assert error.rule.startswith("KEY-")  # noqa: PT017 -- an undamaged meaning is fine, too
