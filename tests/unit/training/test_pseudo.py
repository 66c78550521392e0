from __future__ import annotations

import numpy as np
from training.decode import Found
from training.pseudo import PseudoRule, has_head, judge

RULE = PseudoRule()
NO_HEADS = np.zeros((0, 4), np.float32)


def persons(*rows: tuple[float, list[float]]) -> Found:
    return Found(
        np.asarray([box for _, box in rows], np.float32),
        np.asarray([score for score, _ in rows], np.float32),
        np.zeros(len(rows), np.int64),
    )


def test_score_decides_between_label_ignore_and_nothing() -> None:
    found = persons((0.8, [0, 0, 10, 30]), (0.3, [50, 0, 60, 30]), (0.05, [90, 0, 99, 30]))
    sure, doubtful = judge(found, NO_HEADS, RULE)
    assert sure.tolist() == [[0, 0, 10, 30]]
    assert doubtful.tolist() == [[50, 0, 60, 30]]


def test_a_head_in_the_upper_part_confirms_a_weak_person() -> None:
    found = persons((0.3, [50, 0, 60, 30]))
    head = np.asarray([[53, 1, 57, 7]], np.float32)
    feet = np.asarray([[53, 23, 57, 29]], np.float32)
    assert len(judge(found, head, RULE)[0]) == 1
    assert len(judge(found, feet, RULE)[0]) == 0


def test_a_weak_repeat_of_a_sure_person_is_not_to_be_ignored() -> None:
    found = persons((0.9, [0, 0, 10, 30]), (0.2, [0, 1, 10, 30]))
    sure, doubtful = judge(found, NO_HEADS, RULE)
    assert (len(sure), len(doubtful)) == (1, 0)


def test_no_persons_have_no_heads() -> None:
    assert has_head(np.zeros((0, 4), np.float32), NO_HEADS).tolist() == []
