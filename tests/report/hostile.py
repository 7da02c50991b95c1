"""Texts that somebody would give a seed, a label or a token in order to be more than a text."""

from __future__ import annotations

import msgspec

from seedpack.audits.results import AuditReport, Bounds, Status

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "' onmouseover='alert(4)",
    "{{ 7 * 191 }}{% for x in y %}",
    "javascript:alert(5)",
    "https://evil.example/x www.evil.example",
    "[link](https://evil.example) ![p](https://evil.example/p.png) `code` | cell | **b** # h",
    "a\nb\r\nc\td\x00e\x1b[31mf",
    "evil\u202egnp.exe \u200bzero\u2066\ufeff\u00ad",
    "$\\frac{x}{y}$ \\x41 &amp; &lt;b&gt;",
    "-->]]><!--",
)


def with_texts(value: object, next_text) -> object:
    """Return ``value`` with every text that a report leaves to others replaced."""
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        kept = {"side"}  # one of two words
        return type(value)(
            **{k: v if k in kept else with_texts(v, next_text) for k, v in fields.items()}
        )
    if isinstance(value, tuple):
        return tuple(with_texts(part, next_text) for part in value)
    if isinstance(value, str) and not isinstance(value, Status) and type(value) is str:
        return next_text()
    return value


def hostile_report(report: AuditReport) -> AuditReport:
    """Return ``report`` with a hostile text wherever a text can be."""
    count = 0

    def next_text() -> str:
        nonlocal count
        count += 1
        return HOSTILE[count % len(HOSTILE)]

    return with_texts(report, next_text)


__all__ = ["HOSTILE", "Bounds", "hostile_report", "with_texts"]
