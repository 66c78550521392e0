"""What one model sees beside another, counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.detection.detections import HEAD, HELMET, PERSON, Detections
from daemon.frames import Frame
from daemon.sources.picture import ArrayPicture
from daemon.swap.comparison import Pair, PairSampler, Places, Tally, compare

Found = tuple[str, float, float]
"""Class, left edge of a box of 100x100 pixels, score."""

CLASSES = (HELMET, HEAD, PERSON)
PREDECESSOR_SCORE = 0.4
RUNNING_SCORE = 0.5


def seen(*found: Found, classes: tuple[str, ...] = CLASSES) -> Detections:
    return Detections(
        boxes=np.array([(x, 0, x + 100, 100) for _, x, _ in found], np.float32).reshape(-1, 4),
        scores=np.array([score for _, _, score in found], np.float32),
        class_ids=np.array([classes.index(name) for name, _, _ in found], np.int32),
        classes=classes,
        width=2000,
        height=100,
        model_version="test",
    )


def tally(before: Detections, now: Detections, running: Detections) -> Tally:
    return repeated(before, now, running, 1)


def repeated(before: Detections, now: Detections, running: Detections, times: int) -> Tally:
    places, total = Places(), Tally()
    for _ in range(times):
        total += compare(
            before,
            now,
            running,
            places,
            predecessor_score=PREDECESSOR_SCORE,
            running_score=RUNNING_SCORE,
        )
    return total


HEAD_AND_PERSON = seen((HEAD, 0, 0.9), (PERSON, 500, 0.8))
NOTHING = seen()


def test_a_model_that_sees_the_same_has_found_everything() -> None:
    assert tally(HEAD_AND_PERSON, HEAD_AND_PERSON, HEAD_AND_PERSON) == Tally(1, 2, 2, 0)


def test_a_model_that_sees_nothing_has_found_nothing() -> None:
    assert tally(HEAD_AND_PERSON, HEAD_AND_PERSON, NOTHING) == Tally(1, 2, 0, 0)


def test_a_quiet_scene_says_nothing() -> None:
    assert tally(NOTHING, NOTHING, NOTHING) == Tally(1, 0, 0, 0)


def test_what_blinks_is_not_stable() -> None:
    assert tally(NOTHING, HEAD_AND_PERSON, NOTHING) == Tally(1, 0, 0, 0)
    assert tally(HEAD_AND_PERSON, NOTHING, NOTHING) == Tally(1, 0, 0, 0)


def test_what_the_predecessor_is_not_sure_of_is_not_stable() -> None:
    sure, unsure = seen((HEAD, 0, 0.40)), seen((HEAD, 0, 0.39))
    assert tally(sure, sure, NOTHING).stable == 1
    assert tally(unsure, sure, NOTHING).stable == 0
    assert tally(sure, unsure, NOTHING).stable == 0


def test_the_running_model_counts_from_its_own_threshold() -> None:
    old = seen((HEAD, 0, 0.9))
    assert tally(old, old, seen((HEAD, 0, 0.50))) == Tally(1, 1, 1, 0)
    assert tally(old, old, seen((HEAD, 0, 0.49))) == Tally(1, 1, 0, 0)


@pytest.mark.parametrize(("moved_px", "same"), [(0, 1), (33, 1), (34, 0), (100, 0)])
def test_the_same_place_is_half_of_the_union(moved_px: float, same: int) -> None:
    """Boxes of 100 pixels that are 33.3 apart share 66.7 of 133.3."""
    here, there = seen((HEAD, 200, 0.9)), seen((HEAD, 200 + moved_px, 0.9))
    assert tally(there, here, NOTHING).stable == same
    assert tally(here, here, there) == Tally(1, 1, same, 1 - same)


def test_another_class_at_the_place_is_another_object() -> None:
    head, helmet = seen((HEAD, 0, 0.9)), seen((HELMET, 0, 0.9))
    assert tally(head, head, helmet) == Tally(1, 1, 0, 1)


def test_classes_are_the_same_by_name() -> None:
    head = seen((HEAD, 0, 0.9))
    reordered = seen((HEAD, 0, 0.9), classes=("boots", PERSON, HEAD))
    assert tally(head, head, reordered) == Tally(1, 1, 1, 0)
    assert tally(reordered, reordered, head) == Tally(1, 1, 1, 0)
    boots = seen(("boots", 0, 0.9), classes=("boots", PERSON, HEAD))
    assert tally(boots, boots, head) == Tally(1, 1, 0, 1)


def test_what_the_predecessor_sees_at_any_score_is_not_extra() -> None:
    weak = seen((HEAD, 0, 0.15))
    assert tally(NOTHING, weak, seen((HEAD, 0, 0.9))).extra == 0
    assert tally(NOTHING, weak, seen((HEAD, 500, 0.9), (PERSON, 0, 0.9))).extra == 2
    assert tally(NOTHING, weak, seen((HEAD, 500, 0.49))).extra == 0


def test_one_place_counts_three_times() -> None:
    lamp, person = seen((HELMET, 0, 0.9)), seen((PERSON, 0, 0.9))
    assert repeated(lamp, lamp, NOTHING, 100) == Tally(100, 3, 0, 0)
    assert repeated(lamp, lamp, lamp, 100) == Tally(100, 3, 3, 0)
    assert repeated(NOTHING, NOTHING, lamp, 100).extra == 100
    places = Places()
    assert [places.admit(HELMET, lamp.boxes[0]) for _ in range(5)] == [True] * 3 + [False] * 2
    assert places.admit(PERSON, person.boxes[0])  # another class there is another object
    assert places.admit(HELMET, lamp.boxes[0] + np.float32(100))


def test_somebody_who_walks_counts_wherever_he_comes() -> None:
    places = Places()
    boxes = [seen((PERSON, float(x), 0.9)).boxes[0] for x in range(0, 1000, 50)]
    assert all(places.admit(PERSON, box) for box in boxes)


found_somewhere = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.floats(0, 1900), st.floats(0.1, 1.0)), max_size=6
).map(lambda found: seen(*found))


@given(found_somewhere, found_somewhere, found_somewhere)
def test_counts_are_bounded(before: Detections, now: Detections, running: Detections) -> None:
    counted = tally(before, now, running)
    assert 0 <= counted.found <= counted.stable <= len(now)
    assert 0 <= counted.extra <= len(running)
    again = compare(now, now, now, Places(), predecessor_score=0.3, running_score=0.3)
    assert (again.found, again.extra) == (again.stable, 0)


def test_tallies_add_up() -> None:
    assert Tally(1, 2, 3, 4) + Tally(10, 20, 30, 40) == Tally(11, 22, 33, 44)


def frame(number: int) -> Frame:
    return Frame(number, float(number), 0.0, 0.0, ArrayPicture(np.zeros((8, 8, 3), np.uint8)))


def sampled(sampler: PairSampler, looks: list[tuple[float, Detections | None]]) -> list[Pair]:
    pairs = [sampler.looked(frame(n), found, now_s) for n, (now_s, found) in enumerate(looks)]
    return [pair for pair in pairs if pair is not None]


def test_two_frames_in_a_row_are_a_pair_every_so_often() -> None:
    looks: list[tuple[float, Detections | None]] = [(n / 10, HEAD_AND_PERSON) for n in range(30)]
    pairs = sampled(PairSampler(1.0), looks)
    assert [(pair.before.sequence, pair.now.sequence) for pair in pairs] == [
        (0, 1),
        (11, 12),
        (22, 23),
    ]
    assert all(pair.running is HEAD_AND_PERSON for pair in pairs)


def test_a_still_scene_gives_no_pair() -> None:
    """The gate looks once in a while; the frames before and after are not inferred."""
    looks = [(n / 10, HEAD_AND_PERSON if n % 5 == 0 else None) for n in range(100)]
    assert sampled(PairSampler(1.0), looks) == []
