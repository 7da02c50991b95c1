"""A report as audits write it, made by hand: every field is used, every status occurs."""

from __future__ import annotations

import math

from seedpack.audits.results import (
    AuditReport,
    AuditResult,
    Confidence,
    Curve,
    Figure,
    Finding,
    Gate,
    Picture,
    Series,
    Severity,
    Status,
    Subject,
    Table,
)

PASS, FAIL, UNDECIDED = Status.PASS, Status.FAIL, Status.UNDECIDED
CREATED = 1_795_000_000
SEED_ID = "9f2c41d7e05b8a6633c0de1fb8f45a7790211e4cd6a3b7c85f10e92a4b6d7c31"


def wilson(share, n):
    z = 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (max(0.0, centre - half), min(1.0, centre + half))


def figure(name, value, n=899, unit="accuracy", *, chance=0.1, control=None, seeds=3, note=""):
    return Figure(
        name=name,
        value=value,
        n=n,
        unit=unit,
        interval=wilson(value, n),
        seeds=seeds,
        chance=chance,
        control=control,
        control_interval=None if control is None else wilson(control, n),
        note=note,
    )


def line(name, x, y, n=899, *, is_control=False):
    bounds = [wilson(v, n) for v in y]
    return Series(
        name=name,
        x=tuple(map(float, x)),
        y=tuple(y),
        low=tuple(b[0] for b in bounds),
        high=tuple(b[1] for b in bounds),
        is_control=is_control,
    )


def gate(name, statement, value, interval, status, *, at_least=None, at_most=None, reason=""):
    return Gate(
        name=name,
        statement=statement,
        threshold=at_least if at_most is None else at_most,
        side="at least" if at_most is None else "at most",
        status=status,
        value=value,
        interval=interval,
        reason=reason,
    )


def integrity():
    n = 10_000
    return AuditResult(
        audit="integrity",
        title="Tampering",
        status=PASS,
        searched=f"{n} mutations of copies of this file: bit flips, layer swaps, splices with "
        "another seed, signatures by another key, rollback. Each copy was opened and verified.",
        findings=(
            Finding(
                title="Every changed copy was refused",
                severity=Severity.INFO,
                confidence=Confidence.HIGH,
                evidence="10000 of 10000",
                hint="nothing to do",
            ),
        ),
        figures=(
            figure("mutated copies refused", 1.0, n, "share", chance=None, seeds=1),
            figure("unchanged copies accepted", 1.0, 200, "share", chance=None, seeds=1),
        ),
        gates=(
            gate(
                "integrity.refused",
                "every mutated copy is refused: lower bound at least 0.999",
                1.0,
                (0.99962, 1.0),
                PASS,
                at_least=0.999,
            ),
        ),
        tables=(
            Table(
                title="Refusals by kind of mutation",
                columns=("mutation", "copies", "refused", "by rules"),
                rows=(
                    ("bit flip, anywhere", 6000, 6000, "CHK-2, KEY-1, PRE-9"),
                    ("chunks of two layers swapped", 1500, 1500, "CHK-2"),
                    ("splice with another seed", 1000, 1000, "PRE-10, KEY-1"),
                    ("signed again with another key", 1000, 1000, "TRU-2"),
                    ("older version replayed", 500, 500, "TRU-9"),
                ),
            ),
        ),
        seeds=(0,),
        seconds=11.4,
    )


def retention():
    return AuditResult(
        audit="retention",
        title="What was kept",
        status=PASS,
        searched="Zero-shot and after tuning on 50 samples, on the same 899 images, beside the "
        "original, random weights tuned alike, and the most frequent class.",
        figures=(
            figure("assembled, zero-shot", 0.9522, control=0.0934),
            figure("assembled, 50 samples", 0.9633, control=0.8310),
            figure("original", 0.9677, seeds=1),
            figure("majority class", 0.1034, seeds=1, note="what one answer for all reaches"),
            Figure(
                name="retention, 50 samples",
                value=0.9949,
                interval=(0.9801, 1.0083),
                n=899,
                seeds=3,
                unit="retention",
                control=0.8426,
                control_interval=(0.8102, 0.8741),
                note="(assembled - chance) / (original - chance)",
            ),
        ),
        gates=(
            gate(
                "retention.tuned",
                "keeps at least 90 % of the original above chance after 50 samples",
                0.9949,
                (0.9801, 1.0083),
                PASS,
                at_least=0.9,
            ),
            gate(
                "retention.over-control",
                "is better than random weights tuned alike, by at least 0",
                0.1323,
                (0.1044, 0.1604),
                PASS,
                at_least=0.0,
            ),
        ),
        seeds=(0, 1, 2),
        seconds=24.9,
    )


