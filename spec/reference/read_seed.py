"""Independent reader of `.seed` files, version 1: written from the specification alone.

It shares no code with seedpack, so that a mistake has to be made twice to go unnoticed. It is
slow, holds the whole file in memory, repairs nothing, records nothing (TRU-13) and believes the
trust store, which is the reader's own (TRU-1). Steps are those of section 12 of `seed-format.md`;
the codecs of step 7 stand in `seed_codecs.py` and `seed_delta.py`.

    python read_seed.py FILE --trust STORE.json [--now T] [--decode] [--partial] [--base FILE]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import re
import struct
import sys
import time
import unicodedata
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

if TYPE_CHECKING:
    from spec.reference.all_codecs import CODECS
    from spec.reference.seed_codecs import DTYPES, MIB, Map, RefusedError, fits, plane, require
    from spec.reference.seed_delta import Base, check_base, load_base
else:  # found however this file is loaded: as a program, a module, or by its path
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from all_codecs import CODECS
    from seed_codecs import DTYPES, MIB, Map, RefusedError, fits, plane, require
    from seed_delta import check_base, load_base

MAX_TIME = 253_402_300_799  # 9999-12-31T23:59:59Z

# Error code of a rule or of its family; SP100 where none is named.
CODES = {"KEY": "SP202", "KEY-3": "SP600", "KEY-4": "SP600", "COD": "SP400", "ZST": "SP400"}
CODES |= {"CHK-2": "SP300", "CHK-3": "SP400", "PRT-3": "SP300", "LAY-8": "SP300", "ATT-6": "SP300"}
CODES |= {"TRU-2": "SP201", "TRU-3": "SP204", "TRU-4": "SP205", "TRU-5": "SP206", "TRU-6": "SP203"}
CODES |= {"TRU-7": "SP206", "TRU-9": "SP207", "TRU-10": "SP207", "TRU": "SP208"}


# Kinds of values as `fits` takes them.
CHUNKS = [[int, bytes]]
FIGURES = ("chance", "control_value", "interval_high", "interval_low", "original", "value")
ARCHITECTURE = dict.fromkeys(["class", "config", "framework", "model_type"], str)
ATTACHMENT = dict.fromkeys(["chunk_nbytes", "nbytes"], int) | {"kind": str, "name": str}
CLAIM = dict.fromkeys([*FIGURES, "control", "dataset", "metric"], str)
LAYER = {**dict.fromkeys(["codec", "dtype", "name"], str), "digest": bytes, "chunks": CHUNKS}
PARITY = {"chunks": CHUNKS, "percent": int, "scheme": str, "stripe_nchunks": int}
MANIFEST = {
    **dict.fromkeys(["created", "decoded_nbytes", "schema", "version"], int),
    **dict.fromkeys(["digest_algorithm", "name", "producer"], str),
    "architecture": (None, ARCHITECTURE),
    "attachments": [ATTACHMENT | {"chunks": CHUNKS, "digest": bytes}],
    "base": (None, {"digest": bytes, "name": str}),
    "claims": [CLAIM | {"evaluated": int, "seeds": int}],
    "expires": (None, int),
    "layers": [LAYER | {"finite": bool, "params": {...: (int, str, bytes)}, "shape": [int]}],
    "parity": (None, PARITY),
    "recipe": {...: (int, str)},
}


def split_file(data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Steps 0 to 2: cut into what ends with the signatures, manifest, presence and payload."""
    require(len(data) >= 64, "PRE-1")
    magic, version, flags, s, m, p, payload, seed_id = struct.unpack_from("<8sHHIIIQ32s", data)
    require(magic == b"\x89SEED\r\n\x1a", "PRE-2")
    require(version == 1, "PRE-3")
    require(flags == 0, "PRE-4")
    require(s % 64 == 0 and s <= 65_472, "PRE-5")
    require(1 <= m <= 16 * MIB, "PRE-6")
    require(p <= 65_536, "PRE-7")
    require(payload <= 1 << 42, "PRE-8")
    require(64 + s + m + p + payload == len(data), "PRE-9")
    rest = data[64 + s :]
    require(hashlib.sha256(rest[:m]).digest() == seed_id, "PRE-10")
    return data[: 64 + s], rest[:m], rest[m : m + p], rest[m + p :]


