from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config import RulesConfig, TrackerConfig
from daemon.detection.detections import HEAD, HELMET, PERSON, Detection, Detections
from daemon.frames import Box
from daemon.tracking.tracker import MOST_TRACKS, Tracker
from daemon.tracking.tracks import Track, Verdict
from tests.support.scenes import Actor, detections, film, shuffled, stands, walks

EVERY_RATE = pytest.mark.parametrize("fps", [1, 2, 5, 10, 30])


def follow(
    frames: Sequence[tuple[float, Detections]], config: TrackerConfig | None = None
) -> list[tuple[Track, ...]]:
    tracker = Tracker(config or TrackerConfig(), RulesConfig())
    return [tracker.update(found, time_s) for time_s, found in frames]


def ids(tracks: list[tuple[Track, ...]]) -> set[int]:
    return {track.track_id for frame in tracks for track in frame}


@EVERY_RATE
@pytest.mark.parametrize("speed", [0.0, 0.8, 1.3], ids=["stands", "walks", "hurries"])
def test_one_person_is_one_track(fps: int, speed: float) -> None:
    height = 150
    tracks = follow(film([Actor(walks(60, 60 + 6 * speed * height, 500, height, to_s=6))],
                         fps=fps, to_s=6))  # fmt: skip
    assert ids(tracks) == {1}
    (last,) = tracks[-1]
    assert (last.visible, last.hits, last.first_seen_s) == (True, 6 * fps + 1, 0.0)


@EVERY_RATE
def test_who_walks_towards_the_camera_is_one_track(fps: int) -> None:
    path = ((0.0, 500.0, 300.0, 120.0), (8.0, 700.0, 700.0, 480.0))
    assert ids(follow(film([Actor(path)], fps=fps, to_s=8))) == {1}


@EVERY_RATE
def test_people_who_cross_keep_their_tracks(fps: int) -> None:
    to_right = Actor(walks(100, 1180, to_s=8), HELMET)
    to_left = Actor(walks(1180, 100, 620, 370, to_s=8), HEAD)
    tracks = follow(film([to_right, to_left], fps=fps, to_s=8))
    assert ids(tracks) == {1, 2}
    before = {track.track_id: track.box.x1 for track in tracks[0]}
    after = {track.track_id: track.box.x1 for track in tracks[-1]}
    assert all((before[i] < 600) == (after[i] > 600) for i in (1, 2))


@pytest.mark.parametrize("fps", [2, 5, 10, 30])
def test_a_row_of_people_who_walk_behind_each_other(fps: int) -> None:
    # 1 m apart: from 2 frames a second on, further than each walks between two frames. At 1 each
    # steps nearly where the one in front was, and nothing but looks could tell them apart.
    row = [Actor(walks(100 + 130 * i, 700 + 130 * i, 500, 220, to_s=4)) for i in range(4)]
    tracks = follow(film(row, fps=fps, to_s=4))
    assert ids(tracks) == {1, 2, 3, 4}
    first = [track.track_id for track in sorted(tracks[0], key=lambda t: t.box.x1)]
    last = [track.track_id for track in sorted(tracks[-1], key=lambda t: t.box.x1)]
    assert first == last


def test_a_missed_person_is_predicted_and_dropped_after_the_time() -> None:
    tracks = follow(film([Actor(walks(100, 500, to_s=4))], fps=8, to_s=8))
    missed = tracks[4 * 8 + 8][0]
    assert (missed.visible, missed.score) == (False, 0)
    assert missed.box.bottom_centre[0] == pytest.approx(600, abs=20)
    assert missed.last_seen_s == 4.0
    assert [len(frame) for frame in tracks[48:]] == [1] * 5 + [0] * 12


def test_who_walks_out_of_the_picture_is_forgotten_at_once() -> None:
    tracks = follow(film([Actor(walks(900, 1600, to_s=4))], fps=8, to_s=6))
    gone = next(i for i, frame in enumerate(tracks) if not frame) / 8
    assert gone < 3.5


def test_a_pause_without_frames_ends_a_track_and_a_slow_source_does_not() -> None:
    frames = film([Actor(stands(600, to_s=30))], fps=1, to_s=30)
    assert ids(follow(frames[::5])) == {1}
    assert ids(follow(frames[::12])) == {1, 2, 3}


def test_weak_boxes_continue_a_track_and_start_none() -> None:
    strong = Actor(stands(600, to_s=1), "")
    weak = Actor(stands(600, from_s=1.1, to_s=5), "", person_score=0.2)
    other = Actor(stands(200, to_s=10), "", person_score=0.2)
    tracks = follow(film([strong, weak, other], to_s=5))
    assert ids(tracks) == {1}
    assert tracks[-1][0].visible


def test_a_sure_head_makes_a_weak_body_sure() -> None:
    assert ids(follow(film([Actor(stands(600), person_score=0.2)]))) == {1}


def test_a_head_becomes_the_person_it_belongs_to() -> None:
    alone = Actor(walks(100, 340, to_s=3), person_rate=0.0)
    whole = Actor(walks(350, 590, from_s=3.125, to_s=6))
    tracks = follow(film([alone, whole], to_s=6))
    assert ids(tracks) == {1}
    assert [tracks[5][0].subject, tracks[-1][0].subject] == [HEAD, PERSON]
    assert tracks[-1][0].verdict is Verdict.BARE


def test_a_body_without_a_head_takes_over_the_head_above_it() -> None:
    alone = Actor(stands(600, to_s=3), person_rate=0.0)
    headless = Actor(stands(600, from_s=3.125, to_s=6), "")
    assert ids(follow(film([alone, headless], to_s=6))) == {1}


