"""Manifest bytes to typed manifest: profile, grammar, the one encoding (spec: MAN-1 to MAN-6)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from fuzz.drafts import to_tree
from fuzz.harness import Target, reference, same_verdict
from fuzz.samples import drafts
from fuzz.trees import mutate_tree, pack, pack_loosely, unpack
from seedpack.container.manifest import decode_manifest, encode_manifest

if TYPE_CHECKING:
    from random import Random

_LOOSE_SHARE: Final = 0.3  # of edits that may leave the canonical encoding


def _check(data: bytes) -> None:
    with same_verdict(lambda: reference().decode_manifest(data), beyond="MAN-6"):
        manifest = decode_manifest(data)
        assert encode_manifest(manifest) == data
        assert pack(to_tree(manifest)) == data


@cache
def _starts() -> dict[str, bytes]:
    return {name: pack(draft.tree) for name, draft in drafts().items()}


def _mutate(data: bytes, random: Random) -> bytes:
    tree = unpack(data) or unpack(random.choice(list(_starts().values())))
    tree = mutate_tree(tree, random)
    return pack_loosely(tree, random) if random.random() < _LOOSE_SHARE else pack(tree)


TARGET: Final = Target(_check, _starts, _mutate, max_input_nbytes=8192)
