"""What the benchmark reports, as data; each figure with its interval and number."""

from __future__ import annotations

import msgspec

from seedpack.lab.metrics import Mean, Rate

UNIVERSAL = "universal"
SOURCE_SPECIFIC = "source-specific"
FLIP = "flip"
BELOW = "below 0.5"  # planted, but its success rate is too low to count


class DetectorRow(msgspec.Struct, frozen=True, kw_only=True):
    """How one search tells one group of planted models from the clean ones.

    Attributes:
        detector: Its name, or ``all``: the most suspicious of all.
        group: Of planted models.
        auc: Area under the curve.
        tpr: Found where 5 % of the clean models are allowed to raise alarm.
        found: Of this group, at the search's own limit, which was fixed beforehand.
        false_alarms: Of the clean models, at that limit.
        seconds: Per model, on average.
    """

    detector: str
    group: str
    auc: Rate | None
    tpr: Rate | None
    found: Rate | None
    false_alarms: Rate | None
    seconds: float


class DefenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one defence removes.

    Attributes:
        defence: Its name.
        samples: Clean ones that it was given.
        group: Of planted models.
        asr_before, asr_after: Mean success rates.
        removed: Share of models whose rate fell to 10 %, or 5 points above the clean twin's.
        removed_alike: Share of the same triggers that a clean twin, which went through the same
            defence, would pass with.
        removed_clean: The same of one more clean twin, undefended: what a model without any
            backdoor reaches. None without that twin.
        effect: Of the true trigger after the defence: success rate less the share of the same
            victims that get the target without it.
        effect_above: How much more that is than the mean of the clean twins, undefended.
        effect_above_alike, effect_above_clean: The same of the clean models of
            ``removed_alike`` and ``removed_clean``: the controls.
        accuracy_cost: Loss of accuracy, in shares.
        no_sooner: Share of the removed backdoors that come back no sooner than a clean twin
            learns them; None where none was removed, or none has a trigger.
        no_sooner_alike: The same beside a clean twin that went through the same defence.
        no_sooner_clean: Share of the same triggers that one more clean twin learns no sooner.
        no_sooner_unseen: As ``no_sooner``, where the attacker's samples are new to all models.
        no_sooner_unseen_clean: As ``no_sooner_clean``, with those samples.
        seconds: Per model, on average.
    """

    defence: str
    samples: int
    group: str
    asr_before: float
    asr_after: float
    removed: Rate | None
    removed_alike: Rate | None
    removed_clean: Rate | None
    effect: Mean | None
    effect_above: Mean | None
    effect_above_alike: Mean | None
    effect_above_clean: Mean | None
    accuracy_cost: Mean | None
    no_sooner: Rate | None
    no_sooner_alike: Rate | None
    no_sooner_clean: Rate | None
    no_sooner_unseen: Rate | None
    no_sooner_unseen_clean: Rate | None
    seconds: float


class FamilyReport(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one family.

    Attributes:
        nbelow: Planted models whose success rate is below 0.5.
        accuracy: Of clean models, on average.
        asr: Of planted models, on average.
        control_asr: The same triggers in clean twins.
    """

    family: str
    nclean: int
    nplanted: int
    ntwins: int
    nbelow: int
    accuracy: float
    asr: float
    control_asr: float
    detectors: tuple[DetectorRow, ...]
    defences: tuple[DefenceRow, ...]
