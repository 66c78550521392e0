from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from daemon.alerts.events import EventType, Severity, Violation
from daemon.alerts.rules import MOST_OPEN, RuleEngine
from daemon.config import RulesConfig, ZoneConfig
from daemon.detection.detections import HEAD, HELMET
from tests.support.scenes import MONDAY, WIDTH, Actor, counting_ids, film, play, stands, walks
from updater.errors import ConfigError

EVERY_RATE = pytest.mark.parametrize("fps", [1, 2, 4, 8, 16, 32])
LEFT_HALF = ZoneConfig("left", ((0, 0), (0.5, 0), (0.5, 1), (0, 1)))


@EVERY_RATE
def test_a_bare_head_is_one_violation(fps: float) -> None:
    run = play(film([Actor(stands(600))], fps=fps))
    (start,) = run.starts
    assert (start.violation, start.severity) == (Violation.BARE_HEAD, Severity.CRITICAL)
    assert start.classes == ("person", "head")
    assert start.score == pytest.approx(0.8)
    assert (start.zone, start.width, start.height) == ("", 1280, 720)
    assert len(run.ends) == 1


@EVERY_RATE
def test_a_helmet_is_none(fps: float) -> None:
    assert play(film([Actor(stands(600), HELMET)], fps=fps)).events == ()


@EVERY_RATE
def test_who_walks_through_the_picture_is_one_violation(fps: float) -> None:
    # 1.4 m/s: 330 pixels a second for a body of 400 pixels, so boxes at 1 frame/s do not touch
    run = play(film([Actor(walks(-100, 1380, to_s=4.5))], fps=fps))
    assert (len(run.starts), len(run.ends), run.track_count) == (1, 1, 1)


def test_nobody_alerts_before_the_confirm_time() -> None:
    (start,) = play(film([Actor(stands(600))], fps=16), rules=RulesConfig(confirm_s=2.0)).starts
    assert 2.0 <= start.media_time_s <= 2.25


def test_a_single_frame_never_alerts() -> None:
    run = play(film([Actor(stands(600, to_s=0.0))], fps=8), rules=RulesConfig(confirm_s=0.0))
    assert run.starts == ()


@EVERY_RATE
def test_a_head_nobody_recognises_ends_in_a_verdict(fps: float) -> None:
    # long hair seen from behind: the body is found, on the head nothing
    (start,) = play(film([Actor(stands(600), "")], fps=fps)).starts
    assert (start.violation, start.severity) == (Violation.HELMET_UNSEEN, Severity.WARNING)
    assert start.classes == ("person",)
    assert 3.0 <= start.media_time_s <= 4.0
    assert start.score == pytest.approx(0.9)


def test_an_unseen_helmet_can_be_allowed() -> None:
    rules = RulesConfig(unknown_enabled=False)
    assert play(film([Actor(stands(600), "")]), rules=rules).events == ()


def test_a_turned_head_makes_the_violation_graver_and_not_a_second_one() -> None:
    behind = Actor(stands(600, to_s=5), "")
    facing = Actor(stands(600, from_s=5.0625, to_s=10), HEAD)
    run = play(film([behind, facing], fps=16))
    start, grave, *_, end = run.events
    assert (start.type, start.violation) == (EventType.START, Violation.HELMET_UNSEEN)
    assert (grave.type, grave.violation) == (EventType.UPDATE, Violation.BARE_HEAD)
    assert grave.severity is Severity.CRITICAL
    assert grave.event_id == start.event_id == end.event_id
    assert end.violation is Violation.BARE_HEAD


def test_too_small_to_show_a_helmet_says_nothing() -> None:
    small = stands(600, height=0.19 * WIDTH)
    large = stands(600, height=0.21 * WIDTH)
    assert play(film([Actor(small, "")])).starts == ()
    assert len(play(film([Actor(large, "")])).starts) == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fps", [4, 8, 16])
def test_blinking_detections_are_one_person(fps: float, seed: int) -> None:
    actor = Actor(walks(200, 1000, to_s=10), person_rate=0.6, head_rate=0.5)
    run = play(film([actor], fps=fps, seed=seed))
    assert (len(run.starts), run.track_count) == (1, 1)


@pytest.mark.parametrize("seed", range(5))
def test_a_helmet_that_blinks_is_a_helmet(seed: int) -> None:
    actor = Actor(walks(200, 1000, to_s=10), HELMET, person_rate=0.7, head_rate=0.4)
    assert play(film([actor], seed=seed)).events == ()


