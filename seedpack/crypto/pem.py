"""Text armour of key files (RFC 7468)."""

from __future__ import annotations

import base64
import textwrap
from typing import Final

_WIDTH: Final = 64  # RFC 7468, section 2


def encode_pem(label: str, der: bytes) -> bytes:
    """Return ``der`` between the lines that name it ``label``."""
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), _WIDTH)
    text = [f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]
    return "\n".join(text).encode("ascii")
