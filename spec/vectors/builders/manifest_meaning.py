"""Vectors of section 6: what the manifest's values mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .manifest_edits import (
    CLAIM,
    DRAFT,
    MANIFEST,
    MAX_TIME,
    all_refused,
    with_fields,
    with_layer,
)
from .writer import CREATED, SHA2, Draft, Map, attachment, layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _meaning()
    yield from _counts()
    yield from _digests()
    yield from _claims()


def _accepted() -> Iterator[Vector]:
    sha2 = Draft([layer(algorithm=SHA2)], fields={"digest_algorithm": SHA2})
    recipe = {f"step.{i:02}": i << i for i in range(56)} | {f"t{i}": f"text {i}" for i in range(8)}
    cases: dict[str, tuple[Draft, str, tuple[str, ...]]] = {
        "sha2": (sha2, "all digests are SHA-256", ("MAN-13",)),
        "no-layers": (Draft([]), "a seed without layers", ()),
        "recipe-64": (Draft(fields={"recipe": recipe}), "the longest recipe", ("MAN-9", "MAN-2")),
        "claims": (Draft(fields={"claims": [CLAIM, CLAIM]}), "two claims", ("MAN-15",)),
        "base": (
            Draft(fields={"base": {"digest": b"\7" * 32, "name": "acme/base, 2024"}}),
            "a delta seed names its base",
            ("MAN-12",),
        ),
        "version-highest": (
            Draft(fields={"version": 2**53 - 1}),
            "the highest version",
            ("MAN-8",),
        ),
        "version-0": (Draft(fields={"version": 0}), "the lowest version", ("MAN-8",)),
        "expires-latest": (Draft(fields={"expires": MAX_TIME}), "the latest expiry", ("MAN-7",)),
        "name-255": (
            Draft(fields={"name": "acme/" + "n" * 250}),
            "a seed name of 255 bytes",
            ("MAN-11",),
        ),
        "name-4-components": (Draft(fields={"name": "acme/b/c/0-._"}), "4 components", ("MAN-11",)),
        "text-4096": (
            Draft(fields={"producer": "é" * 2048}),
            "a text of 4,096 bytes, not ASCII",
            ("MAN-6",),
        ),
        "text-of-many-scripts": (
            Draft(fields={"producer": "Zoë 東京 ﷼ 𝄞 नमस्ते 🌱"}),
            "text of many scripts, one character outside the first plane",
            ("MAN-6",),
        ),
        "text-empty": (Draft(fields={"producer": ""}), "an empty text", ("MAN-6",)),
    }
    for name, (draft, about, shows) in cases.items():
        yield accepted(f"manifest/{name}", draft.build(), about, shows=shows)


def _meaning() -> Iterator[Vector]:
    times: dict[str, tuple[Map, str]] = {
        "created-too-late": ({"created": MAX_TIME + 1}, "created in the year 10,000"),
        "expires-too-late": ({"expires": MAX_TIME + 1}, "expires in the year 10,000"),
        "expires-at-created": ({"expires": CREATED}, "expires when it is created"),
        "expires-before-created": ({"expires": CREATED - 1}, "expires before it is created"),
        "expires-0": ({"expires": 0}, "expires in 1970"),
    }
    for name, (fields, about) in times.items():
        yield refused(f"manifest/{name}", with_fields(**fields), "MAN-7", about)
    for field, number in (("version", 2**53), ("version", 2**63 - 1), ("schema", 0), ("schema", 2)):
        data = with_fields(**{field: number})
        attack = (112,) if field == "version" else (5,)
        yield refused(
            f"manifest/{field}-{number}", data, "MAN-8", f"{field} {number}", attack=attack
        )
    names = {
        "empty": "", "upper-case": "Acme/tiny", "slash-first": "/acme", "slash-last": "acme/",
        "two-slashes": "acme//tiny", "dot-first": ".acme", "dot-dot": "acme/../tiny",
        "hyphen-first": "acme/-tiny", "5-components": "a/b/c/d/e", "space": "acme/tiny seed",
        "backslash": "acme\\tiny", "colon": "acme:tiny", "not-ascii": "acme/tïny",
        "percent": "acme/%2e%2e", "star": "acme/*", "256-bytes": "acme/" + "n" * 251,
        "full-width-digit": "acme/t\uff11", "cyrillic": "acme/\u0430",
    }  # fmt: skip
    for name, value in names.items():
        data = with_fields(name=value)
        about = f"a seed named {value!r}" if len(value) < 30 else "a seed name of 256 bytes"
        yield refused(f"manifest/name-{name}", data, "MAN-11", about, attack=(34, 117))
    for name in ("sha1", "md5", "none", "", "SHA2-256", "blake3", "sha2-256 ", "blake2b-256"):
        data = with_fields(digest_algorithm=name)
        about = f"the digest algorithm {name!r}"
        yield refused(
            f"manifest/digest-algorithm-{name.strip() or 'empty'}{'-space' * name.endswith(' ')}",
            data, "MAN-13", about, attack=(60,),
        )  # fmt: skip


def _counts() -> Iterator[Vector]:
    empty = [attachment(f"a{i}.txt", b"") for i in range(257)]
    cases = {
        "attachments-257": (Draft(attachments=empty).build(), "257 attachments", (42,)),
        "claims-257": (with_fields(claims=[CLAIM] * 257), "257 claims", (42,)),
        "recipe-65": (with_fields(recipe={f"{i:02}": i for i in range(65)}), "65 entries", (42,)),
    }
    yield from all_refused("count", "MAN-9", cases)
    for name, value in {"7": 7, "9": 9, "0": 0, "2-42": 2**42, "2-63-minus-1": 2**63 - 1}.items():
        data = with_fields(decoded_nbytes=value)
        about = f"8 bytes are declared as {name.replace('-', ' ')}"
        yield refused(f"manifest/decoded-{name}", data, "MAN-10", about, attack=(53, 66))
    large = [
        layer(f"w{i}", stored=[bytes([i])], params={"chunk_values": 1}, shape=[2**40])
        for i in range(5)
    ]
    about = "5 TiB, truly declared, are above the limit"
    data = Draft(large).build()
    yield refused("manifest/decoded-5-tib", data, "MAN-10", about, attack=(66,))
    payload = DRAFT.payload()
    with_text = Draft(attachments=[attachment()])
    sums = {
        "payload-short": (_with_payload(DRAFT, payload[:-1]), "one byte less than declared", (52,)),
        "payload-long": (_with_payload(DRAFT, payload + b"\0"), "a byte nobody owns", (16, 52)),
        "payload-empty": (_with_payload(DRAFT, b""), "a partial seed claims to be whole", (131,)),
        "payload-without-attachment": (
            _with_payload(with_text, payload),
            "the attachment's chunk is missing without a bitmap",
            (57, 131),
        ),
        "payload-layer-added": (
            _with_payload(DRAFT, payload + payload),
            "the payload of one more layer",
            (58,),
        ),
    }
    yield from all_refused("sum", "MAN-14", sums)


def _with_payload(draft: Draft, payload: bytes) -> bytes:
    whole = draft.build(payload_nbytes=len(payload))
    return whole[: len(whole) - len(draft.payload())] + payload


def _digests() -> Iterator[Vector]:
    chunk = MANIFEST["layers"][0]["chunks"][0]
    for nbytes in (0, 16, 31, 33, 64):
        data = with_layer(digest=bytes(nbytes))
        about = f"a layer's digest of {nbytes} bytes"
        yield refused(f"manifest/digest-{nbytes}", data, "MAN-12", about, attack=(61,))
    short = attachment().change(digest=bytes(16))
    hexadecimal = chunk[1].hex().encode()
    cases = {
        "chunk-16": (with_layer(chunks=[[8, chunk[1][:16]]]), "half a chunk's digest", (61,)),
        "chunk-hex": (with_layer(chunks=[[8, hexadecimal]]), "64 hexadecimal digits", (62,)),
        "attachment-16": (Draft(attachments=[short]).build(), "half an attachment's", (61,)),
        "base-20": (with_fields(base={"digest": bytes(20), "name": "b"}), "SHA-1 of a base", (61,)),
    }
    yield from all_refused("digest", "MAN-12", cases)


def _claims() -> Iterator[Vector]:
    figures = {
        "exponent": "1e5", "plus": "+1", "empty": "", "no-fraction": "1.", "no-integer": ".5",
        "nan": "nan", "infinity": "inf", "hexadecimal": "0x1", "10-digits": "1234567890",
        "10-decimals": "0.0000000001", "space": " 1", "comma": "0,5", "two-signs": "--1",
        "underscore": "1_0", "full-width": "\uff11", "arabic": "\u0661", "percent": "92%",
    }  # fmt: skip
    for name, figure in figures.items():
        data = with_fields(claims=[CLAIM | {"value": figure}])
        about = f"a claim of {figure!r}"
        yield refused(f"manifest/figure-{name}", data, "MAN-15", about, attack=(32,))
    for field in ("chance", "control_value", "interval_high", "interval_low", "original"):
        data = with_fields(claims=[CLAIM | {field: "high"}])
        about = f"{field} is no figure"
        yield refused(f"manifest/figure-{field}", data, "MAN-15", about)
