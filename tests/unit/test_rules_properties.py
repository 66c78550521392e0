"""What must hold of the alerts of any scene, found or not found in whatever way."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.alerts.events import AlertEvent, EventType, Violation
from daemon.alerts.hours import ActiveHours
from daemon.alerts.zones import Zones, share_of_picture
from daemon.config import RulesConfig, ZoneConfig
from daemon.detection.detections import HEAD, HELMET
from daemon.tracking.bodies import ground_px
from tests.support.scenes import Actor, FrameOf, film, play, shifted, shuffled, walks

# Times and rates are binary fractions: sums and shifts of them are exact, so that the same scene
# at another time must give the very same events.
share = st.integers(0, 8).map(lambda i: i / 8)
actors = st.builds(
    Actor,
    path=st.builds(
        lambda x1, x2, y, height, start, length: walks(
            x1, x2, y, height, from_s=start, to_s=start + length
        ),
        st.integers(0, 1280), st.integers(0, 1280), st.integers(300, 720), st.integers(100, 600),
        st.integers(0, 8), st.integers(1, 12),
    ),
    wears=st.sampled_from((HELMET, HEAD, "")),
    person_rate=share, head_rate=share,
    person_score=st.sampled_from((0.2, 0.6, 0.9)), head_score=st.sampled_from((0.2, 0.6, 0.9)),
)  # fmt: skip
films = st.builds(
    lambda cast, fps, seed: film(cast, fps=fps, to_s=14, seed=seed),
    st.lists(actors, min_size=1, max_size=4),
    st.sampled_from((1.0, 4.0, 8.0)),
    st.integers(0, 2**32 - 1),
)
rules = st.builds(
    RulesConfig,
    confirm_s=st.sampled_from((0.0, 0.5, 2.0)),
    unknown_enabled=st.booleans(),
    unknown_s=st.sampled_from((1.0, 3.0)),
    update_every_s=st.sampled_from((0.5, 4.0)),
    end_after_s=st.sampled_from((0.0, 1.0, 4.0)),
    cooldown_s=st.sampled_from((0.0, 3.0, 60.0)),
)
tenths = st.integers(0, 10).map(lambda i: i / 10)


@st.composite
def zones(draw: st.DrawFn) -> ZoneConfig:
    left, top = draw(st.integers(0, 8)) / 10, draw(st.integers(0, 8)) / 10
    right, bottom = left + draw(st.integers(1, 10)) / 10, top + draw(st.integers(1, 10)) / 10
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    inside = tuple((min(x, 1.0), min(y, 1.0)) for x, y in corners)
    kind = draw(st.sampled_from(("alert", "ignore")))
    return ZoneConfig("", inside, kind, cooldown_s=draw(st.sampled_from((-1.0, 0.0, 5.0))))


named_zones = st.lists(zones(), max_size=3).map(
    lambda found: tuple(replace(zone, name=f"z{i}") for i, zone in enumerate(found))
)
SETTINGS = settings(max_examples=40, deadline=None)


@SETTINGS
@given(films, rules, named_zones)
def test_each_violation_starts_once_ends_once_and_is_told_in_order(
    frames: list[FrameOf], chosen: RulesConfig, places: tuple[ZoneConfig, ...]
) -> None:
    events = play(frames, rules=chosen, zones=places).events
    lives: dict[str, list[AlertEvent]] = {}
    for event in events:
        lives.setdefault(event.event_id, []).append(event)
    for life in lives.values():
        types = [event.type for event in life]
        assert types[0] is EventType.START
        assert types[-1] is EventType.END
        assert set(types[1:-1]) <= {EventType.UPDATE}
        assert {event.started_media_time_s for event in life} == {life[0].media_time_s}
        assert {event.zone for event in life} == {life[0].zone}
    times = [event.media_time_s for event in events]
    assert times == sorted(times)


@SETTINGS
@given(films, rules)
def test_updates_keep_their_distance_but_where_it_gets_graver(
    frames: list[FrameOf], chosen: RulesConfig
) -> None:
    told: dict[str, AlertEvent] = {}
    for event in play(frames, rules=chosen).events:
        before = told.get(event.event_id)
        if before is not None and event.type is EventType.UPDATE:
            graver = before.violation is not event.violation
            assert not graver or event.violation is Violation.BARE_HEAD
            assert graver or (
                event.media_time_s - before.media_time_s >= chosen.update_every_s - 1e-6
            )
        told[event.event_id] = event


@SETTINGS
@given(films, rules)
def test_a_bare_head_is_told_only_over_the_threshold(
    frames: list[FrameOf], chosen: RulesConfig
) -> None:
    for event in play(frames, rules=chosen).starts:
        if event.violation is Violation.BARE_HEAD:
            assert event.score >= chosen.bare_score


@SETTINGS
@given(films, rules)
def test_starts_in_a_zone_keep_the_cooldown(frames: list[FrameOf], chosen: RulesConfig) -> None:
    times = [event.media_time_s for event in play(frames, rules=chosen).starts]
    pairs = itertools.pairwise(times)
    assert all(later - earlier >= chosen.cooldown_s - 1e-6 for earlier, later in pairs)


@SETTINGS
@given(films, rules, named_zones)
def test_starts_and_updates_are_where_they_count(
    frames: list[FrameOf], chosen: RulesConfig, places: tuple[ZoneConfig, ...]
) -> None:
    checked = Zones(places)
    for event in play(frames, rules=chosen, zones=places).events:
        if event.type is EventType.END:
            continue
        subject = HEAD if event.classes == (HEAD,) else "person"
        point = share_of_picture(ground_px(subject, event.box), event.width, event.height)
        assert not checked.ignored(point)
        names = [zone.name for zone in checked.at(point)]
        if event.type is EventType.START:
            assert event.zone in (names or [""])
        assert names or not checked.alert


@SETTINGS
@given(films, st.integers(0, 20))
def test_starts_and_updates_are_when_they_count(frames: list[FrameOf], minute: int) -> None:
    spans = ("Mon 12:05-12:10", "Mon 12:12-12:14")

    def clock(time_s: float) -> datetime:
        return datetime(2024, 6, 3, 12, minute, tzinfo=UTC) + timedelta(seconds=8 * time_s)

    chosen = RulesConfig(active_hours=spans, timezone="UTC", update_every_s=0.5)
    for event in play(frames, rules=chosen, clock=clock).events:
        if event.type is not EventType.END:
            assert ActiveHours(spans, "UTC").contain(clock(event.media_time_s))


@SETTINGS
@given(films, rules, named_zones, st.integers(0, 2**32 - 1))
def test_the_same_film_gives_the_same_alerts_in_any_order_of_detections(
    frames: list[FrameOf], chosen: RulesConfig, places: tuple[ZoneConfig, ...], seed: int
) -> None:
    first = play(frames, rules=chosen, zones=places)
    assert play(frames, rules=chosen, zones=places) == first
    assert play(shuffled(frames, seed), rules=chosen, zones=places) == first


@SETTINGS
@given(films, rules, st.integers(0, 2**20).map(float))
def test_the_clock_at_which_a_film_begins_does_not_matter(
    frames: list[FrameOf], chosen: RulesConfig, by_s: float
) -> None:
    def back(event: AlertEvent) -> AlertEvent:
        return replace(
            event,
            media_time_s=event.media_time_s - by_s,
            started_media_time_s=event.started_media_time_s - by_s,
        )

    later = play(shifted(frames, by_s), rules=chosen)
    assert tuple(map(back, later.events)) == play(frames, rules=chosen).events


@SETTINGS
@given(st.lists(actors, min_size=1, max_size=3), st.sampled_from((1.0, 4.0, 8.0)))
def test_whose_helmet_is_always_found_never_alerts(cast: list[Actor], fps: float) -> None:
    safe = [
        replace(one, wears=HELMET, person_rate=1.0, head_rate=1.0, head_score=0.8)
        for one in cast
        if one.path[0][2] >= one.path[0][3]  # the head is in the picture
    ]
    assert play(film(safe, fps=fps, to_s=14)).events == ()
