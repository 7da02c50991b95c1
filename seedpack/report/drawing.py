"""matplotlib's SVG, without colours, styles, names or anything that could load (spec: RPT-10).

    style="fill: #000101; ..."  -->  class="fill-s0", presentation attributes
    ids that nothing refers to  -->  dropped; the others get a prefix

The page's security policy allows no style attributes; classes let one drawing suit light, dark
and print.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES: Final = ("axis", "grid", "muted", "chance", "control", "s0", "s1", "s2", "s3", "s4", "s5")
# Colours that stand for names; nobody sees them.
PAINTS: Final = {name: f"#0001{i:02x}" for i, name in enumerate(_NAMES, start=1)}
_NAME_OF: Final = {paint: name for name, paint in PAINTS.items()}
_SVG: Final = "{http://www.w3.org/2000/svg}"
_LINK: Final = "{http://www.w3.org/1999/xlink}href"
_DROPPED: Final = frozenset({f"{_SVG}metadata", f"{_SVG}style"})
_KEPT: Final = frozenset(
    {
        *("d", "x", "y", "width", "height", "transform", "viewBox", "clip-path", "id"),
        *("text-anchor", "stroke-width", "stroke-dasharray", "stroke-dashoffset", "opacity"),
        *("stroke-linecap", "stroke-linejoin", "fill-opacity", "stroke-opacity", "fill", "stroke"),
    }
)
_REFERENCE: Final = re.compile(r"url\(#([A-Za-z0-9_-]+)\)")


def neutral_svg(source: str, prefix: str) -> str:
    """Return the ``svg`` element of ``source`` as part of a page.

    Args:
        source: SVG by matplotlib, drawn in ``PAINTS``.
        prefix: Of all ids.
    """
    root = ET.fromstring(source[source.index("<svg") :])  # noqa: S314 -- matplotlib's own
    _drop(root)
    used = set(_references(root))
    for element in root.iter():
        _neutralise(element, used, prefix)
    root.attrib = {"viewBox": root.get("viewBox", ""), "class": "plot", "aria-hidden": "true"}
    return ET.tostring(root, encoding="unicode", short_empty_elements=False)


def _drop(element: ET.Element) -> None:
    for child in list(element):
        if child.tag in _DROPPED:
            element.remove(child)
        else:
            _drop(child)


def _references(root: ET.Element) -> Iterator[str]:
    for element in root.iter():
        if target := element.get(_LINK):
            yield target.removeprefix("#")
        yield from _REFERENCE.findall(element.get("clip-path", ""))


def _neutralise(element: ET.Element, used: set[str], prefix: str) -> None:
    attributes = dict(element.attrib)
    style = attributes.pop("style", "")
    target = attributes.pop(_LINK, "").removeprefix("#")
    for part in style.split(";"):
        name, _, value = part.partition(":")
        attributes[name.strip()] = value.strip()
    classes = [
        f"{kind}-{_NAME_OF[attributes.pop(kind)]}"
        for kind in ("fill", "stroke")
        if attributes.get(kind) in _NAME_OF
    ]
    element.tag = element.tag.removeprefix(_SVG)
    element.attrib = {name: v for name, v in attributes.items() if name in _KEPT}
    _rename(element, used, prefix)
    if target:
        element.set("href", f"#{prefix}-{target}")
    if classes:
        element.set("class", " ".join(classes))


def _rename(element: ET.Element, used: set[str], prefix: str) -> None:
    name = element.attrib.pop("id", "")
    if name in used:  # most are names of matplotlib's own parts
        element.set("id", f"{prefix}-{name}")
    if clip := element.get("clip-path"):
        element.set("clip-path", _REFERENCE.sub(rf"url(#{prefix}-\1)", clip))
