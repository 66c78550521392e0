from __future__ import annotations

import numpy as np
from training.dataset import IGNORE, Example
from training.decode import Found
from training.matching import confusion, match, matched

HELMET, HEAD, PERSON = range(3)
PICTURE = np.zeros((300, 300, 3), np.uint8)
HERE, FAR, BIG = (10, 10, 50, 50), (200, 200, 240, 240), (0, 0, 100, 200)
NEAR = (12, 10, 52, 50)  # IoU with HERE 0.9


def found(*rows: tuple[int, float, tuple[int, ...]]) -> Found:
    return Found(
        np.asarray([box for _, _, box in rows], np.float32).reshape(-1, 4),
        np.asarray([score for _, score, _ in rows], np.float32),
        np.asarray([label for label, _, _ in rows], np.int64),
    )


def truth(*rows: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rows, np.float32).reshape(-1, 5)


def test_its_own_class_comes_first_even_with_a_lower_score() -> None:
    joined = match(truth((HELMET, *HERE)), found((HEAD, 0.9, HERE), (HELMET, 0.5, NEAR)))
    assert (joined.pairs, joined.missed, joined.false) == (((0, 1),), (), (0,))


def test_another_class_is_a_confusion_where_nothing_else_answers() -> None:
    joined = match(truth((HELMET, *HERE)), found((HEAD, 0.9, HERE)))
    assert (joined.pairs, joined.missed, joined.false) == (((0, 0),), (), ())


def test_a_second_box_on_the_same_label_is_one_too_many() -> None:
    joined = match(truth((HELMET, *HERE)), found((HELMET, 0.6, NEAR), (HELMET, 0.9, HERE)))
    assert (joined.pairs, joined.false) == (((0, 1),), (0,))


def test_less_than_half_an_overlap_is_a_miss_and_a_false_alarm() -> None:
    joined = match(truth((HELMET, *HERE)), found((HELMET, 0.9, (30, 10, 70, 50))))
    assert (joined.pairs, joined.missed, joined.false) == ((), (0,), (0,))


def test_a_box_to_be_ignored_forgives_persons_on_it_and_is_never_missed() -> None:
    labels = truth((IGNORE, *BIG))
    assert match(labels, found((PERSON, 0.9, HERE))).false == ()
    assert match(labels, found((HELMET, 0.9, HERE))).false == (0,)
    assert match(labels, found((PERSON, 0.9, FAR))).false == (0,)
    assert match(labels, found()).missed == ()


def test_confusion_counts_every_label_and_every_detection_once() -> None:
    labels = truth((HELMET, *HERE), (HEAD, *FAR), (PERSON, *BIG))
    seen = found(
        (HEAD, 0.9, HERE), (PERSON, 0.8, BIG), (HELMET, 0.7, (250, 10, 290, 50)),
        (HELMET, 0.1, FAR),  # below the threshold
    )  # fmt: skip
    counts = confusion(matched([Example("one", PICTURE, labels)], [seen], 0.3))
    expected = np.zeros((4, 4), int)
    expected[HELMET, HEAD] = expected[PERSON, PERSON] = 1
    expected[HEAD, 3] = expected[3, HELMET] = 1
    assert (counts == expected).all()
