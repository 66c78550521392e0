"""Suppression against a reference that compares pair by pair, written apart from the code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.detection.candidates import FEW, Candidates
from daemon.detection.iou import areas, iou_matrix
from daemon.detection.nms import suppress

Row = tuple[float, float, float, float]


def plain_iou(a: Row, b: Row) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def plain_nms(
    boxes: list[Row], scores: list[float], classes: list[int], threshold: float
) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if classes[k] == classes[index]]
        if all(plain_iou(boxes[k], boxes[index]) <= threshold for k in rivals):
            kept.append(index)
    return kept


# Whole pixels: then float32 and Python's floats see the very same IoU.
corners = st.tuples(
    st.integers(0, 40), st.integers(0, 40), st.integers(1, 30), st.integers(1, 30)
).map(lambda c: (float(c[0]), float(c[1]), float(c[0] + c[2]), float(c[1] + c[3])))
row = st.tuples(corners, st.integers(1, 50), st.integers(0, 2))


def crowd(seed: int) -> list[tuple[Row, int, int]]:
    """More boxes than plain Python compares: a matrix does."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 60, (FEW + 20, 2))
    corners = np.concatenate((places, places + rng.integers(1, 30, places.shape)), axis=1)
    scores, classes = rng.integers(1, 50, len(places)), rng.integers(0, 3, len(places))
    return [
        ((float(x1), float(y1), float(x2), float(y2)), score, class_id)
        for (x1, y1, x2, y2), score, class_id in zip(
            corners.tolist(), scores.tolist(), classes.tolist(), strict=True
        )
    ]


found = st.one_of(st.lists(row, max_size=30), st.integers(0, 2**32 - 1).map(crowd))
# No IoU of boxes of whole pixels up to 30x30 equals these: they are no ratio of two such areas.
thresholds = st.sampled_from([0.2501, 0.4501, 0.6001, 0.7001])


def candidates(rows: list[tuple[Row, int, int]]) -> Candidates:
    return Candidates(
        [row[0] for row in rows], [row[1] / 64 for row in rows], [row[2] for row in rows]
    )


@given(found, thresholds)
def test_agrees_with_the_plain_reference(
    rows: list[tuple[Row, int, int]], threshold: float
) -> None:
    kept = suppress(candidates(rows), iou_threshold=threshold)

    expected = plain_nms(
        [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], threshold
    )
    assert kept == expected


@given(found, thresholds)
def test_a_second_time_changes_nothing(rows: list[tuple[Row, int, int]], threshold: float) -> None:
    kept = suppress(candidates(rows), iou_threshold=threshold)

    again = suppress(candidates([rows[index] for index in kept]), iou_threshold=threshold)

    assert again == list(range(len(kept)))


@given(found, thresholds)
def test_no_two_kept_boxes_of_a_class_overlap_more_than_allowed(
    rows: list[tuple[Row, int, int]], threshold: float
) -> None:
    kept = suppress(candidates(rows), iou_threshold=threshold)

    boxes = np.array([rows[index][0] for index in kept], np.float32).reshape(-1, 4)
    scores = np.array([rows[index][1] for index in kept])
    classes = np.array([rows[index][2] for index in kept])
    overlaps = iou_matrix(boxes, boxes)
    same = classes[:, np.newaxis] == classes
    np.fill_diagonal(overlaps, 0)
    assert not (overlaps[same] > threshold).any()
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("others", [0, FEW])
def test_an_overlap_of_just_the_threshold_is_allowed(others: int) -> None:
    apart = 1000 + 20 * np.arange(others, dtype=np.float32)[:, np.newaxis] + np.zeros(4, np.float32)
    pair = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)  # IoU 0.5
    boxes = np.concatenate((pair, apart + np.array([0, 0, 5, 5], np.float32)))
    strengths = np.linspace(0.9, 0.1, len(boxes)).tolist()
    found = Candidates(boxes.tolist(), strengths, [0] * len(boxes))

    kept = suppress(found, iou_threshold=0.5)
    fewer = suppress(found, iou_threshold=0.499)

    assert len(kept) == len(boxes)
    assert fewer == [0, *range(2, len(boxes))]


def test_candidates_and_results_are_bounded() -> None:
    apart = [[at * 10.0, at * 10.0, at * 10.0 + 5, at * 10.0 + 5] for at in range(50)]
    found = Candidates(apart, np.linspace(0.1, 0.9, 50).tolist(), [0] * 50)

    few = suppress(found, iou_threshold=0.5, max_results=7)
    seen = suppress(found, iou_threshold=0.5, max_candidates=20)

    assert few == list(range(49, 42, -1))
    assert seen == list(range(49, 29, -1))


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one(count: int) -> None:
    found = Candidates([(1.0, 1.0, 1.0, 1.0)] * count, [1.0] * count, [0] * count)
    assert suppress(found, iou_threshold=0.5) == list(range(count))


@given(st.lists(corners, max_size=8), st.lists(corners, max_size=8))
def test_iou_agrees_with_the_plain_reference(left: list[Row], right: list[Row]) -> None:
    a = np.array(left, np.float32).reshape(-1, 4)
    b = np.array(right, np.float32).reshape(-1, 4)

    overlaps = iou_matrix(a, b)

    assert overlaps.shape == (len(left), len(right))
    expected = np.array([[plain_iou(x, y) for y in right] for x in left]).reshape(overlaps.shape)
    np.testing.assert_allclose(overlaps, expected, atol=1e-6)


def test_empty_boxes_overlap_nothing() -> None:
    boxes = np.array([[5, 5, 5, 5], [9, 9, 3, 3], [0, 0, 10, 10]], np.float32)
    assert areas(boxes).tolist() == [0, 0, 100]
    assert iou_matrix(boxes, boxes).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
