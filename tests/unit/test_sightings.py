from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.detection.detections import HEAD, HELMET, PERSON, Detection
from daemon.frames import Box
from daemon.tracking.sightings import MOST_BOXES, Sighting, overlap, sightings
from tests.support.scenes import HEIGHT, WIDTH, detections


def people(*found: Detection) -> tuple[Sighting, ...]:
    return sightings(detections(found), least_score=0.15)


def body(x: float, top: float = 200, height: float = 400, score: float = 0.9) -> Detection:
    return Detection(PERSON, score, Box(x - 0.2 * height, top, x + 0.2 * height, top + height))


def head(
    x: float, top: float = 200, kind: str = HELMET, *, size: float = 56, score: float = 0.8
) -> Detection:
    return Detection(kind, score, Box(x - size / 2, top, x + size / 2, top + size))


def test_a_head_belongs_to_the_body_under_it() -> None:
    (one,) = people(body(600), head(600))
    assert one.body is not None
    assert one.head is not None
    assert (one.head.helmet_score, one.head.bare_score) == pytest.approx((0.8, 0))
    assert one.head_in_view
    assert one.box == one.body


def test_a_helmet_a_little_above_the_body_belongs_to_it() -> None:
    (one,) = people(body(600, top=240), head(600, top=200))
    assert one.head is not None


@pytest.mark.parametrize(
    "stray",
    [
        head(600, top=450),
        head(600, top=310),
        head(660, top=270),
        head(600, top=120),
        head(760),
        head(600, size=16),
    ],
    ids=[
        "at the knees",
        "carried in the hand",
        "the hand itself",
        "far above",
        "far beside",
        "of somebody far away",
    ],
)
def test_what_does_not_fit_is_not_taken(stray: Detection) -> None:
    owner = next(one for one in people(body(600), stray) if one.body is not None)
    assert owner.head is None


def test_who_bends_over_still_has_a_head() -> None:
    bent = Detection(PERSON, 0.9, Box(480, 300, 720, 600))
    (one,) = people(bent, head(520, top=380))
    assert one.head is not None


@pytest.mark.parametrize("apart", [60, 90, 130])
def test_people_who_overlap_keep_their_own_heads(apart: int) -> None:
    found = people(body(600), body(600 + apart), head(600), head(600 + apart, kind=HEAD))
    assert len(found) == 2
    left, right = sorted(found, key=lambda one: one.box.x1)
    assert left.head is not None
    assert right.head is not None
    assert (left.head.bare_score, right.head.helmet_score) == (0, 0)


def test_the_helmet_of_a_neighbour_is_not_stolen_but_hides_the_head() -> None:
    found = people(body(600), body(680), head(600))
    left, right = sorted(found, key=lambda one: one.box.x1)
    assert left.head is not None
    assert (right.head, right.head_in_view) == (None, False)


def test_both_classes_on_one_head_are_two_opinions_on_it() -> None:
    (one,) = people(body(600), head(600, score=0.5), head(604, 204, HEAD, score=0.6))
    assert one.head is not None
    assert (one.head.helmet_score, one.head.bare_score) == pytest.approx((0.5, 0.6))
    assert one.head.box.x1 == 576, "the stronger one's box"


def test_a_box_within_a_box_on_one_head_is_not_a_second_person() -> None:
    assert len(people(body(600), head(600, kind=HEAD), head(600, 210, HEAD, size=30))) == 1


@pytest.mark.parametrize(
    "second",
    [Box(530, 205, 670, 420), Box(505, 320, 680, 600), Box(540, 180, 760, 600)],
    ids=["head and chest", "hips and legs", "shifted by a stride"],
)
def test_a_second_box_around_the_same_person_is_nobody_new(second: Box) -> None:
    found = people(body(600), Detection(PERSON, 0.95, second), head(600))
    assert sorted((one.head is not None, one.fresh) for one in found) == [
        (False, False),
        (True, True),
    ]


