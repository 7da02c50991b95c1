"""How hard the audits try: seeds and budget, declared before they run (spec: AUD-4, AUD-12)."""

from __future__ import annotations

from typing import Final

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much work all audits may do.

    Attributes:
        name: ``quick``, ``standard`` or ``deep``.
        nseeds: Runs of every tuned arm; gates on a difference need several.
        nsamples: Training examples of a few-sample tuning.
        search_sizes: Clean samples that searches for triggers see: the first number, and the next
            where something stands out.
        ntwins: Clean twins that detectors are calibrated on.
        nplanted: Backdoors of each kind that are planted in twins, to tell what a search can find.
        ntrials: Mutations that the integrity audit tries.
        shares: Shares of chunks that the corruption audit destroys.
        sample_sizes: Of the low-data audit; those that the data do not have are left out.
        noise_shares: Of the label-noise audit.
        bits: Of the quantised audit.
        leaves_out: Ids of audits that are run only where somebody names them, or all.
    """

    name: str
    nseeds: int
    nsamples: int
    search_sizes: tuple[int, ...]
    ntwins: int
    nplanted: int
    ntrials: int
    shares: tuple[float, ...]
    sample_sizes: tuple[int, ...]
    noise_shares: tuple[float, ...]
    bits: tuple[int, ...]
    leaves_out: tuple[str, ...] = ()


PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile(
            name="quick",
            nseeds=2,
            nsamples=50,
            search_sizes=(50, 200),
            ntwins=5,
            nplanted=1,
            ntrials=200,
            shares=(0.05, 0.25, 0.5),
            sample_sizes=(0, 20, 50),
            noise_shares=(0.2,),
            bits=(4, 2),
            leaves_out=("reactivation",),  # half as long again as all others together
        ),
        Profile(
            name="standard",
            nseeds=3,
            nsamples=50,
            search_sizes=(200,),
            ntwins=5,
            nplanted=2,
            ntrials=2000,
            shares=(0.01, 0.05, 0.1, 0.25, 0.5),
            sample_sizes=(0, 5, 20, 50, 100),
            noise_shares=(0.1, 0.2, 0.4),
            bits=(8, 4, 3, 2),
        ),
        Profile(
            name="deep",
            nseeds=5,
            nsamples=50,
            search_sizes=(200,),
            ntwins=20,
            nplanted=6,
            ntrials=10_000,
            shares=(0.01, 0.05, 0.1, 0.2, 0.25, 0.5),
            sample_sizes=(0, 5, 20, 50, 100, 500),
            noise_shares=(0.1, 0.2, 0.4),
            bits=(8, 4, 3, 2),
        ),
    )
}
