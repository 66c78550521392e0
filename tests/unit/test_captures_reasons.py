from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.captures.reasons import (
    BLINK_LEAST_SCORE,
    EDGE_VALUE,
    CaptureReason,
    Sighting,
    blink_strength,
    class_flips,
    closeness,
    disagreements,
    flip_strength,
    near_border,
    random_probability,
    together,
    uncertain_scores,
)
from daemon.detection.detections import HEAD, HELMET, PERSON
from daemon.frames import Box
from daemon.tracking.tracks import Evidence
from tests.support.captures import HEIGHT, WIDTH, detections, track
from updater.captures import REASONS

INSIDE = Box(200, 100, 280, 300)
UNIT = st.floats(0, 1)


def test_the_names_are_those_of_the_sidecar() -> None:
    assert tuple(reason.value for reason in CaptureReason) == REASONS


def test_closeness_is_greatest_at_the_threshold_and_least_at_the_edges() -> None:
    assert closeness(0.40, 0.40, 0.20, 0.55) == 1.0
    assert closeness(0.20, 0.40, 0.20, 0.55) == pytest.approx(EDGE_VALUE)
    assert closeness(0.55, 0.40, 0.20, 0.55) == pytest.approx(EDGE_VALUE)
    assert closeness(0.30, 0.40, 0.20, 0.55) == pytest.approx(0.6)
    assert closeness(0.19, 0.40, 0.20, 0.55) == closeness(0.56, 0.40, 0.20, 0.55) == 0.0


@given(UNIT, UNIT, UNIT, UNIT)
def test_closeness_is_between_its_bounds_wherever_the_band_lies(
    score: float, threshold: float, low: float, high: float
) -> None:
    value = closeness(score, threshold, low, high)
    inside = low <= score <= high
    assert EDGE_VALUE - 1e-9 <= value <= 1.0 if inside else value == 0.0


def test_uncertain_boxes_are_judged_by_the_threshold_of_their_class() -> None:
    found = detections(
        [
            (PERSON, 0.9, (0, 0, 10, 10)),
            (HELMET, 0.35, (0, 0, 20, 20)),
            (HEAD, 0.35, (0, 0, 30, 30)),
        ]
    )
    best, second = uncertain_scores(found, {HELMET: 0.35, HEAD: 0.5}, 0.2, 0.55)
    assert best.class_name == HELMET
    assert best.value == pytest.approx(1.0)
    assert (second.class_name, second.box) == (HEAD, Box(0, 0, 30, 30))
    assert second.value < 1.0


def evidence(*leads: float, step_s: float = 0.2) -> tuple[Evidence, ...]:
    """Positive leads are helmets, negative ones bare heads."""
    return tuple(
        Evidence(i * step_s, max(lead, 0.0), max(-lead, 0.0)) for i, lead in enumerate(leads)
    )


@pytest.mark.parametrize(
    ("leads", "strength"),
    [
        ((0.8, 0.7, -0.6), 0.6),  # a flip, as sure as its weaker side
        ((0.3, -0.9), 0.3),
        ((-0.5, 0.5), 0.5),  # either way
        ((0.8, 0.7, 0.6), 0.0),  # none
        ((0.8, -0.6, -0.6), 0.0),  # it was in an earlier frame
        ((0.8, 0.05, -0.6), 0.6),  # noise between is passed over
        ((0.8, -0.05), 0.0),  # noise is no flip
        ((0.8, -0.6, 0.05), 0.0),  # nor does it repeat the last one
        ((-0.6,), 0.0),
        ((), 0.0),
    ],
)
def test_a_flip_is_worth_its_weaker_side(leads: tuple[float, ...], strength: float) -> None:
    assert flip_strength(evidence(*leads)) == pytest.approx(strength)


def test_a_change_after_a_long_time_is_no_flip() -> None:
    assert flip_strength(evidence(0.8, -0.8, step_s=6.0)) == 0.0
    assert flip_strength(evidence(0.8, -0.8, step_s=4.0)) == pytest.approx(0.8)