def test_a_doubtful_helmet_neither_protects_nor_accuses() -> None:
    doubtful = Actor(stands(600), HELMET, head_score=0.3)
    assert play(film([doubtful])).events == ()
    weaker = Actor(stands(600), HELMET, head_score=0.2)
    assert [event.violation for event in play(film([weaker])).starts] == [Violation.HELMET_UNSEEN]


@pytest.mark.parametrize("seed", range(5))
def test_a_helmet_found_now_and_then_is_no_unseen_helmet(seed: int) -> None:
    rare = Actor(stands(600, to_s=30), HELMET, head_rate=0.15)
    assert play(film([rare], fps=16, to_s=30, seed=seed)).events == ()


def test_a_worker_who_bends_down_keeps_the_helmet() -> None:
    before = Actor(stands(600, to_s=3), HELMET)
    bent = Actor(stands(600, height=260, from_s=3.125, to_s=9), "")
    after = Actor(stands(600, from_s=9.125, to_s=12), HELMET)
    assert play(film([before, bent, after])).events == ()


def test_a_helmet_put_on_ends_the_violation_and_taken_off_is_a_new_one() -> None:
    bare = Actor(stands(600, to_s=4), HEAD)
    safe = Actor(stands(600, from_s=4.125, to_s=12), HELMET)
    again = Actor(stands(600, from_s=12.125, to_s=16), HEAD)
    run = play(film([bare, safe, again], to_s=16))
    assert [event.type for event in run.events] == ["start", "end", "start", "end"]
    first, second = run.starts
    assert first.event_id != second.event_id
    assert 8.0 <= run.ends[0].media_time_s <= 9.5


@EVERY_RATE
def test_people_who_cross_are_told_apart(fps: float) -> None:
    bare = Actor(walks(100, 1180, to_s=10), HEAD)
    safe = Actor(walks(1180, 100, y=600, height=360, to_s=10), HELMET)
    run = play(film([bare, safe], fps=fps))
    (start,) = run.starts
    assert start.media_time_s < 4.0
    last = {track.track_id: track for track in run.tracks[int(9.9 * fps)] if track.visible}
    alerted = last[start.track_id]
    assert alerted.box.x1 > 800, "the one that walks to the right is the bare one"


@EVERY_RATE
@pytest.mark.parametrize("apart", [110, 160, 220])
def test_two_close_together_keep_their_own_heads(fps: float, apart: float) -> None:
    safe = Actor(stands(600), HELMET)
    bare = Actor(stands(600 + apart), HEAD)
    run = play(film([safe, bare], fps=fps))
    (start,) = run.starts
    assert (start.box.x1 + start.box.x2) / 2 == pytest.approx(600 + apart, abs=5)


def test_two_bare_heads_are_two_violations() -> None:
    assert len(play(film([Actor(stands(400)), Actor(stands(700))])).starts) == 2


@EVERY_RATE
def test_a_head_without_a_body_alerts_once_also_when_the_body_appears(fps: float) -> None:
    alone = Actor(stands(600, to_s=4), HEAD, person_rate=0.0)
    whole = Actor(stands(600, from_s=4.03, to_s=10), HEAD)
    run = play(film([alone, whole], fps=fps))
    (start,) = run.starts
    assert start.classes == ("head",)
    assert (run.track_count, run.ends[0].classes) == (1, ("person", "head"))


def test_a_body_that_is_missed_is_followed_by_its_head() -> None:
    whole = Actor(walks(100, 500, to_s=4), HEAD)
    alone = Actor(walks(512.5, 1100, from_s=4.125, to_s=10), HEAD, person_rate=0.0)
    run = play(film([whole, alone]))
    assert (len(run.starts), run.track_count) == (1, 1)


def test_who_is_lost_for_a_while_is_the_same_violation() -> None:
    before = Actor(stands(600, to_s=4))
    after = Actor(stands(640, from_s=7.25, to_s=12))  # past the tracker's 2.5 s, within 4 s
    run = play(film([before, after]))
    assert run.track_count == 2
    (start,) = run.starts
    assert run.ends[0].event_id == start.event_id
    assert run.ends[0].track_id != start.track_id


def test_a_thing_where_somebody_was_lost_does_not_carry_the_violation_on() -> None:
    gone = Actor(stands(600, to_s=4))
    thing = Actor(stands(720, from_s=4.5, to_s=20), HELMET, person_rate=0.0, head_score=0.46)
    run = play(film([gone, thing], to_s=20))
    assert [event.type for event in run.events] == ["start", "end"]
    assert run.ends[0].media_time_s <= 8.25


