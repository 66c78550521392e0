from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.captures.disagreement import Disagreement, find_disagreement
from daemon.captures.phash import phash
from daemon.captures.reasons import CaptureReason
from daemon.captures.selection import REMEMBERED, CaptureDecision, CaptureSelector, Kept
from daemon.config import CapturesConfig
from daemon.detection.detections import HEAD, HELMET, PERSON, Detections
from daemon.frames import Box, RgbImage
from daemon.tracking.tracks import Track
from tests.support.captures import config, detections, frame, scene, track
from updater.captures import SUBJECTS_MAX

NOTHING = detections([])
LAMP = detections([(HELMET, 0.4, (300, 50, 320, 70))])
SCENE = scene(0)


def selector(seed: int = 0, **changes: object) -> CaptureSelector:
    return CaptureSelector(config(Path("unused"), **changes), chance=random.Random(seed))


def look(
    chosen: CaptureSelector,
    sequence: int,
    found: Detections = NOTHING,
    tracks: tuple[Track, ...] = (),
    small: RgbImage = SCENE,
    requested: bool = False,
) -> CaptureDecision | None:
    moment = frame(sequence)
    return chosen.decide(moment, found, tracks, small, requested=requested)


def names(decision: CaptureDecision | None) -> list[str]:
    return [found.reason.value for found in decision.reasons] if decision else []


def test_a_sure_picture_is_not_kept() -> None:
    sure = detections([(PERSON, 0.9, (0, 0, 100, 200)), (HEAD, 0.8, (40, 0, 60, 20))])
    assert look(selector(), 0, sure) is None
    assert look(selector(), 0, NOTHING) is None


def test_an_uncertain_picture_is_kept_with_its_hash_and_subject() -> None:
    decision = look(selector(), 0, LAMP)
    assert decision is not None
    assert names(decision) == ["uncertain_score"]
    assert decision.phash == phash(SCENE)
    assert decision.reasons[0].subjects[0].box == Box(300, 50, 320, 70)
    assert 0 < decision.value == pytest.approx(decision.reasons[0].value)
    assert not decision.privileged


def test_the_rules_thresholds_can_be_given() -> None:
    chosen = CaptureSelector(
        config(Path("unused")), chance=random.Random(0), thresholds={HELMET: 0.4}
    )
    decision = look(chosen, 0, LAMP)
    assert decision is not None
    assert decision.reasons[0].subjects[0].value == pytest.approx(1.0)
    assert decision.value == pytest.approx(0.5)


def test_more_uncertain_people_are_worth_more_than_the_most_uncertain_one() -> None:
    best = look(selector(), 0, detections([(HELMET, 0.375, (300, 50, 320, 70))]))
    several = look(
        selector(), 0, detections([(HELMET, 0.3, (x, 50, x + 20, 70)) for x in (100, 200, 300)])
    )
    assert best is not None
    assert several is not None
    assert best.reasons[0].subjects[0].value > several.reasons[0].subjects[0].value
    assert several.value > best.value


def test_only_what_is_new_counts_for_the_value() -> None:
    chosen = selector()
    first = look(chosen, 0, LAMP)
    assert first is not None
    chosen.remember(first)
    both = look(
        chosen,
        1,
        detections([(HELMET, 0.4, (301, 50, 320, 70)), (HEAD, 0.4, (100, 50, 120, 70))]),
    )
    assert both is not None
    assert both.value == pytest.approx(first.value)


def test_a_static_scene_is_kept_once() -> None:
    chosen = selector()
    kept = 0
    for sequence in range(100):
        decision = look(chosen, sequence, LAMP)
        if decision is not None:
            chosen.remember(decision)
            kept += 1
    assert kept == 1


def test_a_crowd_is_kept_once_however_many_they_are() -> None:
    chosen = selector()
    crowd = detections(
        [(HELMET, 0.4, (x, y, x + 10, y + 10)) for x in range(0, 600, 20) for y in (50, 100)]
    )
    first = look(chosen, 0, crowd)
    assert first is not None
    assert len(first.reasons[0].subjects) > SUBJECTS_MAX
    chosen.remember(first)
    assert look(chosen, 1, crowd) is None


def test_what_was_not_kept_is_chosen_again() -> None:
    chosen = selector()
    first = look(chosen, 0, LAMP)
    assert first is not None
    assert look(chosen, 1, LAMP) is not None, "the caller never said that it was kept"
    chosen.remember(first)
    assert look(chosen, 2, LAMP) is None
    chosen.forget(first)
    assert look(chosen, 3, LAMP) is not None


