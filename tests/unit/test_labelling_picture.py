"""Boxes are kept, clipped or refused; several people's labels hold only when they agree."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.labelling.agreement import Opinion, agreed
from scripts.labelling.classes import UnknownClassError, class_map
from scripts.labelling.picture import Box, BrokenLabelError, placed, same_boxes
from scripts.labelling.review import review
from tests.support.labelled import BOXES, CLASSES
from updater.errors import UsageError

SIDES = st.floats(-1000, 1000)


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_placed_box_lies_in_its_picture_and_keeps_most_of_itself(
    x1: float, y1: float, x2: float, y2: float
) -> None:
    box = Box("head", x1, y1, x2, y2)
    try:
        kept = placed(box, 320, 180)
    except BrokenLabelError:
        return
    assert 0 <= kept.x1 < kept.x2 <= 320
    assert 0 <= kept.y1 < kept.y2 <= 180
    assert kept.area >= box.area / 2


@pytest.mark.parametrize(
    ("corners", "why"),
    [
        ((10, 10, 10, 20), "empty"),
        ((30, 10, 20, 20), "empty"),
        ((10, 10, math.nan, 20), "finite"),
        ((10, 10, math.inf, 20), "finite"),
        ((400, 10, 440, 50), "outside"),
        ((300, 10, 360, 50), "outside"),
        ((10, 10, 10.5, 50), "less than"),
    ],
)
def test_a_broken_box_is_refused(corners: tuple[float, float, float, float], why: str) -> None:
    with pytest.raises(BrokenLabelError, match=why):
        placed(Box("head", *corners), 320, 180)


def test_a_box_over_the_edge_is_clipped() -> None:
    assert placed(Box("head", -5, 10, 40, 50), 320, 180) == Box("head", 0, 10, 40, 50)


def test_the_same_boxes_in_another_order_and_half_a_pixel_off_are_the_same() -> None:
    moved = [Box(b.name, b.x1 + 0.4, b.y1, b.x2, b.y2 - 0.4) for b in reversed(BOXES)]
    assert same_boxes(BOXES, moved)
    assert not same_boxes(BOXES, moved[:1])
    assert not same_boxes(BOXES, [Box("person", *b.corners) for b in BOXES])
    assert not same_boxes(BOXES, [Box(b.name, b.x1 + 0.6, b.y1, b.x2, b.y2) for b in BOXES])
    assert not same_boxes([BOXES[0], BOXES[0]], BOXES)


def test_people_who_differ_need_a_truth() -> None:
    one, other = Opinion(BOXES), Opinion(BOXES[:1])
    assert agreed([one, one], "") == BOXES
    with pytest.raises(BrokenLabelError, match="2 people's labels differ: mark one"):
        agreed([one, other], "mark one")
    assert agreed([one, Opinion(BOXES[:1], reference=True)], "") == BOXES[:1]


def test_classes_are_mapped_by_name_and_never_by_likeness() -> None:
    mapping = class_map(CLASSES, ["hard=hat=helmet", "truck=-"])
    boxes = [Box("hard=hat", 1, 2, 3, 4), Box("truck", 1, 2, 3, 4), Box("head", 5, 6, 7, 8)]
    assert [box.name for box in mapping.apply(boxes)] == ["helmet", "head"]
    with pytest.raises(UnknownClassError, match="'Head'"):
        mapping.apply([Box("Head", 1, 2, 3, 4)])


@pytest.mark.parametrize("options", [["hat"], ["hat=cap"], ["=head"], ["a=head", "a=helmet"]])
def test_a_mapping_that_makes_no_sense_is_refused(options: list[str]) -> None:
    with pytest.raises(UsageError, match="--map"):
        class_map(CLASSES, options)


def test_a_review_sorts_prelabels_by_what_people_did() -> None:
    helmet, head = Box("helmet", 0, 0, 20, 20), Box("head", 50, 0, 70, 20)
    proposed = [helmet, head, Box("person", 200, 0, 240, 100)]
    people = [
        Box("helmet", 2, 0, 22, 20),
        Box("helmet", 50, 0, 70, 20),
        Box("head", 100, 0, 120, 9),
    ]
    found = review([(proposed, people), ([], [head])])
    assert found.kept == {"helmet": 1}
    assert found.relabelled == {"helmet": 1}
    assert found.removed == {"person": 1}
    assert found.added == {"head": 2}


def test_of_two_boxes_on_one_place_the_right_class_counts_as_kept() -> None:
    helmet, head = Box("helmet", 0, 0, 20, 20), Box("head", 0, 0, 20, 20)
    found = review([([head, helmet], [helmet])])
    assert (found.kept, found.removed) == ({"helmet": 1}, {"head": 1})
