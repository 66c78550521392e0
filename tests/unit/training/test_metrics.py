from __future__ import annotations

import numpy as np
import pytest
from training.dataset import CLASSES, Example
from training.decode import Found
from training.errors import count_errors, working_points
from training.metrics import average_precision, summary

HELMET, HEAD, PERSON = range(3)


def found(*rows: tuple[int, float, tuple[float, float, float, float]]) -> Found:
    return Found(
        np.asarray([box for _, _, box in rows], np.float32).reshape(-1, 4),
        np.asarray([score for _, score, _ in rows], np.float32),
        np.asarray([label for label, _, _ in rows], np.int64),
    )


def truth(*rows: tuple[float, float, float, float, float]) -> np.ndarray:
    return np.asarray(rows, np.float32).reshape(-1, 5)


BOX = (10.0, 10.0, 50.0, 50.0)
FAR = (200.0, 200.0, 240.0, 240.0)


def test_perfect_detections_score_one() -> None:
    scores = average_precision([truth((HELMET, *BOX))], [found((HELMET, 0.9, BOX))], CLASSES)
    assert scores["helmet"].map50 == pytest.approx(1.0)
    assert scores["helmet"].map50_95 == pytest.approx(1.0)


def test_a_stronger_false_alarm_halves_precision() -> None:
    scores = average_precision(
        [truth((HELMET, *BOX))], [found((HELMET, 0.9, FAR), (HELMET, 0.5, BOX))], CLASSES
    )
    assert scores["helmet"].map50 == pytest.approx(0.5)


def test_half_recall_counts_51_of_101_points() -> None:
    scores = average_precision(
        [truth((HELMET, *BOX), (HELMET, *FAR))], [found((HELMET, 0.9, BOX))], CLASSES
    )
    assert scores["helmet"].map50 == pytest.approx(51 / 101)


def test_a_loose_box_passes_only_the_low_thresholds() -> None:
    # 40x40 against 30x40 within it: IoU 0.75, so 0.50, 0.55 … 0.75 pass: 6 of 10 thresholds.
    loose = (10.0, 10.0, 40.0, 50.0)
    scores = average_precision([truth((HEAD, *BOX))], [found((HEAD, 0.9, loose))], CLASSES)
    assert scores["head"].map50 == pytest.approx(1.0)
    assert scores["head"].map50_95 == pytest.approx(0.6)


def test_the_wrong_class_is_a_miss() -> None:
    scores = average_precision([truth((HEAD, *BOX))], [found((HELMET, 0.9, BOX))], CLASSES)
    assert scores["head"].map50 == 0.0


def test_a_doubtful_person_is_neither_hit_nor_false_alarm() -> None:
    labels = truth((PERSON, *BOX), (-1, *FAR))
    scores = average_precision([labels], [found((PERSON, 0.9, FAR), (PERSON, 0.5, BOX))], CLASSES)
    assert scores["person"].map50 == pytest.approx(1.0)


def test_no_detections_at_all_score_zero() -> None:
    scores = average_precision([truth((HEAD, *BOX))], [found()], CLASSES)
    assert summary(scores, ["helmet", "head"])["map50"] == 0.0


def test_errors_are_sorted_by_kind_and_size() -> None:
    small = (100.0, 100.0, 110.0, 112.0)
    picture = np.zeros((300, 300, 3), np.uint8)
    labels = truth((HELMET, *BOX), (HEAD, *small), (HEAD, 60, 60, 90, 90))
    seen = found(
        (HELMET, 0.9, BOX), (HELMET, 0.8, (60, 60, 90, 90)), (HEAD, 0.7, FAR), (HEAD, 0.1, small)
    )
    errors = count_errors([Example("one", picture, labels)], [seen], 0.3)
    assert errors.found == {"<64": 1}
    assert errors.missed == {"<16": 1}
    assert errors.confused == {"<32": 1}
    assert errors.false_alarms == {"head": 1}
    assert errors.strongest == [("one", "head", 0.7, [200, 200, 240, 240])]


def test_working_points_trade_precision_for_recall() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    example = Example("one", picture, truth((HELMET, *BOX), (HEAD, 100, 100, 140, 140)))
    seen = found((HELMET, 0.9, BOX), (HEAD, 0.6, FAR), (HEAD, 0.5, (100, 100, 140, 140)))
    strict, loose = working_points([example], [seen], [0.8, 0.4])
    assert (strict.precision, strict.recall) == (1.0, 0.5)
    assert (loose.precision, loose.recall) == (pytest.approx(2 / 3), 1.0)
    assert loose.f1 == pytest.approx(0.8)
