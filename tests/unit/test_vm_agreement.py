"""What counts as the same detections on machines of two kinds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vm.arm64 import SCORE, compare
from tests.vm.machine import MachineError

pytestmark = pytest.mark.once

HEAD: dict[str, Any] = {"class": "head", "score": 0.8, "box": [100.0, 100.0, 200.0, 300.0]}


def test_the_same_is_the_same() -> None:
    found = compare({"a.jpg": [HEAD], "b.jpg": []}, {"b.jpg": [], "a.jpg": [HEAD]})
    assert found.holds
    assert (found.pictures, found.objects, found.score, found.box) == (2, 1, 0.0, 0.0)


def test_a_little_is_measured() -> None:
    other = {**HEAD, "score": 0.79, "box": [101.0, 100.0, 200.0, 302.0]}
    found = compare({"a.jpg": [HEAD]}, {"a.jpg": [other]})
    assert found.holds
    assert (round(found.score, 3), found.box) == (0.01, 0.01)


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
    assert not compare({"a.jpg": [HEAD]}, {"a.jpg": other}).holds


def test_what_is_just_above_the_threshold_may_be_missing() -> None:
    faint = {**HEAD, "score": SCORE + 0.01}
    far = {**faint, "box": [0.0, 0.0, 20.0, 20.0]}
    assert compare({"a.jpg": [HEAD, faint]}, {"a.jpg": [HEAD, far]}).holds


def test_nothing_at_all_proves_nothing() -> None:
    assert not compare({"a.jpg": []}, {"a.jpg": []}).holds


def test_other_pictures_are_no_answer() -> None:
    with pytest.raises(MachineError):
        compare({"a.jpg": []}, {"b.jpg": []})