def test_flips_are_looked_for_on_people_seen_in_this_frame() -> None:
    flipping = ((0.0, 0.8, 0.0), (0.2, 0.0, 0.7))
    seen, hidden = track(1, evidence=flipping), track(2, evidence=flipping, visible=False)
    (subject,) = class_flips([seen, hidden])
    assert (subject.class_name, subject.box, subject.value) == (PERSON, seen.box, 0.7)


def sightings(scores: str, box: Box = INSIDE, step_s: float = 0.2) -> tuple[Sighting, ...]:
    """A digit is a score in tenths, a dot a miss."""
    return tuple(
        Sighting(i * step_s, mark != ".", 0.0 if mark == "." else int(mark) / 10, box)
        for i, mark in enumerate(scores)
    )


@pytest.mark.parametrize(
    ("scores", "strength"),
    [
        ("8.9", 0.8),
        ("9..7", 0.7),
        ("9...7", 0.0),  # too long
        ("4.9", 0.0),  # not surely seen before
        ("9.4", 0.0),  # nor after
        ("999", 0.0),
        ("9.", 0.0),  # not back yet
        (".9", 0.0),  # never seen before
        ("9", 0.0),
        ("", 0.0),
        ("9.8.7", 0.7),  # the second blink
    ],
)
def test_a_blink_is_a_short_gap_between_sure_sightings(scores: str, strength: float) -> None:
    assert blink_strength(sightings(scores), WIDTH, HEIGHT) == pytest.approx(strength)
    assert BLINK_LEAST_SCORE == 0.5


def test_a_gap_at_the_border_is_no_blink() -> None:
    assert blink_strength(sightings("9.9", Box(2, 100, 80, 300)), WIDTH, HEIGHT) == 0.0


def test_a_gap_at_a_slow_frame_rate_may_be_a_person_who_went() -> None:
    assert blink_strength(sightings("9.9", step_s=1.0), WIDTH, HEIGHT) == 0.9
    assert blink_strength(sightings("9.9", step_s=1.1), WIDTH, HEIGHT) == 0.0


@pytest.mark.parametrize(
    ("box", "near"),
    [
        (Box(100, 100, 200, 200), False),
        (Box(10, 100, 200, 200), True),
        (Box(100, 5, 200, 200), True),
        (Box(100, 100, 630, 200), True),
        (Box(100, 100, 200, 355), True),
    ],
)
def test_the_border_is_three_percent_of_each_side(box: Box, near: bool) -> None:
    assert near_border(box, WIDTH, HEIGHT) is near


def test_models_disagree_where_one_finds_what_the_other_does_not() -> None:
    first = detections([(HEAD, 0.9, (0, 0, 100, 100)), (HELMET, 0.7, (200, 0, 300, 100))])
    second = detections(
        [
            (HEAD, 0.1, (5, 5, 100, 100)),  # a weak partner is one
            (HEAD, 0.8, (200, 0, 300, 100)),  # another class is none
            (PERSON, 0.3, (400, 0, 500, 100)),  # too weak to count
        ]
    )
    found = disagreements(first, second, 0.5)
    assert [(one.class_name, round(one.value, 3)) for one in found] == [(HEAD, 0.8), (HELMET, 0.7)]
    assert disagreements(first, first, 0.0) == ()
    assert disagreements(detections([]), detections([]), 0.0) == ()
    assert len(disagreements(first, detections([]), 0.0)) == 2


@pytest.mark.parametrize("fps", [1, 2, 5, 10, 30])
def test_random_pictures_come_at_their_rate_at_any_frame_rate(fps: int) -> None:
    chance = np.random.default_rng(fps)
    hours, per_hour = 40, 60.0
    draws = chance.random(hours * 3600 * fps) < random_probability(per_hour, 1 / fps)
    expected = hours * per_hour
    assert abs(int(draws.sum()) - expected) < 4 * math.sqrt(expected)


def test_a_pause_does_not_make_a_picture_certain() -> None:
    assert random_probability(1.0, 1e9) == random_probability(1.0, 60.0) < 0.02
    assert random_probability(1.0, 0.0) == random_probability(1.0, -5.0) == 0.0
    assert random_probability(0.0, 60.0) == 0.0


@given(st.lists(UNIT, min_size=1, max_size=6))
def test_reasons_together_are_worth_at_least_the_best(values: list[float]) -> None:
    assert max(values) - 1e-9 <= together(values) <= 1.0