Record = tuple[int, int, bytes, bytes]  # algorithm, expires, key id, signature
ALGORITHMS = {"ed25519": 1, "ml-dsa-65": 2}
RECORD_NBYTES = {1: 128, 2: 3456}
SIGNATURE_NBYTES = {1: 64, 2: 3309}


def split_area(front: bytes) -> list[Record]:
    """Step 2: cut the signature area, where `front` ends, into records."""
    records: list[Record] = []
    place = 64
    while any(front[place:]):
        page = -(-place // 4096) * 4096
        if not any(front[place : place + 2]):  # none here: this record may need the next page
            nbytes = RECORD_NBYTES.get(int.from_bytes(front[page : page + 2], "little"), 0)
            require(nbytes and not any(front[place:page]), "SIG-5")
            require(place + nbytes > page, "SIG-4")
            place = page
        algorithm, flags, crc, expires = struct.unpack("<HHIQ", front[place:][:16].ljust(16, b"\0"))
        require(algorithm in RECORD_NBYTES and flags == 0, "SIG-3")
        nbytes, used = RECORD_NBYTES[algorithm], 48 + SIGNATURE_NBYTES[algorithm]
        require(place // 4096 == (place + nbytes - 1) // 4096, "SIG-4")
        require(place + nbytes <= len(front), "SIG-1")
        record, place = front[place : place + nbytes], place + nbytes
        require(zlib.crc32(record[:4] + bytes(4) + record[8:]) == crc, "SIG-6")
        require(not any(record[used:]), "SIG-5")
        require(expires <= MAX_TIME, "SIG-8")
        records.append((algorithm, expires, record[16:48], record[48:used]))
    require(len(front) in {place, 65_536}, "SIG-1")
    require(len(records) <= 16, "SIG-2")
    require(len({key_id for _, _, key_id, _ in records}) == len(records), "SIG-7")
    return records


def known_keys(store: Map) -> dict[bytes, Map]:
    """Return the keys of the trust store by key id, each with its `raw` bytes and `owner`."""
    p = 2**255 - 19
    y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7  # of order 8
    keys: dict[bytes, Map] = {}
    for owner in store["principals"]:
        for key in owner["keys"]:
            raw = base64.b64decode(key["public"])
            algorithm = ALGORITHMS[key["algorithm"]]
            sign, y = divmod(int.from_bytes(raw, "little"), 1 << 255)  # sign of x
            if algorithm == 1:
                require(y < p and not (sign and y in {1, p - 1}), "KEY-3")
                require(y not in {0, 1, p - 1, y8, p - y8}, "KEY-4")
            require(any(raw[32:]) or algorithm == 1, "KEY-4")
            tagged = b"seedpack-key-v1\0" + struct.pack("<H", algorithm) + raw
            keys[hashlib.sha256(tagged).digest()] = {**key, "raw": raw, "owner": owner["name"]}
    return keys


def verify(key: Map, record: Record, manifest: bytes, now: int) -> str:
    """Step 3: refuse a false signature; return the rule by which a true one does not count."""
    algorithm, expires, key_id, signature = record
    require(algorithm == ALGORITHMS[key["algorithm"]], "KEY-2")
    message = b"seedpack-signature-v1\0" + struct.pack("<HHQ", 1, algorithm, expires) + key_id
    message += struct.pack("<Q", len(manifest)) + manifest
    scheme = Ed25519PublicKey if algorithm == 1 else MLDSA65PublicKey
    try:
        scheme.from_public_bytes(key["raw"]).verify(signature, message)
    except (InvalidSignature, ValueError) as e:
        raise RefusedError("KEY-1") from e
    not_after = math.inf if key["not_after"] is None else key["not_after"]
    if key["revoked"] or not key["not_before"] <= now < not_after:
        return "TRU-3" if key["revoked"] else "TRU-4"
    return "TRU-5" if expires and now >= expires else ""


def count_principals(store: Map, records: list[Record], manifest: bytes, now: int) -> list[Map]:
    """Step 3: verify all signatures by known keys and return the principals that count."""
    keys = known_keys(store)
    known = [record for record in records if record[2] in keys]
    require(known, "TRU-2")
    reasons = [verify(keys[record[2]], record, manifest, now) for record in known]
    usable = [keys[record[2]] for record, why in zip(known, reasons, strict=True) if not why]
    signed = {(key["owner"], key["algorithm"]) for key in usable}
    everyone = store["principals"]
    counted = [one for one in everyone if {(one["name"], a) for a in one["require"]} <= signed]
    require(len(counted) >= store["threshold"], next(filter(None, reasons), "TRU-6"))
    return counted


TAGS = {  # kind, and the value or size that a tag holds, or in how many bytes it follows
    **{0x00 + n: ("int", n, 0) for n in range(128)},
    **{0x80 + n: ("map", n, 0) for n in range(16)},
    **{0x90 + n: ("array", n, 0) for n in range(16)},
    **{0xA0 + n: ("str", n, 0) for n in range(32)},
    **{0xC4 + i: ("bin", 0, 1 << i) for i in range(3)},
    **{0xCC + i: ("int", 0, 1 << i) for i in range(4)},
    **{0xD9 + i: ("str", 0, 1 << i) for i in range(3)},
    **{0xDC + i: ("array" if i < 2 else "map", 0, 2 << i % 2) for i in range(4)},
}


def unpack(data: bytes, at: int, depth: int, texts: list[str]) -> tuple[Any, int]:
    """Decode the value at `at`, inside `depth` containers; return it and where it ends."""
    require(at < len(data), "MAN-1")
    tag, at = data[at], at + 1
    if tag in {0xC0, 0xC2, 0xC3}:
        return (None if tag == 0xC0 else tag == 0xC3), at
    require(tag < 0xE0 and not 0xD0 <= tag < 0xD4, "MAN-5")  # signed forms
    require(tag in TAGS, "MAN-1" if tag == 0xC1 else "MAN-4")  # others: floats, extensions
    kind, n, nbytes = TAGS[tag]
    require(at + nbytes <= len(data), "MAN-1")
    n, at = int.from_bytes(data[at : at + nbytes], "big") if nbytes else n, at + nbytes
    if kind == "int":
        require(n < 1 << 63, "MAN-5")
        return n, at
    require(n * (2 if kind == "map" else 1) <= len(data) - at, "MAN-3")
    if kind == "bin":
        return data[at : at + n], at + n
    if kind == "str":
        try:
            texts.append(data[at : at + n].decode())
        except UnicodeDecodeError as e:
            raise RefusedError("MAN-6") from e
        return texts[-1], at + n
    require(depth < 8, "MAN-3")
    keys: list[str] = []
    values: list[Any] = []
    for _ in range(n):
        if kind == "map":
            key, at = unpack(data, at, depth + 1, texts)
            require(type(key) is str and (not keys or keys[-1].encode() < key.encode()), "MAN-2")
            keys.append(key)
        value, at = unpack(data, at, depth + 1, texts)
        values.append(value)
    return (dict(zip(keys, values, strict=True)) if kind == "map" else values), at


def decode_manifest(data: bytes) -> Map:
    """Step 4: decode the one canonical encoding of a manifest; add all `chunks` by index."""
    texts: list[str] = []
    manifest, end = unpack(data, 0, 0, texts)
    require(end == len(data), "MAN-1")
    require(msgpack.packb(manifest) == data, "MAN-2")
    require(fits(manifest, MANIFEST), "MAN-1")
    config = manifest["architecture"] and manifest["architecture"]["config"]
    others = {text for text in texts if text is not config}  # keys come again and again
    for text in others:  # the config alone may hold line feeds and be long (ARC-2)
        require(len(text.encode()) <= 4096 and "\n" not in text, "MAN-6")
    for text in others | {config or ""}:
        categories = {unicodedata.category(character) for character in {*text} - {"\n"}}
        require(not categories & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}, "MAN-6")
        require(unicodedata.is_normalized("NFC", text), "MAN-6")
    parts = [*manifest["layers"], *manifest["attachments"], manifest["parity"] or {"chunks": []}]
    return {**manifest, "chunks": [chunk for part in parts for chunk in part["chunks"]]}


COMPONENT = (
    r"(?!(?i:CON|PRN|AUX|NUL|(COM|LPT)[0-9])([./]|\Z))[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?"
)
PATTERNS = {
    "MAN-11": r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*){0,3}",
    "MAN-13": r"blake3-256|sha2-256",
    "MAN-15": r"-?[0-9]{1,9}(\.[0-9]{1,9})?",
    "LAY-1": r"(?!__metadata__\Z)[A-Za-z0-9_][A-Za-z0-9_.:-]*",
    "ATT-1": rf"{COMPONENT}(/{COMPONENT}){{0,3}}",
    "ATT-4": r"(.*/)?([^./]*|[^/]*\.(json|txt|md|model|jinja|tiktoken|yaml))",
    "ATT-5": r"card|config|licence|tokenizer|other",
    "ARC-1": r"[A-Za-z0-9_.-]+",
    "PAR-1": r"rs-vandermonde-gf256",
}