def test_who_walked_on_unseen_is_the_same_violation() -> None:
    before = Actor(walks(100, 500, to_s=4))
    after = Actor(walks(800, 1100, from_s=7.0, to_s=10))
    assert len(play(film([before, after])).starts) == 1


def test_who_comes_back_later_is_a_new_violation() -> None:
    before = Actor(stands(600, to_s=4))
    after = Actor(stands(600, from_s=9, to_s=12))
    run = play(film([before, after]))
    assert [event.type for event in run.events] == ["start", "end", "start", "end"]
    assert 8.0 <= run.ends[0].media_time_s <= 8.25


def test_who_comes_next_is_not_who_left() -> None:
    leaves = Actor(walks(600, 1500, to_s=4))
    comes = Actor(walks(-200, 600, from_s=4.5, to_s=9))
    assert len(play(film([leaves, comes])).starts) == 2


def test_updates_come_at_most_so_often() -> None:
    rules = RulesConfig(update_every_s=3.0)
    run = play(film([Actor(stands(600, to_s=30))], to_s=30), rules=rules)
    times = [event.media_time_s for event in run.events[:-1]]
    assert len(times) == 1 + 9
    assert all(b - a >= 3.0 for a, b in itertools.pairwise(times))
    assert all(event.started_media_time_s == times[0] for event in run.events)


def test_the_cooldown_keeps_the_second_start_back_but_no_end() -> None:
    rules = RulesConfig(cooldown_s=6.0)
    first = Actor(stands(300, to_s=3))
    second = Actor(stands(900, from_s=1, to_s=12))
    run = play(film([first, second], to_s=14), rules=rules)
    one, two = run.starts
    assert one.media_time_s + 6.0 <= two.media_time_s <= one.media_time_s + 6.5
    assert {event.event_id for event in run.ends} == {one.event_id, two.event_id}


def test_the_cooldown_of_one_zone_is_not_the_others() -> None:
    right = ZoneConfig("right", ((0.5, 0), (1, 0), (1, 1), (0.5, 1)), cooldown_s=0.0)
    zones = (replace(LEFT_HALF, cooldown_s=100.0), right)
    actors = [Actor(stands(x, to_s=12)) for x in (150, 400, 800, 1100)]
    run = play(film(actors), zones=zones)
    assert sorted(event.zone for event in run.starts) == ["left", "right", "right"]


def test_only_who_stands_in_a_zone_counts() -> None:
    run = play(film([Actor(stands(500)), Actor(stands(800))]), zones=(LEFT_HALF,))
    (start,) = run.starts
    assert (start.zone, start.box.x2 < 640) == ("left", True)


def test_the_feet_decide_and_not_the_head() -> None:
    lower = ZoneConfig("lower", ((0, 0.8), (1, 0.8), (1, 1), (0, 1)))
    inside = Actor(stands(300, y=650))  # 0.90 of the height
    outside = Actor(stands(900, y=550))  # 0.76
    assert [event.box.x2 < 640 for event in play(film([inside, outside]), zones=(lower,)).starts] \
        == [True]  # fmt: skip


def test_the_ground_under_a_head_alone_is_estimated() -> None:
    lower = ZoneConfig("lower", ((0, 0.8), (1, 0.8), (1, 1), (0, 1)))
    run = play(film([Actor(stands(600), person_rate=0.0)]), zones=(lower,))
    assert [event.classes for event in run.starts] == [("head",)]


def test_an_ignored_place_counts_nowhere() -> None:
    hole = ZoneConfig("office", LEFT_HALF.polygon, kind="ignore")
    run = play(film([Actor(stands(500)), Actor(stands(800))]), zones=(hole,))
    (start,) = run.starts
    assert (start.zone, start.box.x1 > 640) == ("", True)


def test_who_steps_out_of_the_zone_ends_the_violation() -> None:
    actor = Actor(((0, 300, 650, 400), (4, 300, 650, 400), (6, 900, 650, 400), (14, 900, 650, 400)))
    run = play(film([actor], to_s=14), zones=(LEFT_HALF,))
    assert [event.type for event in run.events] == ["start", "end"]
    crossed_s = 4 + 2 * (640 - 300) / 600
    assert crossed_s + 4 <= run.ends[0].media_time_s <= crossed_s + 4.3


