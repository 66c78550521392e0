from __future__ import annotations

from daemon.detection.detections import HEAD, PERSON
from daemon.frames import Box
from daemon.tracking.bodies import body_px, centre, crown, ground_px


def test_a_body_and_its_head_tell_the_same_size_and_ground() -> None:
    body, head = Box(100, 50, 220, 350), Box(140, 50, 180, 90)
    assert body_px(PERSON, body) == body_px(HEAD, head) == 300
    assert ground_px(PERSON, body) == ground_px(HEAD, head) == (160, 350)


def test_a_cut_body_is_larger_than_it_is_high() -> None:
    assert body_px(PERSON, Box(0, 600, 200, 700)) == 400


def test_no_box_is_smaller_than_a_pixel() -> None:
    assert body_px(PERSON, Box(3, 3, 3, 3)) == body_px(HEAD, Box(3, 3, 3, 3)) == 1


def test_centre() -> None:
    assert centre(Box(0, 10, 20, 40)) == (10, 25)


def test_body_and_head_have_the_same_crown() -> None:
    assert crown(Box(100, 50, 220, 350)) == crown(Box(140, 50, 180, 90)) == (160, 50)
