"""What an audit says, as data: typed, frozen, and the same after a round trip through JSON.

    Finding   what a person should know: severity x confidence x evidence
    Figure    a number beside its interval, chance level and control arm
    Gate      a declared threshold on the *bound* of an interval: pass, fail or undecided
    Table, Curve, Picture     what the report shows beside them
    AuditResult   all of one audit ──all audits──> AuditReport, which is written and signed

The JSON schema in ``spec/audits/report.schema.json`` is generated from these classes. A change
of any of them is a change of ``SCHEMA``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

SCHEMA: Final = 1

# Interval of 95 %, (low, high).
Bounds = tuple[float, float]


class Severity(StrEnum):
    """How bad it is, if it is so."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Confidence(StrEnum):
    """How sure the audit is that it is so."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Status(StrEnum):
    """What became of a gate or an audit. Undecided is not pass."""

    PASS = "pass"  # noqa: S105 -- no password
    FAIL = "fail"
    UNDECIDED = "undecided"


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Immutable, strict on reading."""


class Finding(_Record, frozen=True, kw_only=True):
    """Something a person should know.

    Attributes:
        title: One sentence.
        severity: How bad it is, if it is so.
        confidence: How sure the audit is.
        evidence: What was seen, with figures.
        hint: What to do next; empty where there is nothing to do.
    """

    title: str
    severity: Severity
    confidence: Confidence
    evidence: str
    hint: str = ""


class Figure(_Record, frozen=True, kw_only=True):
    """A measured number with everything that it has to be compared with.

    Attributes:
        name: What was measured, of which arm.
        value: Mean over the seeds; None where it is undefined (``note`` says why).
        interval: 95 %, over seeds and examples; None where the value is a plain count.
        n: Examples (or trials) behind it.
        seeds: How many runs behind it.
        unit: ``accuracy``, ``share``, ``z``, ``count`` ...
        chance: What uniformly random answers reach; None where that means nothing.
        control: The same of the control arm; None where that means nothing.
        control_interval: Of the control.
        note: What else has to be known to read it rightly.
    """

    name: str
    value: float | None
    n: int
    unit: str
    interval: Bounds | None = None
    seeds: int = 1
    chance: float | None = None
    control: float | None = None
    control_interval: Bounds | None = None
    note: str = ""


class Gate(_Record, frozen=True, kw_only=True):
    """A declared threshold on the bound of an interval; made by ``gates.decide``.

    Attributes:
        name: Short, stable: scripts refer to it.
        statement: What passes, in words.
        value: Measured; None where it could not be.
        interval: 95 %.
        threshold: On the whole interval.
        side: ``at least`` or ``at most``.
        status: Decided by interval, threshold and side alone.
        reason: Why it is undecided; empty otherwise.
    """

    name: str
    statement: str
    threshold: float
    side: str
    status: Status
    value: float | None = None
    interval: Bounds | None = None
    reason: str = ""


class Table(_Record, frozen=True, kw_only=True):
    """Rows of texts and numbers under a title.

    Attributes:
        title: What it shows.
        columns: Heads.
        rows: As long as ``columns`` each.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]


class Series(_Record, frozen=True, kw_only=True):
    """One line of a curve.

    Attributes:
        name: The arm.
        x: Positions.
        y: Values; None where undefined.
        low: Lower bounds, or empty.
        high: Upper bounds, or empty.
        is_control: Drawn as what the others are to be compared with.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    is_control: bool = False


class Curve(_Record, frozen=True, kw_only=True):
    """Lines over one axis.

    Attributes:
        title: What it shows.
        x_label: With its unit.
        y_label: With its unit.
        series: The arms, controls among them.
        chance: A level drawn across, where there is one.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    chance: float | None = None


class Picture(_Record, frozen=True, kw_only=True):
    """A small picture, such as a trigger that was found.

    Attributes:
        title: What it shows.
        height: In pixels.
        width: In pixels.
        channels: 1 grey or 3 colours.
        pixels: height x width x channels, row by row, 0 to 255.
    """

    title: str
    height: int
    width: int
    pixels: bytes
    channels: int = 1


class AuditResult(_Record, frozen=True, kw_only=True):
    """Everything that one audit found.

    Attributes:
        audit: Its id in the registry.
        title: Of the audit.
        status: Fail if a gate fails, undecided if one is; pass only if all pass.
        reason: Why it is undecided as a whole; empty otherwise.
        searched: What was done, in words: what was looked for, how hard, and what was not.
        findings: The gravest first.
        figures: With their controls.
        gates: Declared before anything was measured.
        tables: For the report.
        curves: For the report.
        pictures: For the report.
        seeds: Random seeds used.
        seconds: That it took a process, its preparations counted, for whoever plans the next run;
            never a gate.
    """

    audit: str
    title: str
    status: Status
    reason: str = ""
    searched: str = ""
    findings: tuple[Finding, ...] = ()
    figures: tuple[Figure, ...] = ()
    gates: tuple[Gate, ...] = ()
    tables: tuple[Table, ...] = ()
    curves: tuple[Curve, ...] = ()
    pictures: tuple[Picture, ...] = ()
    seeds: tuple[int, ...] = ()
    seconds: float = 0.0


class Subject(_Record, frozen=True, kw_only=True):
    """What was audited.

    Attributes:
        seed_id: SHA-256 of the manifest, in hex; empty for a model without a seed.
        name: As signed.
        version: As signed.
        signers: Principals whose signatures were verified; empty where nobody was asked.
        verified: Whether the seed was verified before the audit.
        task: What it was audited for; empty without data.
        train: Description and digest of the tuning data.
        evaluation: Same of the evaluation data.
        original: Whether the original was there to be compared with.
        reference: Whether a clean reference was.
        defended: Whether the audited model went through a defence after assembly.
    """

    seed_id: str
    name: str
    version: int
    signers: tuple[str, ...] = ()
    verified: bool = False
    task: str = ""
    train: str = ""
    evaluation: str = ""
    original: bool = False
    reference: bool = False
    defended: bool = False


class AuditReport(_Record, frozen=True, kw_only=True):
    """All audits of one seed.

    Attributes:
        subject: What was audited.
        profile: How hard: quick, standard or deep.
        status: The worst of the results: fail, then undecided, then pass.
        results: What a defence did, where there was one; then audits in the order of the registry.
        skipped: Audits that were not run, each with what was lacking.
        created: Seconds since 1970.
        tool: Name and version of what wrote it.
        random_seed: The first of all seeds.
        schema: Of this record.
    """

    subject: Subject
    profile: str
    status: Status
    results: tuple[AuditResult, ...]
    created: int
    tool: str
    skipped: tuple[tuple[str, str], ...] = ()
    random_seed: int = 0
    schema: int = SCHEMA


def worst(statuses: tuple[Status, ...]) -> Status:
    """Return fail if any failed, else undecided if any is or there is none, else pass."""
    if Status.FAIL in statuses:
        return Status.FAIL
    if not statuses or Status.UNDECIDED in statuses:
        return Status.UNDECIDED
    return Status.PASS
