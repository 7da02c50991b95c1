"""DSSE: an envelope around bytes, and what its signatures are over (spec: RPT-2 to RPT-4).

PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body

Source:
    Dead Simple Signing Envelope, protocol 1.0.0 and envelope 0.1.0 (secure-systems-lab/dsse).
"""

from __future__ import annotations

import base64
import binascii
from typing import Final, NamedTuple

import msgspec

from seedpack.errors import FormatError
from seedpack.limits import MAX_ENVELOPE_NBYTES, MAX_REPORT_NBYTES, MAX_SIGNATURES
from seedpack.report.strictjson import decode_strictly

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


class EnvelopeSignature(NamedTuple):
    """A signature, and which key it says that it is by."""

    key_id: bytes  # a hint, never a proof; empty where it is no key id of seedpack
    signature: bytes


class Envelope(NamedTuple):
    """An envelope of the right form. NOTHING in it is authenticated."""

    payload: bytes
    signatures: tuple[EnvelopeSignature, ...]


class _SignatureRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sig: str
    keyid: str = ""


class _EnvelopeRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payload: str
    payloadType: str  # noqa: N815 -- the name that DSSE gives it
    signatures: list[_SignatureRecord]


def pre_authentication_encoding(payload_type: bytes, payload: bytes) -> bytes:
    """Return the bytes that a DSSE signature is over."""
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type, len(payload), payload)


def signed_bytes(payload: bytes) -> bytes:
    """Return the bytes that a signature of an in-toto statement is over."""
    return pre_authentication_encoding(PAYLOAD_TYPE.encode(), payload)


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the JSON of ``envelope``, on one line."""
    signatures = [
        _SignatureRecord(sig=base64.b64encode(s.signature).decode(), keyid=s.key_id.hex())
        for s in envelope.signatures
    ]
    payload = base64.b64encode(envelope.payload).decode()
    return msgspec.json.encode(_EnvelopeRecord(payload, PAYLOAD_TYPE, signatures)) + b"\n"


def parse_envelope(text: bytes, *, where: str) -> Envelope:
    """Split an envelope into payload and signatures; the payload stays bytes.

    Raises:
        FormatError: RPT-2, too large; RPT-3, no such envelope; RPT-4, of another type.
    """
    if len(text) > MAX_ENVELOPE_NBYTES:
        raise _refused(f"{len(text)} bytes, at most {MAX_ENVELOPE_NBYTES} are allowed", where)
    # other tools may sign as well, and leave out a key id
    record = decode_strictly(text, _EnvelopeRecord, rule="RPT-3", where=where, whole=False)
    if record.payloadType != PAYLOAD_TYPE:
        raise FormatError(f"payload of another type than {PAYLOAD_TYPE}", rule="RPT-4", where=where)
    if not 1 <= len(record.signatures) <= MAX_SIGNATURES:
        raise FormatError(
            f"{len(record.signatures)} signatures, 1 to {MAX_SIGNATURES} are allowed",
            rule="RPT-3",
            where=where,
        )
    payload = _decode_base64(record.payload, where)
    if len(payload) > MAX_REPORT_NBYTES:
        raise _refused(f"a payload of {len(payload)} bytes", where)
    return Envelope(
        payload,
        tuple(
            EnvelopeSignature(_key_id(record.keyid), _decode_base64(record.sig, where))
            for record in record.signatures
        ),
    )


def _key_id(text: str) -> bytes:
    """Return a key id; of what other tools write there, nothing."""
    try:
        return binascii.unhexlify(text)
    except ValueError:  # of characters outside ASCII, too
        return b""


def _decode_base64(text: str, where: str) -> bytes:
    try:
        # DSSE allows both alphabets and asks readers for both
        return binascii.a2b_base64(text.encode("ascii").translate(_URL_SAFE), strict_mode=True)
    except ValueError as error:
        raise FormatError("not base64", rule="RPT-3", where=where) from error


def _refused(message: str, where: str) -> FormatError:
    return FormatError(message, rule="RPT-2", where=where)
