"""When a person becomes an alert: a state machine over tracks and time, without input or output.

``docs/rules.md`` explains it on one page, with a drawing. In short: a person without a helmet, long
enough and in the right place and hours, opens a violation (``start``); it stays one violation, with
one id, while the person is there (``update``), and closes (``end``) when for ``end_after_s`` the
person has been gone, elsewhere, or wearing a helmet. A helmet does not end it at once: scores that
waver would end and start violations in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from daemon.bodies import body_px, centre, ground_px
from daemon.config import RulesConfig, ZoneConfig
from daemon.detections import HEAD, PERSON
from daemon.events import AlertEvent, EventType, Severity, Violation
from daemon.frames import Box
from daemon.hours import ActiveHours
from daemon.tracks import Evidence, Track, Verdict
from daemon.zones import Zones, share_of_picture

WHOLE_PICTURE = ""
"""Zone of an event where no alert zone is configured."""

DOUBT = 0.5
"""A helmet found with this share of ``helmet_score`` does not protect, but who shows it cannot be
said to show none: small helmets far away score so."""

SURE_SCORE = 0.6
"""Least score of a person whose helmet can be missed: wheels, pipes and heaps that a model takes
for people score less in most frames, people who stand there 0.75 and more."""

GAP_S = 1.0
"""Time between two looks at a person that still counts as seen steadily."""

REACH = 0.6
"""How far from where a person was lost, or would have walked to, somebody may turn up and still be
the same person, in body sizes: a step to the side, and the error of a straight walk guessed for two
seconds. A whole body size is too much: it joins somebody who leaves a room at one side with the
next who enters at the other."""

MOST_COAST_S = 2.0
"""A lost person is thought to walk on straight for at most so long."""

ALIKE = 2.0
"""Greatest ratio of body sizes of a person lost and seen again."""

MOST_OPEN = 128
"""Violations open at once; twice the tracks that can be followed. Beyond, the one whose person has
been gone for longest is ended early."""

SPEED_TIME_S = 0.5
"""Time constant over which the speed that is kept for a lost person is smoothed."""

_EPSILON_S = 1e-6
"""Sums of time steps come out a little under what they are."""


@dataclass(slots=True)
class _Timer:
    """For how long something has been so, forgiving short interruptions.

    While it is not so the time runs back at the same speed; while nobody can tell it stands.
    """

    held_s: float = 0.0
    last_s: float | None = None

    def run(self, holds: bool | None, now_s: float, step_s: float) -> None:
        """Moves the time on: it is so, it is not so, or (None) nobody can tell."""
        if holds:
            if self.last_s is not None:
                self.held_s += min(now_s - self.last_s, max(GAP_S, step_s))
            self.last_s = now_s
        elif holds is not None:
            self.held_s = max(0.0, self.held_s - step_s)
            self.last_s = None

    def reached(self, limit_s: float) -> bool:
        """Whether it is so now, and has been for the limit."""
        return self.last_s is not None and self.held_s >= limit_s - _EPSILON_S


@dataclass(slots=True)
class _Open:
    """An open violation."""

    event_id: str
    kind: Violation
    zone: str
    started_s: float
    updated_s: float
    last_true_s: float
    seen_s: float
    track_id: int
    subject: str
    box: Box
    width: int
    height: int
    score: float
    model_version: str
    velocity: tuple[float, float] = (0.0, 0.0)


@dataclass(slots=True)
class _Person:
    """What the rules remember of a live track."""

    bare: _Timer = field(default_factory=_Timer)
    unseen: _Timer = field(default_factory=_Timer)
    violation: _Open | None = None


class RuleEngine:
    """Turns tracks into alert events.

    Memory is bounded: one small record a live track, ``MOST_OPEN`` violations, one time a zone.

    Args:
        rules: thresholds, times, active hours.
        zones: none: the whole picture counts.
        new_event_id: gives a new id at each call (:class:`daemon.eventid.EventIds`).

    Raises:
        ConfigError: zones or active hours make no sense.
    """

    def __init__(
        self,
        rules: RulesConfig,
        zones: tuple[ZoneConfig, ...],
        new_event_id: Callable[[], str],
    ) -> None:
        self._new_event_id = new_event_id
        self._people: dict[int, _Person] = {}
        self._open: list[_Open] = []
        self._last_start_s: dict[str, float] = {}
        self._now_s: float | None = None
        self.reconfigure(rules, zones)

    def reconfigure(self, rules: RulesConfig, zones: tuple[ZoneConfig, ...]) -> None:
        """Takes over another configuration; open violations stay open and are judged by it.

        Raises:
            ConfigError: zones or active hours make no sense; nothing is changed then.
        """
        checked = Zones(zones)
        hours = {
            zone.name: ActiveHours(
                zone.active_hours or rules.active_hours,
                rules.timezone,
                where=f"zones[{i}].active_hours" if zone.active_hours else "rules.active_hours",
            )
            for i, zone in enumerate(zones)
        }
        hours[WHOLE_PICTURE] = ActiveHours(rules.active_hours, rules.timezone)
        cooldown_s = {
            zone.name: zone.cooldown_s if zone.cooldown_s >= 0 else rules.cooldown_s
            for zone in zones
        }
        self._rules, self._zones, self._hours = rules, checked, hours
        self._cooldown_s = {**cooldown_s, WHOLE_PICTURE: rules.cooldown_s}
        self._last_start_s = {
            name: at_s for name, at_s in self._last_start_s.items() if name in self._cooldown_s
        }

    @property
    def open_count(self) -> int:
        """Violations open now."""
        return len(self._open)

    def update(
        self,
        tracks: tuple[Track, ...],
        *,
        media_time_s: float,
        local_time: datetime,
        width: int,
        height: int,
        model_version: str,
    ) -> tuple[AlertEvent, ...]:
        """Takes in the tracks of one frame.

        Args:
            tracks: all live tracks.
            media_time_s: of the frame, on the source's clock.
            local_time: wall clock of the frame, aware of its time zone, for the active hours.
            width: of the frame in pixels.
            height: of the frame in pixels.
            model_version: of the model that found them.

        Returns:
            Events, in the order in which they are to be told.
        """
        now_s = media_time_s if self._now_s is None else max(media_time_s, self._now_s)
        step_s = 0.0 if self._now_s is None else now_s - self._now_s
        self._now_s = now_s
        live = {track.track_id for track in tracks}
        self._people = {key: one for key, one in self._people.items() if key in live}
        visible = sorted((one for one in tracks if one.visible), key=lambda one: one.track_id)
        self._recognise(visible, now_s)
        events: list[AlertEvent] = []
        for track in visible:
            person = self._people.setdefault(track.track_id, _Person())
            newest = _newest_evidence(track)
            if newest is not None and newest.helmet_score >= self._rules.helmet_score:
                person.unseen = _Timer()  # a helmet was seen: the time begins anew
            zone = self._zone_of(track, local_time, width, height)
            person.bare.run(zone is not None and track.verdict is Verdict.BARE, now_s, step_s)
            person.unseen.run(self._helmet_unseen(track, zone, max(width, height)), now_s, step_s)
            violation = person.violation
            if violation is None:
                violation = self._opened(person, track, zone, now_s)
                if violation is None:
                    continue
                person.violation = violation
                _refresh(violation, track, now_s, (width, height), model_version)
                events += self._make_room(now_s)
                self._open.append(violation)
                events.append(self._event(violation, EventType.START, now_s))
            else:
                _refresh(violation, track, now_s, (width, height), model_version)
                events += self._carried_on(violation, person, track, zone, now_s)
        events += self._lapsed(now_s)
        return tuple(events)

    def finish(self, *, media_time_s: float) -> tuple[AlertEvent, ...]:
        """Ends every open violation: the source is at its end, or the process stops.

        Args:
            media_time_s: of the last frame.
        """
        now_s = media_time_s if self._now_s is None else max(media_time_s, self._now_s)
        return tuple(self._end(violation, now_s) for violation in list(self._open))

    def _zone_of(self, track: Track, local_time: datetime, width: int, height: int) -> str | None:
        """The zone in whose hours the person stands now, or None."""
        point = share_of_picture(ground_px(track.subject, track.box), width, height)
        if self._zones.ignored(point):
            return None
        names = [zone.name for zone in self._zones.at(point)]
        if not self._zones.alert:
            names = [WHOLE_PICTURE]
        return next((name for name in names if self._hours[name].contain(local_time)), None)

    def _helmet_unseen(self, track: Track, zone: str | None, longer_side_px: int) -> bool | None:
        """Whether no helmet is seen on a person of whom it should be; None where nobody can say."""
        if zone is None or track.verdict is Verdict.HELMET:
            return False
        newest = _newest_evidence(track)
        if newest is None:
            return None
        least_px = self._rules.unknown_least_height * longer_side_px
        if body_px(track.subject, track.box) < least_px or track.score < SURE_SCORE:
            return None
        return newest.helmet_score < DOUBT * self._rules.helmet_score

    def _opened(
        self, person: _Person, track: Track, zone: str | None, now_s: float
    ) -> _Open | None:
        """A violation that begins now, or None."""
        kind = self._kind(person)
        if zone is None or kind is None:
            return None
        last_s = self._last_start_s.get(zone)
        if last_s is not None and now_s - last_s < self._cooldown_s[zone] - _EPSILON_S:
            return None
        self._last_start_s[zone] = now_s
        return _Open(
            event_id=self._new_event_id(),
            kind=kind,
            zone=zone,
            started_s=now_s,
            updated_s=now_s,
            last_true_s=now_s,
            seen_s=now_s,
            track_id=track.track_id,
            subject=track.subject,
            box=track.box,
            width=0,
            height=0,
            score=0.0,
            model_version="",
        )

    def _kind(self, person: _Person) -> Violation | None:
        """Which rule the person breaks now, the graver first."""
        if person.bare.reached(self._rules.confirm_s):
            return Violation.BARE_HEAD
        if self._rules.unknown_enabled and person.unseen.reached(self._rules.unknown_s):
            return Violation.HELMET_UNSEEN
        return None

    def _carried_on(
        self,
        violation: _Open,
        person: _Person,
        track: Track,
        zone: str | None,
        now_s: float,
    ) -> list[AlertEvent]:
        """What an open violation says of the person it is about, seen in this frame."""
        if zone is None or track.verdict is Verdict.HELMET:
            return []
        violation.last_true_s = now_s
        graver = (
            violation.kind is Violation.HELMET_UNSEEN and self._kind(person) is Violation.BARE_HEAD
        )
        if graver:
            violation.kind = Violation.BARE_HEAD
            violation.score = track.verdict_score
        due = now_s - violation.updated_s >= self._rules.update_every_s - _EPSILON_S
        if not graver and not due:
            return []
        violation.updated_s = now_s
        return [self._event(violation, EventType.UPDATE, now_s)]

    def _recognise(self, visible: list[Track], now_s: float) -> None:
        """Gives people who were lost and are seen again their violation back, nearest first."""
        seen_ids = {track.track_id for track in visible}
        pairs = []
        for violation in self._open:
            gone_s = now_s - violation.last_true_s
            if violation.track_id in seen_ids or gone_s > self._rules.end_after_s + _EPSILON_S:
                continue
            for track in visible:
                known = self._people.get(track.track_id)
                taken_up = known is not None and known.violation is not None
                if taken_up or track.verdict is Verdict.HELMET:
                    continue
                away = _away(violation, track, now_s)
                if away <= REACH:
                    pairs.append((away, violation.event_id, track.track_id, violation))
        taken: set[str | int] = set()
        for _, event_id, track_id, violation in sorted(pairs, key=lambda pair: pair[:3]):
            if event_id in taken or track_id in taken:
                continue
            taken |= {event_id, track_id}
            before = self._people.get(violation.track_id)
            if before is not None:
                before.violation = None
            self._people.setdefault(track_id, _Person()).violation = violation
            violation.track_id = track_id

    def _make_room(self, now_s: float) -> list[AlertEvent]:
        if len(self._open) < MOST_OPEN:
            return []
        return [self._end(min(self._open, key=lambda one: one.seen_s), now_s)]

    def _lapsed(self, now_s: float) -> list[AlertEvent]:
        """Ends violations that have not been true for long enough."""
        limit_s = self._rules.end_after_s + _EPSILON_S
        lapsed = [one for one in self._open if now_s - one.last_true_s > limit_s]
        return [self._end(violation, now_s) for violation in lapsed]

    def _end(self, violation: _Open, now_s: float) -> AlertEvent:
        self._open.remove(violation)
        person = self._people.get(violation.track_id)
        if person is not None and person.violation is violation:
            # What led here is told; a new violation of this person needs new evidence.
            self._people[violation.track_id] = _Person()
        return self._event(violation, EventType.END, now_s)

    def _event(self, violation: _Open, kind: EventType, now_s: float) -> AlertEvent:
        bare = violation.kind is Violation.BARE_HEAD
        severity = self._rules.bare_severity if bare else self._rules.unknown_severity
        on_person = (PERSON, HEAD) if bare else (PERSON,)
        return AlertEvent(
            event_id=violation.event_id,
            type=kind,
            violation=violation.kind,
            severity=Severity(severity),
            zone=violation.zone,
            classes=on_person if violation.subject == PERSON else (HEAD,),
            score=violation.score,
            box=violation.box,
            width=violation.width,
            height=violation.height,
            track_id=violation.track_id,
            media_time_s=now_s,
            started_media_time_s=violation.started_s,
            model_version=violation.model_version,
        )


def _newest_evidence(track: Track) -> Evidence | None:
    """What was seen of the head in this frame; None where the head was not in view."""
    newest = track.evidence[-1] if track.evidence else None
    return newest if newest is not None and newest.media_time_s == track.last_seen_s else None


def _refresh(
    violation: _Open, track: Track, now_s: float, size: tuple[int, int], model_version: str
) -> None:
    """Keeps where the person was seen last, how fast it went, and how sure that is."""
    passed_s = now_s - violation.seen_s
    if passed_s > 0 and violation.subject == track.subject:
        (x1, y1), (x2, y2) = centre(violation.box), centre(track.box)
        vx, vy = violation.velocity
        share = passed_s / (passed_s + SPEED_TIME_S)
        violation.velocity = (
            vx + share * ((x2 - x1) / passed_s - vx),
            vy + share * ((y2 - y1) / passed_s - vy),
        )
    violation.seen_s = now_s
    violation.subject, violation.box = track.subject, track.box
    violation.width, violation.height = size
    violation.model_version = model_version
    if violation.kind is Violation.HELMET_UNSEEN:
        violation.score = track.score
    elif track.verdict is Verdict.BARE:
        violation.score = track.verdict_score


def _away(violation: _Open, track: Track, now_s: float) -> float:
    """Distance of a track from where a lost person is expected, in body sizes of the smaller.

    Both where the person was lost and where it would have walked to, if that is in the picture,
    are tried, and the nearer counts; infinity for somebody who was there already, or of quite
    another size.
    """
    if track.first_seen_s <= violation.seen_s:
        return math.inf
    lost_px, found_px = body_px(violation.subject, violation.box), body_px(track.subject, track.box)
    larger, smaller = max(lost_px, found_px), min(lost_px, found_px)
    if larger > ALIKE * smaller:
        return math.inf
    coasted_s = min(now_s - violation.seen_s, MOST_COAST_S)
    (x1, y1), (x2, y2) = centre(violation.box), centre(track.box)
    vx, vy = violation.velocity
    away_px = math.hypot(x2 - x1, y2 - y1)
    x, y = x1 + vx * coasted_s, y1 + vy * coasted_s
    if 0 <= x <= violation.width and 0 <= y <= violation.height:
        away_px = min(away_px, math.hypot(x2 - x, y2 - y))
    return away_px / smaller