def check_name(text: str, rule: str) -> None:
    """Refuse a text of more than 255 bytes or not of the rule's pattern."""
    require(len(text) <= 255 and re.fullmatch(PATTERNS[rule], text), rule)


def check_manifest(manifest: Map) -> None:
    """Step 4: apply MAN-7 to MAN-15, and the rules of what the manifest lists."""
    layers, attachments, base = manifest["layers"], manifest["attachments"], manifest["base"]
    created, expires = manifest["created"], manifest["expires"]
    require(created <= MAX_TIME and (expires is None or created < expires <= MAX_TIME), "MAN-7")
    require(manifest["version"] < 1 << 53 and manifest["schema"] == 1, "MAN-8")
    require(len(layers) <= 1 << 16 and len(attachments) <= 256, "MAN-9")
    require(len(manifest["claims"]) <= 256 and len(manifest["recipe"]) <= 64, "MAN-9")
    check_name(manifest["name"], "MAN-11")
    check_name(manifest["digest_algorithm"], "MAN-13")
    for figure in [claim[name] for claim in manifest["claims"] for name in FIGURES]:
        check_name(figure, "MAN-15")
    chunks = manifest["chunks"]
    digests = [part["digest"] for part in [*layers, *attachments, *([base] if base else [])]]
    require(all(len(digest) == 32 for digest in digests + [c[1] for c in chunks]), "MAN-12")
    require(len(chunks) <= 1 << 19, "MAN-9")
    require(all(1 <= nbytes <= 4 * MIB + 65_536 for nbytes, _ in chunks), "CHK-1")
    total = sum(map(check_layer, layers)) + sum(part["nbytes"] for part in attachments)
    require(len({layer["name"] for layer in layers}) == len(layers), "LAY-1")
    check_attachments(attachments)
    require(manifest["decoded_nbytes"] == total <= 1 << 42, "MAN-10")
    if manifest["architecture"]:
        check_architecture(manifest["architecture"])
    if manifest["parity"]:
        check_parity(manifest["parity"], [nbytes for nbytes, _ in chunks])