def test_who_wavers_at_the_edge_of_a_zone_is_one_violation() -> None:
    path = tuple((i * 0.5, 640 + (12 if i % 2 else -12), 650.0, 400.0) for i in range(40))
    run = play(film([Actor(path)], to_s=19), zones=(LEFT_HALF,))
    assert len(run.starts) == 1


def test_no_start_outside_the_hours() -> None:
    rules = RulesConfig(active_hours=("Mon-Fri 07:00-12:00",), timezone="UTC")
    dawn = datetime(2024, 6, 3, 6, 59, 56, tzinfo=UTC)
    noon = datetime(2024, 6, 3, 11, 59, 56, tzinfo=UTC)
    frames = film([Actor(stands(600, to_s=20))], to_s=20)
    (start,) = play(frames, rules=rules, clock=lambda t: dawn + timedelta(seconds=t)).starts
    assert 4.0 <= start.media_time_s <= 5.0
    late = play(frames, rules=rules, clock=lambda t: noon + timedelta(seconds=t))
    assert [event.type for event in late.events] == ["start", "end"]
    assert late.ends[0].media_time_s == pytest.approx(8.0, abs=0.2)


def test_hours_follow_the_site_when_the_clocks_change() -> None:
    # 31 March 2024, Berlin: 02:00 becomes 03:00, so 06:30 is 04:30 UTC and no longer 05:30
    rules = RulesConfig(active_hours=("Sun 06:30-18:00",), timezone="Europe/Berlin")
    utc = datetime(2024, 3, 31, 4, 29, 58, tzinfo=UTC)
    run = play(film([Actor(stands(600))]), rules=rules, clock=lambda t: utc + timedelta(seconds=t))
    assert [2.0 <= event.media_time_s <= 3.5 for event in run.starts] == [True]
    week_before = datetime(2024, 3, 24, 4, 29, 58, tzinfo=ZoneInfo("UTC"))
    frames = film([Actor(stands(600))])
    assert (
        play(frames, rules=rules, clock=lambda t: week_before + timedelta(seconds=t)).starts == ()
    )


def test_a_zones_own_hours_replace_the_general_ones() -> None:
    rules = RulesConfig(active_hours=("Tue 00:00-24:00",), timezone="UTC")
    zone = replace(LEFT_HALF, active_hours=("Mon 00:00-24:00",))
    frames = film([Actor(stands(300)), Actor(stands(900))])
    right = ZoneConfig("right", ((0.5, 0), (1, 0), (1, 1), (0.5, 1)))
    run = play(frames, rules=rules, zones=(zone, right), clock=lambda _: MONDAY)
    assert [event.zone for event in run.starts] == ["left"]


def test_a_low_camera_with_few_frames_still_alerts() -> None:
    # one frame in 3 s is less than the tracker's lost time
    run = play(film([Actor(stands(600, to_s=30))], fps=1 / 3, to_s=30))
    assert (len(run.starts), run.track_count) == (1, 1)


def test_open_violations_are_bounded_and_each_is_ended() -> None:
    # every second somebody else at another place, each violation waiting ten minutes for its end
    places = [(30 + 60 * (i % 20), 60 + 65 * (i // 20)) for i in range(MOST_OPEN + 40)]
    actors = [Actor(stands(x, y, 50, from_s=i, to_s=i + 0.75)) for i, (x, y) in enumerate(places)]
    rules = RulesConfig(end_after_s=600.0, confirm_s=0.25)
    run = play(film(actors, fps=8, to_s=len(actors)), rules=rules)
    open_now: set[str] = set()
    most = 0
    for event in run.events:
        if event.type is EventType.START:
            open_now.add(event.event_id)
        elif event.type is EventType.END:
            open_now.remove(event.event_id)
        most = max(most, len(open_now))
    assert not open_now
    assert (len(run.starts), most) == (len(actors), MOST_OPEN)


def test_another_configuration_is_taken_over_while_running() -> None:
    engine = RuleEngine(RulesConfig(), (), counting_ids())
    with pytest.raises(ConfigError):
        engine.reconfigure(RulesConfig(active_hours=("never",)), ())
    with pytest.raises(ConfigError) as caught:
        engine.reconfigure(RulesConfig(), (replace(LEFT_HALF, active_hours=("never",)),))
    assert caught.value.where == "zones[0].active_hours[0]"
    engine.reconfigure(RulesConfig(), (LEFT_HALF,))
    assert engine.open_count == 0
