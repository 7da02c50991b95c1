"""An assembled model learns a task from few samples, beside its control arm (spec: section Tuning).

train, evaluation ──training.data, checks──> Split          refused here, nothing loaded
each seed: samples ─┬─ assembled ──tune──> scores ─┐
├─ random init, same tuning ───┤ the control arm
└─ original, same tuning ──────┴──statistics──> TuneReport
the assembled model of the first seed ──> OUT, whole or not at all
"""

from __future__ import annotations

from seedpack.tune.classifier import TunedClassifier, load_classifier
from seedpack.tune.plan import TunePlan
from seedpack.tune.report import ArmReport, MetricReport, TuneReport
from seedpack.tune.tuning import evaluate, load_split, tune, tune_arm, tune_model, write_tuned

__all__ = [
    "ArmReport",
    "MetricReport",
    "TunePlan",
    "TuneReport",
    "TunedClassifier",
    "evaluate",
    "load_classifier",
    "load_split",
    "tune",
    "tune_arm",
    "tune_model",
    "write_tuned",
]
