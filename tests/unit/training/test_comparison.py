from __future__ import annotations

import math

import numpy as np
import pytest
from training.comparison import MEAN, compare, precision50
from training.dataset import CLASSES
from training.decode import Found
from training.metrics import Evaluation, judge

MAIN = ("helmet", "head")


def world(seed: int, pictures: int, recall: float, noise: int) -> Evaluation:
    """A model that finds a share of random boxes, and some that are not there."""
    truth, seen = [], []
    layout = np.random.default_rng(7)  # the same pictures for every model
    chance = np.random.default_rng(seed)
    for _ in range(pictures):
        count = int(layout.integers(1, 6))
        corner = layout.uniform(0, 900, (count, 2))
        boxes = np.concatenate((corner, corner + 40), 1)
        labels = layout.integers(0, 3, count)
        truth.append(np.concatenate((labels[:, None], boxes), 1).astype(np.float32))
        kept = chance.random(count) < recall
        false = chance.uniform(1000, 1900, (noise, 2))
        where = np.concatenate((boxes[kept], np.concatenate((false, false + 40), 1)))
        scores = np.concatenate((chance.uniform(0.3, 1, kept.sum()), chance.uniform(0, 0.8, noise)))
        kinds = np.concatenate((labels[kept], chance.integers(0, 3, noise)))
        seen.append(Found(where.astype(np.float32), scores.astype(np.float32), kinds))
    return judge(truth, seen, CLASSES)


def test_drawing_every_picture_once_gives_pycocotools_own_figure() -> None:
    evaluation = world(1, pictures=30, recall=0.8, noise=3)
    once = np.ones((1, 30), np.int64)
    for name in CLASSES:
        (value,) = precision50(evaluation.matches[name], once)
        assert value == pytest.approx(evaluation.precision[name].map50, abs=1e-9)
        assert np.mean(evaluation.precision[name].curve) == pytest.approx(value)


def test_drawing_a_picture_twice_is_having_it_twice() -> None:
    evaluation = world(1, pictures=4, recall=0.8, noise=3)
    counts = np.asarray([[2, 0, 1, 1]])
    (drawn,) = precision50(evaluation.matches["head"], counts)
    assert 0 <= drawn <= 1
    # A draw without any label of a class tells nothing of it.
    empty = np.zeros((1, 4), np.int64)
    assert math.isnan(precision50(evaluation.matches["head"], empty)[0])


def test_a_model_against_itself_has_not_changed_at_all() -> None:
    evaluation = world(1, pictures=20, recall=0.8, noise=2)
    for change in compare(evaluation, evaluation, CLASSES, MAIN):
        assert (change.gain, change.low, change.high) == (0.0, 0.0, 0.0)


def test_a_much_better_model_is_so_beyond_chance_and_a_like_one_is_not() -> None:
    old = world(1, pictures=60, recall=0.6, noise=2)
    better, alike = world(2, 60, recall=0.95, noise=2), world(3, 60, recall=0.6, noise=2)
    changes = {change.name: change for change in compare(better, old, CLASSES, MAIN)}
    assert list(changes) == [*CLASSES, MEAN]
    assert changes[MEAN].low > 0.1
    assert changes[MEAN].low < changes[MEAN].gain < changes[MEAN].high
    assert changes[MEAN].new == pytest.approx(np.mean([changes[name].new for name in MAIN]))
    (mean,) = (each for each in compare(alike, old, CLASSES, MAIN) if each.name == MEAN)
    assert mean.low < 0 < mean.high


def test_other_pictures_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same pictures"):
        compare(world(1, 10, 0.5, 1), world(1, 11, 0.5, 1), CLASSES, MAIN)


def test_a_model_that_finds_nothing_scores_zero() -> None:
    nothing = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    truth = [np.asarray([[0, 1, 1, 9, 9]], np.float32)]
    evaluation = judge(truth, [nothing], CLASSES)
    assert evaluation.matches["helmet"].labels.tolist() == [1]
    assert precision50(evaluation.matches["helmet"], np.ones((1, 1), np.int64))[0] == 0.0
