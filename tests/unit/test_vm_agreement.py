"""What counts as the same detections on machines of two kinds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vm.arm64 import SCORE, Tolerance, compare
from tests.vm.machine import MachineError

pytestmark = pytest.mark.once

TOLERANCE = Tolerance(score=0.02, iou=0.9)
HEAD: dict[str, Any] = {"class": "head", "score": 0.8, "box": [100.0, 100.0, 200.0, 300.0]}


def test_the_same_is_the_same() -> None:
    found = compare({"a.jpg": [HEAD], "b.jpg": []}, {"b.jpg": [], "a.jpg": [HEAD]})
    assert found.holds(TOLERANCE)
    assert (found.pictures, found.objects, found.score, found.iou) == (2, 1, 0.0, 1.0)


def test_a_little_is_measured() -> None:
    other = {**HEAD, "score": 0.79, "box": [100.0, 100.0, 200.0, 290.0]}
    found = compare({"a.jpg": [HEAD]}, {"a.jpg": [other]})
    assert found.holds(TOLERANCE)
    assert (round(found.score, 3), round(found.iou, 3)) == (0.01, 0.95)


@pytest.mark.parametrize(
    "other",
    [
        [],
        [HEAD, HEAD],
        [{**HEAD, "class": "helmet"}],
        [{**HEAD, "score": 0.7}],
        [{**HEAD, "box": [100.0, 100.0, 220.0, 300.0]}],
    ],
    ids=["missing", "doubled", "another class", "another score", "another place"],
)
def test_more_than_a_little_is_not_the_same(other: list[dict[str, Any]]) -> None:
    assert not compare({"a.jpg": [HEAD]}, {"a.jpg": other}).holds(TOLERANCE)


def test_what_is_just_above_the_threshold_may_be_missing() -> None:
    faint = {**HEAD, "score": SCORE + 0.01}
    far = {**faint, "box": [0.0, 0.0, 20.0, 20.0]}
    assert compare({"a.jpg": [HEAD, faint]}, {"a.jpg": [HEAD, far]}).holds(TOLERANCE)


def test_nothing_at_all_proves_nothing() -> None:
    assert not compare({"a.jpg": []}, {"a.jpg": []}).holds(TOLERANCE)


def test_other_pictures_are_no_answer() -> None:
    with pytest.raises(MachineError):
        compare({"a.jpg": []}, {"b.jpg": []})
