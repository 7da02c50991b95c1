"""Edits of nested values (msgpack, JSON), and msgpack that is nearly canonical.

The blind mutator breaks a length and is refused at once; these edits keep the form and
change what it says, so that the rules behind the form are reached.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import msgpack

from seedpack import limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Tree = Any  # nested dict, list, str, bytes, int, bool, None

_STOP_SHARE: Final = 0.15  # of descents that stop at an inner node
_LIST_SHARE: Final = 0.2  # of descents to a field that stop at a list on the way
_FIELD_SHARE: Final = 0.8
_FIELD_TRIES: Final = 8
_SPLICE_SHARE: Final = 0.1  # of edits that put any other node there
_LONG_FORM_SHARE: Final = 0.03  # of values that get a longer form than they need
_MAX_GROWN: Final = 5000  # characters that repetition makes; text in a manifest has 4,096
_MAX_ITEMS: Final = 300  # that repetition makes; a manifest has at most 256 attachments
_BOUNDS: Final = sorted(
    value
    for value in vars(limits).values()
    if isinstance(value, int) and not isinstance(value, bool)
)
_POWERS: Final = [1 << n for n in (0, 5, 7, 8, 15, 16, 31, 32, 39, 40, 63, 64)]
_TEXTS: Final = (
    *("", ".", "..", "/", "a/b", "CON", "con.txt", "__metadata__", "a.json", "A.JSON", "x.py"),
    *("raw", "q8", "blake3-256", "sha2-256", "ed25519", "ml-dsa-65", "*", "acme/*", "0.5", "-1.0"),
    *("bool", "uint8", "int16", "float8_e4m3fn", "float8_e5m2", "float16", "bfloat16", "float64"),
    *("transformers", "auto_map", "trust_remote_code", '{"a":{"auto_map":1}}', '{"a":1,"a":2}'),
    *("rs-vandermonde-gf256", "card", "config", "other", "rotate", "revoke", "NaN", "[[[[{}]]]]"),
)
_CHARACTERS: Final = (
    "aZ0_.-/:*\\\"'{}[]% \n\r\t\0\x1b\x7f\x85\xa0\xad\u00e9e\u0301"
    "\u202e\u2028\ufeff\ue000\U0001f600\ud800"
)


def mutate_tree(tree: Tree, random: Random) -> Tree:
    """Return ``tree`` with one edit somewhere; containers in it are changed in place."""
    holder = [tree]
    parent: Tree = holder
    key: Any = 0
    while isinstance(parent[key], dict | list) and parent[key] and random.random() > _STOP_SHARE:
        parent = parent[key]
        key = random.choice(list(parent)) if isinstance(parent, dict) else _index(parent, random)
    if random.random() < _SPLICE_SHARE:
        parent[key] = _pick_node(tree, random)
    else:
        parent[key] = _edit(parent[key], random)
    return holder[0]


def mutate(tree: Tree, random: Random) -> Tree:
    """Return ``tree`` with one edit, of which most keep the form."""
    return (mutate_field if random.random() < _FIELD_SHARE else mutate_tree)(tree, random)


def mutate_field(tree: Tree, random: Random) -> Tree:
    """Return ``tree`` with one leaf or list changed to another of its type, mostly."""
    for _ in range(_FIELD_TRIES):
        parent, key = _pick_field(tree, random)
        value = parent[key]
        if value not in (None, [], {}):  # which say nothing about what could stand there
            break
    parent[key] = not value if isinstance(value, bool) else _edit(value, random)
    return tree


def _pick_field(tree: Tree, random: Random) -> tuple[Tree, Any]:
    """Return what holds a field, and the key of the field in it."""
    parent: Tree = [tree or 0]
    key: Any = 0
    while isinstance(parent[key], dict | list) and parent[key]:
        if isinstance(parent[key], list) and random.random() < _LIST_SHARE:
            break
        parent = parent[key]
        key = random.choice(list(parent)) if isinstance(parent, dict) else _index(parent, random)
    return parent, key


def _index(items: list[Tree], random: Random) -> int:
    return random.randrange(len(items))


def _pick_node(tree: Tree, random: Random) -> Tree:
    """Return a copy of some node, so that no two places share one."""
    while isinstance(tree, dict | list) and tree and random.random() > _STOP_SHARE:
        tree = random.choice(list(tree.values()) if isinstance(tree, dict) else tree)
    return copy_tree(tree)


def copy_tree(tree: Tree) -> Tree:
    """Return a deep copy."""
    if isinstance(tree, dict):
        return {key: copy_tree(value) for key, value in tree.items()}
    return [copy_tree(item) for item in tree] if isinstance(tree, list) else tree


def _edit(value: Tree, random: Random) -> Tree:
    for kind, edit in _EDITS:
        if isinstance(value, kind):
            return edit(value, random)
    return random.choice([0, "", b"", [], {}, value, float("nan")])


def _edit_flag(value: bool, random: Random) -> Tree:  # noqa: FBT001 -- the value to edit
    return random.choice([not value, not value, int(value), None])


def _edit_nothing(_: None, random: Random) -> Tree:
    return random.choice([0, 1, "", b"", [], {}, False, limits.MAX_TIME])


def edit_number(value: int, random: Random) -> int:
    """Return a number near ``value``, or near one that the format or the machine cares about."""
    near = random.choice([value, value, random.choice(_BOUNDS), random.choice(_POWERS), 0])
    scaled = random.choice([near, near, near * 2, near // 2])
    return max(-(1 << 63), min(scaled + random.randint(-2, 2), (1 << 64) - 1))


def edit_text(value: str, random: Random) -> str:
    """Return other text: a known word, or the same with a character that matters."""
    at = random.randint(0, len(value))
    match random.randrange(5):
        case 0:
            return random.choice(_TEXTS)
        case 1:
            return value[:at] + random.choice(_CHARACTERS) + value[at:]
        case 2:
            return value[:at] + value[at + 1 :]
        case 3:
            return value[:at] + random.choice(_TEXTS) + value[at:]
        case _:
            return (value * random.choice([2, 2, 3, 300]))[:_MAX_GROWN]


def edit_bytes(value: bytes, random: Random) -> bytes:
    """Return other bytes: flipped, cut, grown, or a run replaced."""
    at = random.randint(0, len(value))
    match random.randrange(5):
        case 0 if value:
            at = random.randrange(len(value))
            return value[:at] + bytes([value[at] ^ 1 << random.randrange(8)]) + value[at + 1 :]
        case 1:
            return value[:at]
        case 2:
            return value[:at] + random.randbytes(random.randint(1, 4)) + value[at:]
        case 3:
            run = random.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * random.randint(1, 8)
            return value[:at] + run + value[at + len(run) :]
        case _:
            return value[:at] + value[at + random.randint(1, 4) :]


def _edit_list(items: list[Tree], random: Random) -> Tree:
    if not items:
        return random.choice([[0], [[]], [""], [b""]])
    match random.randrange(5):
        case 0:
            del items[_index(items, random)]
        case 1:
            items.insert(random.randint(0, len(items)), copy_tree(random.choice(items)))
        case 2:
            a, b = _index(items, random), _index(items, random)
            items[a], items[b] = items[b], items[a]
        case 3:
            return copy_tree((items * random.choice([0, 2, 3]))[:_MAX_ITEMS])
        case _:
            items.append(random.choice([0, 1, 1 << 40, "", None]))
    return items


def _edit_table(table: dict[Any, Tree], random: Random) -> Tree:
    if not table:
        return {random.choice(_TEXTS): 0}
    key = random.choice(list(table))
    match random.randrange(4):
        case 0:
            del table[key]
        case 1:
            table[random.choice(_TEXTS)] = copy_tree(table[key])
        case 2 if isinstance(key, str):
            table[edit_text(key, random)] = table.pop(key)
        case _:
            table[key] = copy_tree(random.choice(list(table.values())))
    return table


_EDITS: Final[tuple[tuple[type | tuple[type, ...], Callable[[Any, Random], Tree]], ...]] = (
    (bool, _edit_flag),
    (int, edit_number),
    (str, edit_text),
    (bytes, edit_bytes),
    (list, _edit_list),
    (dict, _edit_table),
    (type(None), _edit_nothing),
)


def sort_tables(tree: Tree) -> Tree:
    """Return ``tree`` with the keys of every map in ascending order."""
    if isinstance(tree, dict):
        return {key: sort_tables(tree[key]) for key in sorted(tree, key=_sort_key)}
    return [sort_tables(item) for item in tree] if isinstance(tree, list) else tree


def _sort_key(key: object) -> bytes:
    return key.encode(errors="surrogatepass") if isinstance(key, str) else repr(key).encode()


def pack(tree: Tree) -> bytes:
    """Return canonical msgpack, or as near to it as the values allow."""
    packed: bytes = msgpack.packb(sort_tables(tree), unicode_errors="surrogatepass")
    return packed


def unpack(data: bytes) -> Tree:
    """Return what ``data`` holds, or None for what no lenient decoder reads either."""
    try:
        return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogatepass")
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError, OverflowError):
        return None  # TypeError: a map as a map's key


def pack_loosely(tree: Tree, random: Random) -> bytes:
    """Return msgpack in which a few values stand in a longer form, or twice in a map."""
    if random.random() < _LONG_FORM_SHARE:
        return _pack_long(tree, random)
    if isinstance(tree, list):
        head: bytes = msgpack.Packer().pack_array_header(len(tree))
        return head + b"".join(pack_loosely(item, random) for item in tree)
    if isinstance(tree, dict):
        items = list(sort_tables(tree).items())
        if items and random.random() < _LONG_FORM_SHARE:
            items.insert(_index(items, random), random.choice(items))
        head = msgpack.Packer().pack_map_header(len(items))
        return head + b"".join(pack_loosely(part, random) for item in items for part in item)
    return pack(tree)


def _pack_long(tree: Tree, random: Random) -> bytes:
    """Return the longest form that msgpack has for the value, or for one that looks like it."""
    if isinstance(tree, str | bytes):
        raw = tree.encode(errors="surrogatepass") if isinstance(tree, str) else tree
        return random.choice([b"\xdb", b"\xc6"]) + struct.pack(">I", len(raw)) + raw
    if isinstance(tree, list):
        return b"\xdd" + struct.pack(">I", len(tree)) + b"".join(map(pack, tree))
    if isinstance(tree, dict):
        parts = (pack(part) for item in tree.items() for part in item)
        return b"\xdf" + struct.pack(">I", len(tree)) + b"".join(parts)
    is_count = type(tree) is int and tree >= 0
    return b"\xcf" + struct.pack(">Q", tree) if is_count else pack(tree)
