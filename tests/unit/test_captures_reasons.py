from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.captures.reasons import (
    BLINK_LEAST_SCORE,
    CONTRADICTION_VALUE,
    EDGE_VALUE,
    CaptureReason,
    Sighting,
    Subject,
    all_subjects,
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


HERE = (0.0, 0.0, 100.0, 100.0)
NEARLY_HERE = (5.0, 5.0, 100.0, 100.0)
THERE = (200.0, 0.0, 300.0, 100.0)
Rows = list[tuple[str, float, tuple[float, float, float, float]]]


def disagreed(first: Rows, second: Rows) -> list[tuple[str, float]]:
    """Class and value of each subject; the first is sure from 0.5, the second from 0.4 on."""
    found = disagreements(detections(first), detections(second), first_score=0.5, second_score=0.4)
    return [(one.class_name, round(one.value, 3)) for one in found]


def test_models_disagree_where_one_is_sure_of_what_the_other_does_not_see() -> None:
    first: Rows = [(HEAD, 0.9, HERE), (PERSON, 0.7, THERE)]
    assert disagreed(first, []) == [(HEAD, 0.9), (PERSON, 0.7)]
    assert disagreed([], first) == [(HEAD, 0.9), (PERSON, 0.7)]
    assert disagreed(first, [(HEAD, 0.1, NEARLY_HERE)]) == [(PERSON, 0.7)], "a weak one is enough"
    assert disagreed(first, first) == []
    assert disagreed([], []) == []


def test_each_model_is_sure_from_its_own_threshold() -> None:
    assert disagreed([(HEAD, 0.45, HERE)], []) == []
    assert disagreed([], [(HEAD, 0.45, HERE)]) == [(HEAD, 0.45)]
    assert disagreed([], [(HEAD, 0.39, HERE)]) == []


def test_another_class_at_the_place_is_another_object() -> None:
    assert disagreed([(HEAD, 0.9, HERE)], [(PERSON, 0.8, HERE)]) == [(HEAD, 0.9), (PERSON, 0.8)]


def test_helmet_against_head_counts_most() -> None:
    least: Rows = [(HEAD, 0.5, HERE)]
    assert disagreed(least, [(HELMET, 0.4, NEARLY_HERE)]) == [(HEAD, 1.0), (HELMET, 1.0)]
    assert disagreed(least, [(HELMET, 0.4, THERE)]) == [(HEAD, 0.5), (HELMET, 0.4)]
    # What each has of the other's beside it changes nothing as long as it is not sure.
    doubtful: Rows = [(HELMET, 0.9, HERE), (HEAD, 0.2, HERE)]
    assert disagreed([(HEAD, 0.9, HERE), (HELMET, 0.3, HERE)], doubtful) == [
        (HEAD, 1.0),
        (HELMET, 1.0),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([(HEAD, 0.49, HERE)], [(HELMET, 0.39, HERE)]),  # neither is sure
        ([(HEAD, 0.9, HERE)], [(HELMET, 0.9, HERE), (HEAD, 0.8, HERE)]),  # sure of both
    ],
)
def test_who_is_sure_of_both_or_of_none_contradicts_nobody(first: Rows, second: Rows) -> None:
    for subjects in (disagreed(first, second), disagreed(second, first)):
        assert all(value < CONTRADICTION_VALUE for _, value in subjects)


found_somewhere = st.lists(
    st.tuples(
        st.sampled_from([HELMET, HEAD, PERSON]),
        st.floats(0.01, 1.0),
        st.integers(0, 10).map(lambda at: (20.0 * at, 0.0, 20.0 * at + 100, 100.0)),
    ),
    max_size=6,
)


@given(found_somewhere, found_somewhere)
def test_it_does_not_matter_which_model_is_the_first(first: Rows, second: Rows) -> None:
    one, other = detections(first), detections(second)
    found = disagreements(one, other, first_score=0.5, second_score=0.4)
    turned = disagreements(other, one, first_score=0.4, second_score=0.5)
    assert set(found) == set(turned)
    assert all(0 < subject.value <= 1 for subject in found)
    assert disagreements(one, one, first_score=0.5, second_score=0.5) == ()


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


def _subjects(values: list[float]) -> list[Subject]:
    return [Subject(HELMET, Box(0, 0, 10, 10), value) for value in values]


@pytest.mark.parametrize(
    ("values", "worth"), [([], 0.0), ([1.0], 0.5), ([0.5, 0.5], 0.5), ([1.0] * 4, 0.8)]
)
def test_the_value_of_a_reason(values: list[float], worth: float) -> None:
    assert all_subjects(_subjects(values)) == pytest.approx(worth)


@given(st.lists(UNIT, max_size=50), st.floats(0.01, 1.0))
def test_every_further_subject_makes_a_reason_worth_more(values: list[float], more: float) -> None:
    assert 0.0 <= all_subjects(_subjects(values)) < all_subjects(_subjects([*values, more])) < 1.0