def test_somebody_new_in_the_same_scene_is_kept() -> None:
    chosen = selector()
    first = look(chosen, 0, LAMP)
    assert first is not None
    chosen.remember(first)
    both = detections([(HELMET, 0.4, (301, 50, 320, 70)), (HEAD, 0.3, (100, 50, 120, 70))])
    second = look(chosen, 1, both)
    assert second is not None
    assert [subject.class_name for subject in second.reasons[0].subjects] == [HEAD]


def test_the_same_box_in_another_scene_is_kept() -> None:
    chosen = selector()
    first = look(chosen, 0, LAMP)
    assert first is not None
    chosen.remember(first)
    assert look(chosen, 1, LAMP, small=scene(1)) is not None


def test_duplicates_are_counted_for_each_reason() -> None:
    chosen = selector()
    first = look(chosen, 0, LAMP)
    assert first is not None
    chosen.remember(first)
    flipping = track(box=Box(300, 50, 320, 70), evidence=((0.0, 0.9, 0.0), (0.2, 0.0, 0.9)))
    assert names(look(chosen, 1, LAMP, (flipping,))) == ["class_flip"]


def test_captures_of_an_earlier_run_are_recalled() -> None:
    before = selector()
    first = look(before, 0, LAMP)
    assert first is not None
    after = selector()
    after.recall([(first.reasons[0].reason, Kept(first.phash, first.reasons[0].subjects))])
    assert look(after, 0, LAMP) is None


def test_memory_is_bounded_and_the_oldest_is_forgotten() -> None:
    chosen = selector()
    for number in range(REMEMBERED + 1):
        decision = look(chosen, number, LAMP, small=scene(number))
        assert decision is not None
        chosen.remember(decision)
    assert look(chosen, 1000, LAMP, small=scene(0)) is not None
    assert look(chosen, 1001, LAMP, small=scene(1)) is None


def test_a_changed_band_counts_at_once() -> None:
    chosen = selector()
    assert look(chosen, 0, LAMP) is not None
    chosen.configure(replace(CapturesConfig(), band_low=0.5, band_high=0.6))
    assert look(chosen, 1, LAMP) is None


@pytest.mark.parametrize("fps", [1, 5, 10])
def test_the_random_share_has_its_rate_and_is_no_duplicate(fps: int) -> None:
    chosen = selector(random_per_hour=60.0)
    kept = 0
    for sequence in range(4 * 3600 * fps):
        moment = frame(sequence, media_time_s=sequence / fps)
        decision = chosen.decide(moment, NOTHING, (), SCENE)
        if decision is not None:
            assert names(decision) == ["random"]
            assert decision.privileged
            chosen.remember(decision)
            kept += 1
    assert 180 < kept < 300  # 240 expected, standard deviation 15.5


def test_the_dice_do_not_depend_on_what_is_seen() -> None:
    def drawn(found: Detections) -> list[int]:
        chosen = selector(seed=3, random_per_hour=3600.0)
        return [
            sequence for sequence in range(300) if "random" in names(look(chosen, sequence, found))
        ]

    assert drawn(NOTHING) == drawn(LAMP) != []


def test_the_same_seed_decides_the_same() -> None:
    def run(seed: int) -> list[list[str]]:
        chosen = selector(seed, random_per_hour=3600.0)
        return [names(look(chosen, sequence)) for sequence in range(200)]

    assert run(1) == run(1) != run(2)


def test_who_asks_gets_a_picture() -> None:
    chosen = selector()
    for sequence in range(2):
        decision = look(chosen, sequence, requested=True)
        assert decision is not None
        assert (names(decision), decision.value) == (["requested"], 1.0)
        chosen.remember(decision)


SURE = detections([(HEAD, 0.9, (100, 50, 120, 70))])


def differing(sequence: int, found: Detections = SURE, small: RgbImage = SCENE) -> Disagreement:
    """A frame in which a second model sees nothing."""
    disagreement = find_disagreement(
        frame(sequence), found, NOTHING, running_score=0.4, other_score=0.4, small=lambda: small
    )
    assert disagreement is not None
    return disagreement


def test_a_frame_that_two_models_see_differently_is_kept() -> None:
    decision = selector().review(differing(7))
    assert decision is not None
    assert names(decision) == ["model_disagreement"]
    assert decision.reasons[0].subjects[0].value == pytest.approx(0.9)
    assert decision.value == pytest.approx(0.9 / 1.9)
    assert (decision.frame.sequence, decision.phash) == (7, phash(SCENE))
    assert (decision.detections, decision.other) == (SURE, NOTHING)
    assert not decision.privileged


