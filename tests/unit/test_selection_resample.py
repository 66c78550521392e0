from __future__ import annotations

import numpy as np
import pytest

from scripts.selection.resample import Boxes, Matched, average_precision, bootstrap, match

BOX = np.array([[0, 0, 10, 10]], np.float32)
FAR = np.array([[50, 50, 60, 60]], np.float32)
NONE = np.zeros((0, 4), np.float32)


def scores(*values: float) -> Boxes:
    return np.array(values, np.float32)


def test_a_label_is_found_once() -> None:
    twice = np.concatenate((BOX, BOX + 1))
    matched = match([BOX], [twice], [scores(0.4, 0.9)])
    assert matched.hits.tolist() == [True, False]  # the stronger, the second, comes first


def test_precision_by_hand() -> None:
    # Strongest first: hit, miss, hit; a third label is never found. Precision 1 up to a recall of
    # 1/3 (34 of 101 points), 2/3 up to 2/3 (33 points), then 0.
    matched = match(
        [BOX, NONE, BOX, BOX],
        [BOX, BOX, BOX, FAR],
        [scores(0.9), scores(0.8), scores(0.7), scores(0.1)],
    )
    assert matched.hits.tolist() == [True, False, True, False]
    plain = average_precision(matched, np.ones(4))
    assert plain == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)


def test_a_weight_of_two_is_a_picture_twice() -> None:
    rng = np.random.default_rng(0)
    truth = [rng.uniform(0, 50, (3, 4)).astype(np.float32) for _ in range(6)]
    for boxes in truth:
        boxes[:, 2:] = boxes[:, :2] + 20
    found = [boxes + rng.normal(0, 4, boxes.shape).astype(np.float32) for boxes in truth]
    # No two scores alike: which of two equals comes first is not defined.
    strength = [rng.random(3).astype(np.float32) for _ in truth]
    weights = np.array([2.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    weighted = average_precision(match(truth, found, strength), weights)
    chosen = [0, 0, 1, 3, 4]
    repeated = match(
        [truth[i] for i in chosen], [found[i] for i in chosen], [strength[i] for i in chosen]
    )
    # Where a picture comes twice, precision between its two equal detections is not asked for.
    assert weighted == pytest.approx(average_precision(repeated, np.ones(5)), abs=0.05)


def test_nothing_to_find_is_no_figure() -> None:
    assert np.isnan(average_precision(match([NONE], [BOX], [scores(0.5)]), np.ones(1)))


def test_a_clear_difference_is_told_from_none() -> None:
    rng = np.random.default_rng(1)

    def of(share: float) -> Matched:
        return Matched(np.arange(100), rng.random(100) < share, np.ones(100, np.int64))

    good, bad = of(0.9), of(0.5)
    span = bootstrap([good], [bad], draws=200)
    assert 0 < span.low < span.mean < span.high
    same = bootstrap([good], [good], draws=50)
    assert (same.low, same.mean, same.high) == (0.0, 0.0, 0.0)
