"""The trust store's JSON (spec: TRU-1, KEY-3, KEY-4)."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fuzz.harness import Target, reference
from fuzz.samples import trust_store
from fuzz.trees import edit_text, mutate
from seedpack.trust.store import encode_trust_store, parse_trust_store

if TYPE_CHECKING:
    from random import Random


def _check(data: bytes) -> None:
    store = parse_trust_store(data)
    text = encode_trust_store(store)
    assert parse_trust_store(text) == store
    assert encode_trust_store(parse_trust_store(text)) == text
    for tree in (json.loads(data), json.loads(text)):
        keys = reference().known_keys(tree)
        assert keys.keys() == {key.key_id for p in store.principals for key in p.keys}


@cache
def _starts() -> dict[str, bytes]:
    text = encode_trust_store(trust_store())
    plain = json.loads(text)
    low_order = json.loads(text)
    low_order["principals"][0]["keys"][0]["public"] = "A" * 43 + "="
    small = plain | {"principals": plain["principals"][:2]}
    return {
        "full": text,
        "small": json.dumps(small).encode(),
        "low-order-key": json.dumps(low_order).encode(),
        "no-policy": json.dumps(
            small | {"policy": {"codecs": None, "max_decoded_nbytes": None}}
        ).encode(),
    }


def _mutate(data: bytes, random: Random) -> bytes:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        tree = json.loads(_starts()["small"])
    text = json.dumps(mutate(tree, random), default=_bytes_as_text)
    if random.random() < 0.1:  # noqa: PLR2004 -- the text itself: numbers, escapes, brackets
        text = edit_text(text, random)
    return text.encode(errors="surrogatepass")


def _bytes_as_text(value: Any) -> str:  # noqa: ANN401 -- json's signature
    return str(value)


TARGET: Final = Target(_check, _starts, _mutate, max_input_nbytes=8192)