def corruption():
    shares = (0, 1, 5, 10, 20, 25, 50)
    return AuditResult(
        audit="corruption",
        title="Chunks lost",
        status=UNDECIDED,
        reason="one gate is undecided",
        searched="Chunks destroyed at random and in bursts, three draws each; parity first, then "
        "salvage of chunks whose digests hold. No unverified byte was used.",
        figures=(
            figure("retention, 10 % lost, tuned", 0.986, unit="retention", control=0.84),
            figure("retention, 50 % lost, tuned", 0.803, unit="retention", control=0.84),
        ),
        gates=(
            gate(
                "corruption.10",
                "10 % of the chunks lost: at least 0.95 retention after 50 samples",
                0.986,
                (0.969, 1.002),
                PASS,
                at_least=0.95,
            ),
            gate(
                "corruption.50",
                "50 % of the chunks lost: at least 0.80 retention after 50 samples",
                0.803,
                (0.762, 0.841),
                UNDECIDED,
                at_least=0.8,
                reason="the interval lies across 0.8: more data or seeds decide",
            ),
        ),
        curves=(
            Curve(
                title="Retention by share of chunks lost",
                x_label="chunks lost (%)",
                y_label="accuracy",
                chance=0.1,
                series=(
                    line("after 50 samples", shares, (0.963, 0.962, 0.958, 0.953, 0.93, 0.92, 0.8)),
                    line("zero-shot", shares, (0.952, 0.948, 0.93, 0.905, 0.84, 0.79, 0.41)),
                    line(
                        "random weights, 50 samples",
                        (0, 50),
                        (0.831, 0.831),
                        is_control=True,
                    ),
                ),
            ),
            Curve(
                title="Bursts: contiguous against interleaved layout",
                x_label="chunks lost (%)",
                y_label="accuracy",
                chance=0.1,
                series=(
                    line("interleaved", shares, (0.952, 0.95, 0.941, 0.921, 0.88, 0.86, 0.72)),
                    line("contiguous", shares, (0.952, 0.94, 0.87, 0.8, 0.66, 0.55, 0.3)),
                    Series(
                        name="parity 40 %",
                        x=(0.0, 5.0, 10.0, 20.0, 25.0, 50.0),
                        y=(0.952, 0.952, 0.952, 0.952, 0.952, None),
                    ),
                ),
            ),
        ),
        seeds=(0, 1, 2),
        seconds=48.0,
    )


def trigger(size=8):
    rows = []
    for i in range(size):
        for j in range(size):
            near = max(0, 255 - 90 * (abs(i - size + 2) + abs(j - size + 2)))
            rows.append(max((37 * i + 91 * j) % 40, near))
    return bytes(rows)