def test_somebody_far_away_beside_the_hips_of_somebody_near_is_a_person() -> None:
    found = people(body(600, top=20, height=680), body(640, top=330, height=260), head(600, top=20))
    assert [one.fresh for one in found] == [True, True]


def test_two_boxes_with_a_head_each_are_two_people() -> None:
    found = people(body(600), body(640), head(590, kind=HEAD), head(650))
    assert len(found) == 2
    assert all(one.head is not None for one in found)


def test_a_head_alone_is_somebody() -> None:
    (one,) = people(head(600, kind=HEAD))
    assert one.body is None
    assert one.fresh
    assert one.score == pytest.approx(0.8)


def test_a_second_head_over_one_body_is_somebody_behind() -> None:
    found = people(body(600), head(590, kind=HEAD), head(670))
    assert [one.fresh for one in found] == [True, True]
    assert sum(one.body is not None for one in found) == 1


def test_a_head_on_the_belly_is_nobody_new() -> None:
    stray = next(one for one in people(body(600), head(600, top=420)) if one.body is None)
    assert not stray.fresh


@pytest.mark.parametrize(
    ("found", "in_view"),
    [
        (body(600), True),
        (Detection(PERSON, 0.9, Box(500, 0, 700, 250)), False),
        (Detection(PERSON, 0.9, Box(520, 0, 680, 400)), True),
        (Detection(PERSON, 0.9, Box(400, 0, 750, 719)), False),
        (Detection(PERSON, 0.9, Box(2, 200, 90, 600)), False),
        (Detection(PERSON, 0.9, Box(1190, 200, 1279, 600)), False),
        (Detection(PERSON, 0.9, Box(500, 500, 700, 650)), False),
    ],
    ids=[
        "in full view",
        "legs at the upper edge",
        "tall, touching the upper edge",
        "a trunk between the edges",
        "cut at the left",
        "cut at the right",
        "broader than high",
    ],
)
def test_whether_a_head_would_be_seen(found: Detection, in_view: bool) -> None:
    (one,) = people(found)
    assert one.head_in_view is in_view


def test_a_head_found_is_in_view_wherever_it_is() -> None:
    (one,) = people(Detection(PERSON, 0.9, Box(500, 0, 700, 250)), head(600, top=0))
    assert one.head_in_view


def test_weak_and_empty_boxes_are_noise() -> None:
    empty = Detection(PERSON, 0.9, Box(5, 5, 5, 50))
    assert people(body(600, score=0.1), head(600, score=0.1), empty) == ()


def test_work_is_bounded() -> None:
    crowd = [body(20 * i, height=100, score=0.5 + i / 1000) for i in range(2 * MOST_BOXES)]
    assert len(people(*crowd)) <= MOST_BOXES


coordinates = st.tuples(
    st.floats(0, WIDTH), st.floats(0, HEIGHT), st.floats(0, WIDTH), st.floats(0, HEIGHT)
)
boxes = coordinates.map(lambda c: Box(min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]),
                                      max(c[1], c[3])))  # fmt: skip
anything = st.lists(
    st.builds(Detection, st.sampled_from((HELMET, HEAD, PERSON)), st.floats(0, 1), boxes),
    max_size=12,
)


@given(anything, st.randoms(use_true_random=False))
def test_any_detections_give_each_head_to_one_in_any_order(
    found: list[Detection], chance: random.Random
) -> None:
    first = people(*found)
    chance.shuffle(found)
    assert people(*found) == first
    heads = [one.head.box for one in first if one.head is not None]
    assert len(set(heads)) == len(heads)
    assert all(one.body is not None or one.head is not None for one in first)
    assert all(0.15 <= one.score <= 1 for one in first)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_a_share(a: Box, b: Box) -> None:
    assert 0 <= overlap(a, b) <= 1 + 1e-9
    assert math.isclose(overlap(a, b), overlap(b, a))
    if a.area > 1:
        assert math.isclose(overlap(a, a), 1)
