"""The manifest of most vectors, and ways to change it behind the writer's back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .catalog import Cases, Vector, refused
from .writer import Draft, frame, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

DRAFT = Draft()
MANIFEST = DRAFT.manifest()
PACKED = pack(MANIFEST)
MAX_TIME = 253_402_300_799
CLAIM = {
    "chance": "0.5",
    "control": "random weights, tuned alike",
    "control_value": "0.491",
    "dataset": "sst2 (dev)",
    "evaluated": 872,
    "interval_high": "0.93",
    "interval_low": "0.9",
    "metric": "accuracy",
    "original": "0.92",
    "seeds": 3,
    "value": "-12.000000001",
}
DEL = object()


def with_fields(**changes: Any) -> bytes:  # noqa: ANN401 -- any msgpack value
    """Return a signed file whose manifest has these fields; `DEL` takes one out."""
    manifest = {k: v for k, v in (MANIFEST | changes).items() if v is not DEL}
    return frame(pack(manifest))


def with_bytes(old: bytes, new: bytes, manifest: bytes = PACKED) -> bytes:
    """Return a signed file in whose manifest the only `old` became `new`."""
    if manifest.count(old) != 1:
        raise ValueError(f"{manifest.count(old)} places of {old!r}")
    return frame(manifest.replace(old, new))


def with_version(encoded: bytes) -> bytes:
    """Return a signed file whose `version`, the last value, is encoded so."""
    return with_bytes(b"\xa7version\x07", b"\xa7version" + encoded)


def with_producer(encoded: bytes) -> bytes:
    """Return a signed file whose `producer` is encoded so."""
    return with_bytes(b"\xa8producer\xaevector builder", b"\xa8producer" + encoded)


def with_layer(**changes: Any) -> bytes:  # noqa: ANN401 -- any msgpack value
    """Return a signed file whose layer record has these fields."""
    record = {k: v for k, v in (MANIFEST["layers"][0] | changes).items() if v is not DEL}
    return with_fields(layers=[record])


def all_refused(area: str, rule: str, cases: Cases) -> Iterator[Vector]:
    """Describe the cases of one rule."""
    for name, (data, about, attack) in cases.items():
        yield refused(f"manifest/{area}-{name}", data, rule, about, attack=attack)