def check_layer(layer: Map) -> int:
    """Step 4: apply LAY-1 to LAY-7 to one layer record and return its tensor's size."""
    check_name(layer["name"], "LAY-1")
    require(layer["dtype"] in DTYPES, "LAY-2")
    require(len(layer["shape"]) <= 8, "LAY-3")
    itemsize, ones = DTYPES[layer["dtype"]]
    require(math.prod(filter(None, layer["shape"])) * itemsize <= 1 << 40, "LAY-4")
    require(layer["codec"] in CODECS, "LAY-5")
    sizes = [len(value) for value in layer["params"].values() if isinstance(value, bytes)]
    require(len(layer["params"]) <= 32 and all(size <= 4096 for size in sizes), "LAY-6")
    require(layer["finite"] or ones, "LAY-7")
    return math.prod(layer["shape"]) * itemsize


def check_attachments(attachments: list[Map]) -> None:
    """Step 4: apply ATT-1 to ATT-5."""
    for part in attachments:
        nbytes, step = part["nbytes"], part["chunk_nbytes"]
        check_name(part["name"], "ATT-1")
        check_name(part["name"], "ATT-4")
        check_name(part["kind"], "ATT-5")
        require(nbytes <= 256 * MIB and 1 <= step <= 4 * MIB, "ATT-3")
        require(len(part["chunks"]) == -(-nbytes // step), "ATT-3")
        starts = range(0, nbytes, step)
        stored = [size for size, _ in part["chunks"]]
        require(
            all(n <= min(step, nbytes - at) for n, at in zip(stored, starts, strict=True)), "ATT-3"
        )
    names = [part["name"].lower() for part in attachments]
    require(len({*names}) == len(names), "ATT-2")
    require(not any(a.startswith(b + "/") for a in names for b in names), "ATT-2")


def check_architecture(architecture: Map) -> None:
    """Step 4: apply ARC-1 to ARC-3."""

    def object_of(pairs: list[tuple[str, Any]]) -> Map:
        require(len(dict(pairs)) == len(pairs), "ARC-2")
        unsafe = {"auto_map", "custom_pipelines", "trust_remote_code"} & dict(pairs).keys()
        require(not unsafe, "ARC-3")
        return dict(pairs)

    require(architecture["framework"] == "transformers", "ARC-1")
    check_name(architecture["class"], "ARC-1")
    check_name(architecture["model_type"], "ARC-1")
    require(len(architecture["config"].encode()) <= MIB, "ARC-2")
    try:  # `int` refuses the words NaN, Infinity and -Infinity
        config = json.loads(architecture["config"], object_pairs_hook=object_of, parse_constant=int)
    except (ValueError, RecursionError) as e:
        raise RefusedError("ARC-2") from e
    require(isinstance(config, dict) and not is_deeper(config, 32), "ARC-2")


def is_deeper(value: Any, levels: int) -> bool:  # noqa: ANN401 -- any JSON value
    """Tell whether more than `levels` objects and arrays stand inside one another."""
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(child, levels - 1) for child in children)


def check_parity(parity: Map, stored: list[int]) -> None:
    """Step 4: apply PAR-1 to PAR-3; `stored` are the sizes of all chunks."""
    width, percent = parity["stripe_nchunks"], parity["percent"]
    check_name(parity["scheme"], "PAR-1")
    require(1 <= width <= 255 and 1 <= percent <= 1000, "PAR-2")
    require(width - (-width * percent // 100) <= 256, "PAR-2")
    data = stored[: len(stored) - len(parity["chunks"])]
    sizes: list[int] = []
    for bits in sorted({nbytes.bit_length() for nbytes in data}):
        members = [nbytes for nbytes in data if nbytes.bit_length() == bits]
        nstripes = -(-len(members) // width)
        for stripe in (members[number::nstripes] for number in range(nstripes)):
            sizes += [max(stripe)] * -(-len(stripe) * percent // 100)
    require(data and stored[len(data) :] == sizes, "PAR-3")


def find_present(manifest: Map, presence: bytes, payload_nbytes: int) -> list[bool]:
    """Step 4: tell for each chunk whether the file has it (PRT-1, PRT-2, MAN-14)."""
    chunks = manifest["chunks"]
    everything = (1 << len(chunks)) - 1
    require(len(presence) in {0, -(-len(chunks) // 8)}, "PRT-1")
    bits = int.from_bytes(presence, "little") if presence else everything
    require(not presence or bits < everything, "PRT-2")  # greater with an unused bit
    present = [bool(bits >> i & 1) for i in range(len(chunks))]
    total = sum(chunk[0] for chunk, here in zip(chunks, present, strict=True) if here)
    require(total == payload_nbytes, "MAN-14")
    return present


def check_policy(store: Map, counted: list[Map], manifest: Map, seed_id: str, now: int) -> None:
    """Step 5: apply TRU-7 to TRU-12; two clocks may differ by 300 s."""
    name, version, expires = manifest["name"], manifest["version"], manifest["expires"]
    require(now >= store["last_time"] - 300, "TRU-12")
    require(now >= manifest["created"] - 300 and (expires is None or now < expires), "TRU-7")
    globs = [[re.escape(g).replace(r"\*", ".*") for g in one["may_sign"]] for one in counted]
    allowed = [one for one in globs if any(re.fullmatch(glob, name) for glob in one)]
    require(len(allowed) >= store["threshold"], "TRU-8")
    seen = store["seen"].get(name, {"version": -1})
    require(version >= seen["version"], "TRU-9")
    require(version > seen["version"] or seed_id == seen["seed_id"], "TRU-10")
    codecs, budget = store["policy"]["codecs"], store["policy"]["max_decoded_nbytes"]
    require(codecs is None or {one["codec"] for one in manifest["layers"]} <= {*codecs}, "TRU-11")
    require(budget is None or manifest["decoded_nbytes"] <= budget, "TRU-11")


HASHES: Map = {"blake3-256": blake3, "sha2-256": hashlib.sha256}


def cut_payload(manifest: Map, present: list[bool], payload: bytes) -> list[Any]:
    """Step 6: return the stored bytes of each chunk, checked by their digests, or None."""
    stored: list[bytes | None] = []
    for here, (nbytes, digest) in zip(present, manifest["chunks"], strict=True):
        piece, payload = (payload[:nbytes], payload[nbytes:]) if here else (None, payload)
        hasher = HASHES[manifest["digest_algorithm"]]
        require(piece is None or hasher(piece).digest() == digest, "CHK-2")
        stored.append(piece)
    return stored


def check_contents(
    manifest: Map, stored: list[Any], *, decode: bool, base: Base | None = None
) -> list[str]:
    """Steps 7 and 8: decode what is complete; return the names of what is not."""
    missing, hasher = [], HASHES[manifest["digest_algorithm"]]
    owned = []
    for part in [*manifest["layers"], *manifest["attachments"]]:
        own, stored = stored[: len(part["chunks"])], stored[len(part["chunks"]) :]
        owned.append((part, own))
    if decode:
        check_base(manifest, [p for p, own in owned if "codec" in p and None not in own], base)
    for part, own in owned:
        if None in own:
            missing.append(part["name"])
        elif decode and "codec" in part:
            based = (base,) if part["codec"] == "delta" else ()
            elements = CODECS[part["codec"]](part, own, *based)
            itemsize, ones = DTYPES[part["dtype"]]
            for at in range(0, len(elements) if part["finite"] and ones else 0, itemsize):
                value = int.from_bytes(elements[at : at + itemsize], "little")
                require(value & ones != ones, "LAY-7", "SP400")
            dims = struct.pack(f"<B{len(part['shape'])}Q", len(part["shape"]), *part["shape"])
            described = b"seedpack-tensor-v1\0" + part["dtype"].encode() + b"\0" + dims + elements
            require(hasher(described).digest() == part["digest"], "LAY-8")
        elif decode:
            step = part["chunk_nbytes"]
            sizes = [min(step, part["nbytes"] - at) for at in range(0, part["nbytes"], step)]
            require(hasher(b"".join(map(plane, own, sizes))).digest() == part["digest"], "ATT-6")
    return missing


def read_seed(
    data: bytes,
    store: Map,
    now: int,
    *,
    decode: bool = False,
    partial: bool = False,
    base: Base | None = None,
) -> Map:  # fmt: skip
    """Return the verdict on a file: accepted with what it holds, or refused by a rule."""
    try:
        front, raw, presence, payload = split_file(data)  # steps 0 to 2
        counted = count_principals(store, split_area(front), raw, now)  # step 3
        manifest = decode_manifest(raw)  # step 4
        check_manifest(manifest)
        present = find_present(manifest, presence, len(payload))
        seed_id = hashlib.sha256(raw).hexdigest()
        check_policy(store, counted, manifest, seed_id, now)  # step 5
        stored = cut_payload(manifest, present, payload)  # step 6
        require(partial or all(present), "PRT-3")
        missing = check_contents(manifest, stored, decode=decode, base=base)  # steps 7 and 8
    except RefusedError as refusal:
        rule, *code = refusal.args
        code += [CODES[name] for name in (rule, rule.split("-")[0]) if name in CODES]
        return {"result": "refuse", "code": [*code, "SP100"][0], "rule": rule}
    whole = [layer for layer in manifest["layers"] if layer["name"] not in missing]
    layers = {layer["name"]: layer["digest"].hex() for layer in whole}
    return {"result": "accept", "seed_id": seed_id, "layers": layers, "missing": missing}


def main() -> None:
    """Read one file and print the verdict as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--trust", type=Path, required=True, help="trust store")
    parser.add_argument("--now", type=int, default=int(time.time()), help="time in seconds")
    parser.add_argument("--decode", action="store_true", help="check the decoded values, too")
    parser.add_argument("--partial", action="store_true", help="accept a part of a seed")
    parser.add_argument("--base", type=Path, help="what a delta refers to: a .safetensors file")
    options = parser.parse_args()
    store, data = json.loads(options.trust.read_text("utf-8")), options.file.read_bytes()
    base = load_base(options.base.read_bytes()) if options.base else None
    flags = {"decode": options.decode, "partial": options.partial, "base": base}
    print(json.dumps(read_seed(data, store, options.now, **flags)))


if __name__ == "__main__":
    main()