def test_a_missed_body_is_followed_by_the_head() -> None:
    whole = Actor(walks(100, 340, to_s=3))
    alone = Actor(walks(350, 790, from_s=3.125, to_s=9), person_rate=0.0)
    tracks = follow(film([whole, alone], to_s=9))
    assert ids(tracks) == {1}
    (last,) = tracks[-1]
    assert (last.subject, last.visible) == (PERSON, True)
    assert last.box.bottom_centre == pytest.approx((790, 650), abs=10)


def test_a_table_top_is_nobodys_head() -> None:
    leaves = Actor(walks(500, 1600, 500, 400, to_s=4))
    table = Detection(HELMET, 0.6, Box(500, 150, 700, 270))
    frames = [
        (time_s, detections([*found, table])) for time_s, found in film([leaves], fps=1, to_s=8)
    ]
    person = [track for frame in follow(frames) for track in frame if track.subject == PERSON]
    assert max(track.last_seen_s for track in person) <= 3.0


def test_weak_boxes_keep_a_track_for_a_while_only() -> None:
    seen = Actor(stands(600, to_s=2), "")
    ghost = Actor(stands(600, from_s=2.125, to_s=12), "", person_score=0.3)
    tracks = follow(film([seen, ghost]))
    assert ids(tracks) == {1}
    assert max(track.last_seen_s for frame in tracks for track in frame) == 7.0


def test_evidence_is_of_the_own_head_and_bounded() -> None:
    safe, bare = Actor(stands(600), HELMET), Actor(stands(720), HEAD)
    tracks = follow(film([safe, bare], fps=30), TrackerConfig(history=20))
    left, right = sorted(tracks[-70], key=lambda track: track.box.x1)
    assert [len(left.evidence), len(right.evidence)] == [20, 20]
    assert all((e.helmet_score > 0, e.bare_score) == (True, 0) for e in left.evidence)
    assert all((e.helmet_score, e.bare_score > 0) == (0, True) for e in right.evidence)
    assert [left.verdict, right.verdict] == [Verdict.HELMET, Verdict.BARE]


def test_frames_in_which_no_head_could_be_seen_are_no_evidence() -> None:
    legs = Actor(((0, 600, 120, 400), (10, 600, 120, 400)), "")
    tracks = follow(film([legs]))
    assert ids(tracks) == {1}
    assert all(track.evidence == () for frame in tracks for track in frame)


def test_tracks_are_bounded_and_the_longest_unseen_goes_first() -> None:
    tracker = Tracker(TrackerConfig(), RulesConfig())

    def crowd(y: float) -> Detections:
        return detections(
            Detection(PERSON, 0.9, Box(x, y, x + 15, y + 40)) for x in range(0, 1240, 20)
        )

    first = tracker.update(crowd(10), 0.0)
    second = tracker.update(crowd(400), 0.5)
    assert len(first) == 62
    assert len(second) == MOST_TRACKS
    assert {track.track_id for track in second if track.visible} == set(range(63, 125))


def test_another_configuration_is_taken_over_and_tracks_live_on() -> None:
    tracker = Tracker(TrackerConfig(), RulesConfig())
    frames = film([Actor(stands(600))])
    for time_s, found in frames[:20]:
        tracker.update(found, time_s)
    tracker.configure(TrackerConfig(history=5), RulesConfig(bare_score=0.9))
    (track,) = tracker.update(frames[20][1], frames[20][0])
    assert (track.track_id, len(track.evidence)) == (1, 5)
    assert Tracker(TrackerConfig(history=5), RulesConfig()).update(frames[0][1], 0.0)


def test_time_that_goes_back_stands_still() -> None:
    tracker = Tracker(TrackerConfig(), RulesConfig())
    (_, found), *_ = film([Actor(stands(600))])
    tracker.update(found, 5.0)
    (track,) = tracker.update(found, 4.0)
    assert (track.last_seen_s, track.hits) == (5.0, 2)


unit = st.integers(0, 16).map(lambda i: i / 16)
actors = st.lists(
    st.builds(
        Actor,
        path=st.builds(
            lambda x1, x2, y, height, start, length: walks(
                x1, x2, y, height, from_s=start, to_s=start + length
            ),
            st.integers(0, 1280), st.integers(0, 1280), st.integers(200, 720),
            st.integers(60, 600), st.integers(0, 6), st.integers(1, 10),
        ),
        wears=st.sampled_from((HELMET, HEAD, "")),
        person_rate=unit, head_rate=unit, person_score=unit, head_score=unit,
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(actors, st.sampled_from([1.0, 4.0, 16.0]), st.integers(0, 2**32 - 1))
def test_any_scene_gives_sound_tracks_in_any_order(
    cast: list[Actor], fps: float, seed: int
) -> None:
    frames = film(cast, fps=fps, seed=seed)
    tracks = follow(frames)
    assert follow(shuffled(frames, seed)) == tracks
    born: list[int] = []
    for (time_s, _), frame in zip(frames, tracks, strict=True):
        now = [track.track_id for track in frame]
        assert now == sorted(set(now))
        born += [track_id for track_id in now if track_id not in born]
        for track in frame:
            assert track.visible == (track.last_seen_s == time_s)
            assert track.hits >= 1
            assert track.first_seen_s <= track.last_seen_s
            assert (track.score > 0) == track.visible
            times = [one.media_time_s for one in track.evidence]
            assert times == sorted(times)
    assert born == sorted(born), "ids count upwards and are never used again"
