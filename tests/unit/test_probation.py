"""The verdict on a release on probation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater import manifest as manifests
from updater.install.probation import (
    MIN_FRAMES_FOR_SHARE,
    MIN_INFERENCES_FOR_TIME,
    MIN_SAMPLES,
    MIN_STABLE,
    Judgement,
    Limits,
    Verdict,
    judge,
    limits,
)
from updater.settings import ProbationConfig
from updater.trial import Comparison, Trial

ASKED = Limits(
    seconds=120.0,
    frames=100,
    timeout_s=600.0,
    max_failed_share=0.02,
    min_agreement=0.5,
    max_extra_per_frame=2.0,
    max_slowdown=3.0,
)
QUIET = Comparison(samples=60, stable=0, found=0, extra=0, done=True)
HEALTHY = Trial(
    digest="a" * 64,
    running=True,
    healthy_s=121.0,
    processed=600,
    inferred=600,
    failed=0,
    invoke_p50_ms=80.0,
    previous_invoke_p50_ms=75.0,
    comparison=Comparison(samples=60, stable=40, found=38, extra=5, done=True),
    error="",
)


def bad(reason: str) -> Judgement:
    return Judgement(Verdict.BAD, reason)


def test_a_healthy_release_is_good() -> None:
    assert judge(HEALTHY, ASKED, waited_s=125.0) == Judgement(Verdict.GOOD)


def test_a_quiet_site_condemns_nobody() -> None:
    assert judge(replace(HEALTHY, comparison=QUIET), ASKED, waited_s=125.0).verdict == Verdict.GOOD
    no_predecessor = replace(HEALTHY, comparison=None, inferred=0, invoke_p50_ms=0.0)
    assert judge(no_predecessor, ASKED, waited_s=125.0).verdict == Verdict.GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"healthy_s": 119.9},
        {"processed": 99},
        {"running": False, "healthy_s": 0.0, "processed": 0, "inferred": 0},
    ],
)
def test_time_and_frames_are_both_asked(change: dict[str, float]) -> None:
    assert judge(replace(HEALTHY, **change), ASKED, waited_s=125.0).verdict == Verdict.WAIT  # type: ignore[arg-type]


def test_begun_evidence_is_waited_for() -> None:
    begun = Comparison(samples=6, stable=12, found=0, extra=0, done=False)
    trial = replace(HEALTHY, comparison=begun)
    assert judge(trial, ASKED, waited_s=125.0).verdict == Verdict.WAIT
    over = replace(trial, comparison=replace(begun, done=True))
    assert judge(over, ASKED, waited_s=125.0).verdict == Verdict.GOOD


def test_not_in_time() -> None:
    late = replace(HEALTHY, healthy_s=60.4, processed=30, inferred=30)
    assert judge(late, ASKED, waited_s=599.0).verdict == Verdict.WAIT
    assert judge(late, ASKED, waited_s=600.0) == bad(
        "not proven within 600 s: 30 of 100 frames in 60 of 120 s"
    )
    assert judge(None, ASKED, waited_s=600.0) == bad("no daemon has run it within 600 s")
    assert judge(None, ASKED, waited_s=0.0).verdict == Verdict.WAIT


def test_a_release_that_cannot_be_loaded() -> None:
    trial = replace(HEALTHY, running=False, error="no runtime here can run it")
    assert judge(trial, ASKED, waited_s=3.0) == bad(
        "the daemon cannot run it: no runtime here can run it"
    )


def test_failed_frames() -> None:
    few = replace(HEALTHY, processed=MIN_FRAMES_FOR_SHARE - 20, failed=19, healthy_s=10.0)
    assert judge(few, ASKED, waited_s=10.0).verdict == Verdict.WAIT
    assert judge(replace(HEALTHY, processed=90, failed=10), ASKED, waited_s=20.0) == bad(
        "10 of 100 frames failed, and 2.0% are allowed"
    )
    assert judge(replace(HEALTHY, processed=98, failed=2), ASKED, waited_s=1.0).verdict != "bad"


def test_a_slow_release() -> None:
    slow = replace(HEALTHY, invoke_p50_ms=301.0, previous_invoke_p50_ms=100.0)
    assert judge(slow, ASKED, waited_s=20.0) == bad(
        "a run takes 301 ms, its predecessor took 100 ms, and 3 times as long is allowed"
    )
    cold = replace(slow, inferred=MIN_INFERENCES_FOR_TIME - 1)
    assert judge(cold, ASKED, waited_s=20.0).verdict == Verdict.GOOD
    unknown = replace(slow, previous_invoke_p50_ms=0.0)
    assert judge(unknown, ASKED, waited_s=20.0).verdict == Verdict.GOOD


def test_a_blind_release_is_told_with_both_figures() -> None:
    blind = Comparison(samples=12, stable=24, found=1, extra=0, done=False)
    early = replace(HEALTHY, healthy_s=12.0, processed=60, comparison=blind)
    assert judge(early, ASKED, waited_s=12.0) == bad(
        "it finds 1 of 24 objects that its predecessor was sure of (4%), and 50% are asked"
    )
    few = replace(blind, stable=MIN_STABLE - 1, found=0)
    assert judge(replace(early, comparison=few), ASKED, waited_s=12.0).verdict == Verdict.WAIT


def test_a_release_that_fires_everywhere() -> None:
    firing = Comparison(samples=MIN_SAMPLES, stable=0, found=0, extra=130, done=False)
    early = replace(HEALTHY, healthy_s=20.0, processed=90, comparison=firing)
    assert judge(early, ASKED, waited_s=20.0) == bad(
        "it finds 6.5 objects a frame that its predecessor does not see, and 2 are allowed"
    )
    few = replace(firing, samples=MIN_SAMPLES - 1)
    assert judge(replace(early, comparison=few), ASKED, waited_s=20.0).verdict == Verdict.WAIT


def test_bad_figures_win_over_time_served() -> None:
    """A release that is blind is not committed because its minutes are up."""
    blind = Comparison(samples=120, stable=200, found=10, extra=0, done=True)
    assert judge(replace(HEALTHY, comparison=blind), ASKED, waited_s=125.0).verdict == Verdict.BAD


def test_limits_of_the_device_replace_the_makers_unless_zero() -> None:
    makers = manifests.Probation(seconds=60.0, frames=50, min_agreement=0.7)
    own = ProbationConfig()
    assert limits(makers, own) == Limits(
        seconds=60.0,
        frames=50,
        timeout_s=own.timeout_s,
        max_failed_share=own.max_failed_share,
        min_agreement=0.7,
        max_extra_per_frame=makers.max_extra_per_frame,
        max_slowdown=makers.max_slowdown,
    )
    changed = limits(makers, replace(own, seconds=30.0, min_agreement=0.9))
    assert (changed.seconds, changed.frames, changed.min_agreement) == (30.0, 50, 0.9)


@given(
    stable=st.integers(0, 500),
    share=st.floats(0.6, 1.0),
    samples=st.integers(0, 200),
    failed=st.integers(0, 2),
)
def test_a_release_as_good_as_its_predecessor_is_never_condemned(
    stable: int, share: float, samples: int, failed: int
) -> None:
    figures = Comparison(
        samples=samples, stable=stable, found=round(share * stable), extra=samples, done=True
    )
    trial = replace(HEALTHY, comparison=figures, failed=failed)
    assert judge(trial, ASKED, waited_s=0.0).verdict == Verdict.GOOD
