"""Rules over a manifest of right form: names, sums, limits, parity (spec: MAN to PAR)."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Final

from fuzz.drafts import Draft, settle
from fuzz.harness import Target, reference, same_verdict, shared_codecs
from fuzz.samples import drafts
from fuzz.trees import copy_tree, mutate, pack, unpack
from seedpack.container.manifest import decode_manifest
from seedpack.container.rules import layer_nbytes, validate_manifest
from seedpack.limits import (
    MAX_DECODED_NBYTES,
    MAX_LAYER_NBYTES,
    MAX_PARAMS,
    MAX_TEXT_NBYTES,
)

if TYPE_CHECKING:
    from random import Random

_RECIPE_ENTRIES: Final = 64  # as many as there may be: MAN-9
_SETTLED_SHARE: Final = 0.7  # of edits whose sums and parity are made to fit again


def _check(data: bytes) -> None:
    with same_verdict(lambda: _read_independently(data)):
        manifest = decode_manifest(data)
        validate_manifest(manifest, codecs=shared_codecs())
        sizes = [layer_nbytes(layer) for layer in manifest.layers]
        assert all(0 <= size <= MAX_LAYER_NBYTES for size in sizes)
        assert all(math.prod(layer.shape) >= 0 for layer in manifest.layers)
        total = sum(sizes) + sum(file.nbytes for file in manifest.attachments)
        assert total == manifest.decoded_nbytes <= MAX_DECODED_NBYTES


def _read_independently(data: bytes) -> None:
    reference().check_manifest(reference().decode_manifest(data))


@cache
def _starts() -> dict[str, bytes]:
    starts = {name: pack(draft.tree) for name, draft in drafts().items()}
    crowded = copy_tree(drafts()["small"].tree)
    crowded["recipe"] = {f"{n:02}": n for n in range(_RECIPE_ENTRIES)}
    crowded["layers"][0]["params"] = {f"{n:02}": n for n in range(MAX_PARAMS)}
    crowded["layers"][0]["params"]["31"] = bytes(MAX_TEXT_NBYTES)
    return starts | {"crowded": pack(crowded)}


def _mutate(data: bytes, random: Random) -> bytes:
    tree = unpack(data) or unpack(random.choice(list(_starts().values())))
    tree = mutate(tree, random)
    if random.random() < _SETTLED_SHARE:
        tree = settle(Draft(tree, {})).tree
    return pack(tree)


TARGET: Final = Target(_check, _starts, _mutate, max_input_nbytes=8192)
