"""Every bound that a reader enforces before it allocates (spec: section Limits).

Sizes are in bytes unless the name says otherwise. A limit is part of format
version 1: raising one needs a new version, because old readers would refuse.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

PAGE_NBYTES: Final = 4 * KIB  # SIG-4: a signature record never crosses a page
PREAMBLE_NBYTES: Final = 64  # PRE-1
MAX_SIGNATURES: Final = 16  # SIG-2
MAX_SIGNATURES_NBYTES: Final = 16 * PAGE_NBYTES - PREAMBLE_NBYTES  # SIG-1
RESERVE_THRESHOLD_NBYTES: Final = 64 * MIB  # SIG-1: payloads above reserve the full area
MAX_MANIFEST_NBYTES: Final = 16 * MIB  # PRE-6
MAX_CHUNKS: Final = 1 << 19  # MAN-9
MAX_PRESENCE_NBYTES: Final = MAX_CHUNKS // 8  # PRE-7
MAX_PAYLOAD_NBYTES: Final = 1 << 42  # PRE-8: 4 TiB

MAX_CHUNK_RAW_NBYTES: Final = 4 * MIB  # CHK-1: what one chunk may decode to
MAX_CHUNK_STORED_NBYTES: Final = MAX_CHUNK_RAW_NBYTES + 64 * KIB  # CHK-1
DEFAULT_CHUNK_RAW_NBYTES: Final = 1 * MIB

MAX_LAYERS: Final = 1 << 16  # MAN-9
MAX_ATTACHMENTS: Final = 256  # MAN-9
MAX_CLAIMS: Final = 256  # MAN-9
MAX_DIMS: Final = 8  # LAY-3
MAX_LAYER_NBYTES: Final = 1 << 40  # LAY-4: decoded, 1 TiB
MAX_DECODED_NBYTES: Final = 1 << 42  # MAN-10: all layers and attachments, 4 TiB
MAX_ATTACHMENT_NBYTES: Final = 256 * MIB  # ATT-3
MAX_PARAMS: Final = 32  # LAY-6
MAX_BINARY_NBYTES: Final = 4 * KIB  # LAY-6: of a param
MAX_NAME_NBYTES: Final = 255  # LAY-1
MAX_TEXT_NBYTES: Final = 4 * KIB  # MAN-6: any free text
MAX_CONFIG_NBYTES: Final = 1 * MIB  # ARC-2
MAX_NESTING: Final = 8  # MAN-3
MAX_INTEGER: Final = (1 << 63) - 1  # MAN-5
MAX_VERSION: Final = (1 << 53) - 1  # MAN-8: exact in every language's numbers
MAX_TIME: Final = 253_402_300_799  # MAN-7: 9999-12-31T23:59:59Z, seconds

MAX_SHARDS: Final = 256  # PAR-2: GF(2^8)
MAX_ZSTD_WINDOW_NBYTES: Final = 8 * MIB  # ZST-3

MAX_KEY_FILE_NBYTES: Final = 64 * KIB  # KEY-6
MAX_TRUST_STORE_NBYTES: Final = 4 * MIB  # TRU-1
MAX_STATEMENT_NBYTES: Final = 1 * MIB  # STA-1
MAX_REPORT_NBYTES: Final = 16 * MIB  # RPT-1: an audit report as JSON
MAX_ENVELOPE_NBYTES: Final = 24 * MIB  # RPT-2: the same in base64, with 16 signatures
CLOCK_TOLERANCE_S: Final = 300  # TRU-7, TRU-12, STA-5: seconds two clocks may differ
