from __future__ import annotations

import math

import numpy as np
import pytest
from training.comparison import MEAN, compare
from training.dataset import CLASSES
from training.decode import Found
from training.metrics import Evaluation, judge

from scripts.selection.resample import average_precision

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


def test_matches_are_those_that_pycocotools_figures_follow_from() -> None:
    evaluation = world(1, pictures=30, recall=0.8, noise=3)
    for name in CLASSES:
        precision = evaluation.precision[name]
        again = average_precision(evaluation.matched[name], np.ones(30))
        assert again == pytest.approx(precision.map50, abs=1e-9)
        assert np.mean(precision.curve) == pytest.approx(precision.map50)


def test_what_is_forgiven_is_no_match_and_no_false_alarm() -> None:
    labels = np.asarray([[2, 10, 10, 50, 90], [-1, 200, 10, 240, 90]], np.float32)
    boxes = labels[:, 1:].copy()
    seen = Found(boxes, np.asarray([0.5, 0.9], np.float32), np.asarray([2, 2]))
    person = judge([labels], [seen], CLASSES).matched["person"]
    assert (person.hits.tolist(), person.labels.tolist()) == ([True], [1])


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
    assert evaluation.matched["helmet"].labels.tolist() == [1]
    assert average_precision(evaluation.matched["helmet"], np.ones(1)) == 0.0


def test_a_class_that_no_picture_shows_has_no_interval() -> None:
    labels = [np.asarray([[0, 1, 1, 40, 40]], np.float32)]
    seen = [Found(labels[0][:, 1:], np.asarray([0.9], np.float32), np.asarray([0]))]
    evaluation = judge(labels, seen, CLASSES)
    changes = {each.name: each for each in compare(evaluation, evaluation, CLASSES, MAIN)}
    assert math.isnan(changes["head"].low)
    assert math.isnan(changes["head"].new)
    assert changes["helmet"].high == 0.0
