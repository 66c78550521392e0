"""What two models do not agree on in a frame, made ready for the selector."""

from __future__ import annotations

import pytest

from daemon.captures.disagreement import find_disagreement
from daemon.captures.phash import phash
from daemon.detection.detections import HEAD, HELMET
from daemon.frames import Box, RgbImage
from tests.support.captures import detections, frame, scene

BARE = detections([(HEAD, 0.8, (100, 50, 140, 90))])
HELMETED = detections([(HELMET, 0.6, (100, 50, 140, 90))])


def test_a_disagreement_has_what_the_selector_needs() -> None:
    looked = frame(3)
    found = find_disagreement(
        looked, BARE, HELMETED, running_score=0.5, other_score=0.5, small=lambda: scene(4)
    )
    assert found is not None
    assert found.frame is looked
    assert (found.detections, found.other) == (BARE, HELMETED)
    assert [subject.class_name for subject in found.subjects] == [HEAD, HELMET]
    assert all(subject.box == Box(100, 50, 140, 90) for subject in found.subjects)
    assert found.phash == phash(scene(4))


@pytest.mark.parametrize(("running_score", "other_score"), [(0.5, 0.5), (0.9, 0.1), (0.1, 0.9)])
def test_where_models_agree_no_picture_is_made(running_score: float, other_score: float) -> None:
    def never() -> RgbImage:
        raise AssertionError

    assert (
        find_disagreement(
            frame(), BARE, BARE, running_score=running_score, other_score=other_score, small=never
        )
        is None
    )