def test_the_same_disagreement_is_kept_once() -> None:
    chosen = selector()
    kept = []
    for sequence in range(50):
        decision = chosen.review(differing(sequence))
        if decision is not None:
            chosen.remember(decision)
            kept.append(sequence)
    assert kept == [0]
    assert chosen.review(differing(50, small=scene(1))) is not None
    elsewhere = detections([(HEAD, 0.9, (300, 50, 320, 70))])
    assert chosen.review(differing(51, elsewhere)) is not None
    assert chosen.review(differing(52)) is None


def test_no_frame_is_kept_twice() -> None:
    chosen = selector()
    assert look(chosen, 0, LAMP) is not None
    assert chosen.review(differing(0)) is None
    for sequence in range(1, 200):  # the comparison takes its time
        look(chosen, sequence)
    assert chosen.review(differing(0)) is None
    assert chosen.review(differing(1)) is not None
    assert chosen.review(differing(1)) is None


def test_a_disagreement_does_not_bend_the_random_share() -> None:
    def drawn(*, disagreeing: bool) -> list[int]:
        chosen = selector(5, random_per_hour=600.0)
        kept = []
        for sequence in range(500):
            decision = look(chosen, sequence, SURE)
            if decision is not None:
                kept.append(sequence)
            if disagreeing:
                chosen.review(differing(sequence))
        return kept

    assert drawn(disagreeing=True) == drawn(disagreeing=False) != []


def blinking(marks: str, chosen: CaptureSelector) -> list[CaptureDecision | None]:
    """Frames of one person: a digit is a score in tenths, a dot a miss."""
    return [
        look(
            chosen,
            sequence,
            NOTHING,
            (track(score=0 if mark == "." else int(mark) / 10, visible=mark != "."),),
            small=scene(sequence),
        )
        for sequence, mark in enumerate(marks)
    ]


@pytest.mark.parametrize(("marks", "back", "missed"), [("99.99", 3, 2), ("99..99", 4, 2)])
def test_a_blink_keeps_the_picture_in_which_somebody_was_missed(
    marks: str, back: int, missed: int
) -> None:
    decisions = blinking(marks, selector())
    assert [sequence for sequence, found in enumerate(decisions) if found] == [back]
    decision = decisions[back]
    assert decision is not None
    assert names(decision) == ["blinking"]
    assert decision.frame.sequence == missed
    assert decision.phash == phash(scene(missed))
    assert decision.value == pytest.approx(0.9 / 1.9)
    assert decision.reasons[0].subjects[0].box == track().box


@pytest.mark.parametrize("marks", ["9999", "9...99", "4.99", "99.", "9.4", ".99"])
def test_no_blink(marks: str) -> None:
    assert blinking(marks, selector()) == [None] * len(marks)


def test_a_picture_already_chosen_is_not_chosen_again_for_a_blink() -> None:
    chosen = selector()
    there, missed = (track(score=0.9),), (track(visible=False),)
    assert look(chosen, 0, NOTHING, there) is None
    assert names(look(chosen, 1, LAMP, missed)) == ["uncertain_score"]
    assert look(chosen, 2, NOTHING, there) is None


def test_the_better_of_two_pictures_is_chosen() -> None:
    def last(now: Detections, *, requested: bool = False) -> CaptureDecision | None:
        chosen = selector()
        look(chosen, 0, NOTHING, (track(score=0.6),))
        look(chosen, 1, NOTHING, (track(visible=False),))
        return look(chosen, 2, now, (track(score=0.6),), requested=requested)

    worse = detections([(HELMET, 0.21, (300, 50, 320, 70))])
    assert names(last(worse)) == ["blinking"]
    assert names(last(LAMP)) == ["uncertain_score"]
    assert names(last(worse, requested=True))[0] == "requested"


def test_the_held_picture_is_let_go() -> None:
    for marks, holds in (("9", False), ("9.", True), ("9..", True), ("9...", False)):
        chosen = selector()
        blinking(marks, chosen)
        assert chosen.holds_picture is holds
        look(chosen, 9)  # the track has ended
        assert not chosen.holds_picture


def test_reasons_are_ordered_by_value() -> None:
    chosen = selector()
    flipping = track(evidence=((0.0, 0.3, 0.0), (0.2, 0.0, 0.9)))
    decision = look(chosen, 1, LAMP, (flipping,))
    assert decision is not None
    values = [found.value for found in decision.reasons]
    assert values == sorted(values, reverse=True)
    assert decision.value > max(values)
    assert decision.has(CaptureReason.CLASS_FLIP)