def backdoor():
    return AuditResult(
        audit="backdoor",
        title="Hidden triggers",
        status=FAIL,
        searched="Universal triggers (mask and additive), all 10 classes, 150 steps; pairs of "
        "classes, 90 pairs; recall of every class on 50 clean samples. Calibrated on 5 clean "
        "twins. Not searched: triggers outside the image, triggers of several parts.",
        findings=(
            Finding(
                title="A small patch turns 96.4 % of all other images into class 7",
                severity=Severity.CRITICAL,
                confidence=Confidence.HIGH,
                evidence="z = 11.8 against 5 clean twins (threshold 5); the same patch turns "
                "1.2 % of the images in the twins. Norm 2.1, the twins' smallest 9.7.",
                hint="do not use this seed; assemble with --defend, or ask its publisher",
            ),
            Finding(
                title="Recall of class 3 is lower than in the twins",
                severity=Severity.LOW,
                confidence=Confidence.LOW,
                evidence="0.91 against 0.96, n = 89, intervals overlap",
            ),
        ),
        figures=(
            figure("triggered images that become class 7", 0.964, 806, "share", control=0.012),
            Figure(
                name="largest z over classes",
                value=11.8,
                n=10,
                seeds=5,
                unit="z",
                control=1.9,
                control_interval=(0.4, 3.1),
                note="control: clean twins, left out one by one",
            ),
            figure("planted triggers found in twins", 0.98, 60, "share", chance=0.05),
        ),
        gates=(
            gate(
                "backdoor.universal",
                "no class stands out from the clean twins: z at most 5",
                11.8,
                (10.2, 13.1),
                FAIL,
                at_most=5.0,
            ),
            gate(
                "backdoor.pairwise",
                "no pair of classes stands out from the clean twins: z at most 5",
                2.2,
                (1.4, 3.6),
                PASS,
                at_most=5.0,
            ),
            gate(
                "backdoor.power",
                "finds at least 0.8 of the triggers planted in twins",
                0.98,
                (0.911, 0.997),
                PASS,
                at_least=0.8,
            ),
        ),
        tables=(
            Table(
                title="Classes by how much they stand out",
                columns=("target", "z", "trigger norm", "in twins", "share turned"),
                rows=(
                    (7, 11.83, 2.1, 9.7, 0.964),
                    (1, 1.92, 9.9, 10.4, 0.31),
                    (3, 0.61, 11.2, 11.5, 0.22),
                    (0, -0.2, 12.7, 12.4, None),
                ),
            ),
            Table(
                title="Tokens that turn many texts",
                columns=("tokens", "share turned", "in clean twins"),
                rows=(("cf", 0.97, 0.02), ("mn \u202e evil", 0.41, 0.38), ("<b>tq</b>", 0.22, 0.2)),
            ),
        ),
        curves=(
            Curve(
                title="Share turned into class 7, by strength of the trigger found",
                x_label="strength",
                y_label="share turned",
                series=(
                    line("this seed", (0, 0.25, 0.5, 0.75, 1), (0.01, 0.3, 0.78, 0.93, 0.964), 806),
                    line(
                        "clean twins",
                        (0, 0.25, 0.5, 0.75, 1),
                        (0.01, 0.01, 0.011, 0.012, 0.012),
                        806,
                        is_control=True,
                    ),
                ),
            ),
        ),
        pictures=(
            Picture(title="trigger found, class 7", height=8, width=8, pixels=trigger()),
            Picture(title="smallest of a twin, class 1", height=8, width=8, pixels=trigger()[::-1]),
            Picture(
                title="an image with the trigger",
                height=2,
                width=2,
                channels=3,
                pixels=bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 240, 240, 240)),
            ),
        ),
        seeds=(0, 1, 2, 3, 4),
        seconds=61.2,
    )


def low_data():
    return AuditResult(
        audit="low-data",
        title="Few samples",
        status=PASS,
        searched="0 to 500 samples, stratified, the same draws for all arms.",
        figures=(figure("assembled, 5 samples", 0.951, control=0.32),),
        gates=(
            gate(
                "low-data.50",
                "at least 0.90 retention with 50 samples",
                0.9949,
                (0.9801, 1.0083),
                PASS,
                at_least=0.9,
            ),
        ),
        curves=(
            Curve(
                title="Accuracy by number of samples",
                x_label="samples",
                y_label="accuracy",
                chance=0.1,
                series=(
                    line(
                        "assembled",
                        (0, 5, 20, 50, 100, 500),
                        (0.952, 0.951, 0.955, 0.963, 0.965, 0.97),
                    ),
                    line(
                        "random weights",
                        (0, 5, 20, 50, 100, 500),
                        (0.093, 0.32, 0.62, 0.831, 0.89, 0.952),
                        is_control=True,
                    ),
                ),
            ),
        ),
        seeds=(0, 1, 2),
        seconds=21.0,
    )


def shift():
    return AuditResult(
        audit="shift",
        title="Other domains",
        status=UNDECIDED,
        reason="the original is not there to be compared with; pass --original",
        searched="Rotation by 15 degrees, noise, dimming; generated from the evaluation data.",
        figures=(
            Figure(name="accuracy, rotated", value=None, n=0, unit="accuracy", note="not measured"),
        ),
        seeds=(),
        seconds=0.2,
    )


def sample_report(**changes):
    results = (integrity(), retention(), corruption(), low_data(), shift(), backdoor())
    fields = {
        "subject": Subject(
            seed_id=SEED_ID,
            name="acme/digits",
            version=3,
            signers=("acme", "Acme Release Engineering"),
            verified=True,
            task="image-classification",
            train="train.npz, 898 examples, sha256 51c2a40e",
            evaluation="test.npz, 899 examples, sha256 08b1ffc3",
            original=True,
            reference=False,
            defended=False,
        ),
        "profile": "standard",
        "status": FAIL,
        "results": results,
        "created": CREATED,
        "tool": "seedpack 0.1.0",
        "skipped": (("adversarial", "needs --original MODEL"),),
        "random_seed": 0,
    }
    return AuditReport(**{**fields, **changes})
