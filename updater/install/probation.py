"""The verdict on a release that runs on probation: a pure rule over what the daemon measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from updater import manifest as manifests
from updater.settings import ProbationConfig
from updater.trial import Comparison, Trial

MIN_FRAMES_FOR_SHARE = 50
"""Failed frames are judged as a share only among so many: one in three is no finding."""

MIN_INFERENCES_FOR_TIME = 30
"""Runs before the median time counts: the first ones are cold."""

MIN_STABLE = 20
"""Stable objects before agreement counts. Of 20, a model that finds each with 80 % is under the
usual 50 % once in 1,800 times (binomial tail: 0.00056). A site where nobody works never gets
there, so quiet condemns nobody."""

MIN_SAMPLES = 20
"""Compared frames before too many objects a frame count."""


class Verdict(StrEnum):
    """What becomes of the release."""

    WAIT = "wait"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and, for a bad one, the reason with its figures in one clause."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked of a release.

    Attributes:
        seconds: healthy time before it is good.
        frames: healthy frames before it is good.
        timeout_s: without a verdict for so long it is bad.
        max_failed_share: greatest share of frames that may fail.
        min_agreement: least share of the predecessor's stable objects that it must find.
        max_extra_per_frame: most objects a compared frame that the predecessor does not have.
        max_slowdown: greatest ratio of median model times to the predecessor's.
    """

    seconds: float
    frames: int
    timeout_s: float
    max_failed_share: float
    min_agreement: float
    max_extra_per_frame: float
    max_slowdown: float


def limits(makers: manifests.Probation, own: ProbationConfig) -> Limits:
    """The manifest's limits, each replaced by the device's own where that is not 0."""
    return Limits(
        seconds=own.seconds or makers.seconds,
        frames=own.frames or makers.frames,
        timeout_s=own.timeout_s,
        max_failed_share=own.max_failed_share,
        min_agreement=own.min_agreement or makers.min_agreement,
        max_extra_per_frame=own.max_extra_per_frame or makers.max_extra_per_frame,
        max_slowdown=own.max_slowdown or makers.max_slowdown,
    )


def judge(trial: Trial | None, asked: Limits, *, waited_s: float) -> Judgement:
    """The verdict so far.

    Args:
        trial: the daemon's figures for this very release; None where it reports none (yet).
        asked: what is asked.
        waited_s: how long a verdict has been waited for.
    """
    if trial is not None:
        for found in (_unloadable(trial), _failing(trial, asked), _slow(trial, asked)):
            if found:
                return Judgement(Verdict.BAD, found)
        if trial.comparison is not None:
            for found in (_blind(trial.comparison, asked), _firing(trial.comparison, asked)):
                if found:
                    return Judgement(Verdict.BAD, found)
        healthy = trial.running and trial.healthy_s >= asked.seconds
        if healthy and trial.processed >= asked.frames and not _is_undecided(trial.comparison):
            return Judgement(Verdict.GOOD)
    if waited_s >= asked.timeout_s:
        return Judgement(Verdict.BAD, _late(trial, asked))
    return Judgement(Verdict.WAIT)


def _is_undecided(comparison: Comparison | None) -> bool:
    """Whether there is somebody to look at, and more looks to come before it can be judged."""
    return comparison is not None and not comparison.done and 0 < comparison.stable < MIN_STABLE


def _unloadable(trial: Trial) -> str:
    return f"the daemon cannot run it: {trial.error}" if trial.error else ""


def _failing(trial: Trial, asked: Limits) -> str:
    looked = trial.processed + trial.failed
    if looked < MIN_FRAMES_FOR_SHARE or trial.failed <= asked.max_failed_share * looked:
        return ""
    return f"{trial.failed} of {looked} frames failed, and {asked.max_failed_share:.1%} are allowed"


def _slow(trial: Trial, asked: Limits) -> str:
    before_ms, now_ms = trial.previous_invoke_p50_ms, trial.invoke_p50_ms
    if trial.inferred < MIN_INFERENCES_FOR_TIME or not before_ms:
        return ""
    if now_ms <= asked.max_slowdown * before_ms:
        return ""
    return (
        f"a run takes {now_ms:.0f} ms, its predecessor took {before_ms:.0f} ms, "
        f"and {asked.max_slowdown:g} times as long is allowed"
    )


def _blind(comparison: Comparison, asked: Limits) -> str:
    stable, found = comparison.stable, comparison.found
    if stable < MIN_STABLE or found >= asked.min_agreement * stable:
        return ""
    return (
        f"it finds {found} of {stable} objects that its predecessor was sure of "
        f"({found / stable:.0%}), and {asked.min_agreement:.0%} are asked"
    )


def _firing(comparison: Comparison, asked: Limits) -> str:
    samples, extra = comparison.samples, comparison.extra
    if samples < MIN_SAMPLES or extra <= asked.max_extra_per_frame * samples:
        return ""
    return (
        f"it finds {extra / samples:.1f} objects a frame that its predecessor does not see, "
        f"and {asked.max_extra_per_frame:g} are allowed"
    )


def _late(trial: Trial | None, asked: Limits) -> str:
    if trial is None:
        return f"no daemon has run it within {asked.timeout_s:g} s"
    return (
        f"not proven within {asked.timeout_s:g} s: {trial.processed} of {asked.frames} frames in "
        f"{trial.healthy_s:.0f} of {asked.seconds:g} s"
    )
