"""What OpenSSL refuses in its own words is refused in ours (spec: KEY-5)."""

import pytest

from seedpack.crypto.keyfiles import load_private_key
from seedpack.errors import KeyFileError
from tests.crypto.refusals import refuses

ED448_OF_32_BYTES = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VxBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB
-----END PRIVATE KEY-----
"""


@pytest.mark.spec("KEY-5")
def test_a_key_that_openssl_fails_to_make_is_refused(tmp_path):
    path = tmp_path / "a.key"
    path.touch(mode=0o600)
    path.write_bytes(ED448_OF_32_BYTES)
    hint = "seedpack reads Ed25519 and ML-DSA-65 keys"
    with refuses(KeyFileError, "KEY-5", where=str(path), hint=hint) as caught:
        load_private_key(path, None)
    assert caught.value.message == "cannot decode: OpenSSL refuses the key"
