"""When a person becomes an alert: a state machine over tracks and time, without input or output.

``docs/rules.md`` explains it on one page, with a drawing. In short: a person without a helmet, long
enough and in the right place and hours, opens a violation (``start``); it stays one violation, with
one id, while the person is there (``update``), and closes (``end``) when for ``end_after_s`` the
person has been gone, elsewhere, or wearing a helmet. A helmet does not end it at once: scores that
waver would end and start violations in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from daemon.alerts.events import AlertEvent, EventType, Severity, Violation
from daemon.alerts.hours import ActiveHours
from daemon.alerts.violations import EPSILON_S, REACH, OpenViolation, SteadyTimer
from daemon.alerts.zones import Zones, share_of_picture
from daemon.config import RulesConfig, ZoneConfig
from daemon.detection.detections import HEAD, PERSON
from daemon.tracking.bodies import body_px, ground_px
from daemon.tracking.tracks import Evidence, Track, Verdict

WHOLE_PICTURE = ""
"""Zone of an event where no alert zone is configured."""

DOUBT = 0.5
"""A helmet found with this share of ``helmet_score`` does not protect, but who shows it cannot be
said to show none: small helmets far away score so."""

SURE_SCORE = 0.6
"""Least score of a person whose helmet can be missed: wheels, pipes and heaps that a model takes
for people score less in most frames, people who stand there 0.75 and more."""

MOST_OPEN = 128
"""Violations open at once; twice the tracks that can be followed. Beyond, the one whose person has
been gone for longest is ended early."""


@dataclass(slots=True)
class _Person:
    """What the rules remember of a live track."""

    bare: SteadyTimer = field(default_factory=SteadyTimer)
    unseen: SteadyTimer = field(default_factory=SteadyTimer)
    violation: OpenViolation | None = None


class RuleEngine:
    """Turns tracks into alert events.

    Memory is bounded: one small record a live track, ``MOST_OPEN`` violations, one time a zone.

    Args:
        rules: thresholds, times, active hours.
        zones: none: the whole picture counts.
        new_event_id: gives a new id at each call (:class:`daemon.alerts.eventid.EventIds`).

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
        self._open: list[OpenViolation] = []
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
        for violated in self._open:
            violated.model_version = model_version  # its end may come of what this model misses
        live = {track.track_id for track in tracks}
        self._people = {key: one for key, one in self._people.items() if key in live}
        visible = sorted((one for one in tracks if one.visible), key=lambda one: one.track_id)
        self._recognise(visible, now_s)
        events: list[AlertEvent] = []
        for track in visible:
            person = self._people.setdefault(track.track_id, _Person())
            newest = _newest_evidence(track)
            if newest is not None and newest.helmet_score >= self._rules.helmet_score:
                person.unseen = SteadyTimer()  # a helmet was seen: the time begins anew
            zone = self._zone_of(track, local_time, width, height)
            person.bare.run(self._bare(track, zone), now_s, step_s)
            person.unseen.run(self._helmet_unseen(track, zone, max(width, height)), now_s, step_s)
            violation = person.violation
            if violation is None:
                violation = self._opened(person, track, zone, now_s)
                if violation is None:
                    continue
                person.violation = violation
                violation.saw(track, now_s, (width, height), model_version)
                events += self._make_room(now_s)
                self._open.append(violation)
                events.append(self._event(violation, EventType.START, now_s))
            else:
                violation.saw(track, now_s, (width, height), model_version)
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

    def _bare(self, track: Track, zone: str | None) -> bool | None:
        """Whether the head is bare; None while only hysteresis or memory says so."""
        if zone is None or track.verdict is not Verdict.BARE:
            return False
        return True if track.verdict_score >= self._rules.bare_score else None

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

    def _still_bare(self, track: Track) -> bool:
        """Whether an open violation is still true of a person: nothing speaks for a helmet now."""
        if track.verdict is Verdict.HELMET:
            return False
        newest = _newest_evidence(track)
        if newest is None or newest.bare_score >= newest.helmet_score:
            return True
        return newest.helmet_score < DOUBT * self._rules.helmet_score

    def _opened(
        self, person: _Person, track: Track, zone: str | None, now_s: float
    ) -> OpenViolation | None:
        """A violation that begins now, or None."""
        kind = self._kind(person)
        if zone is None or kind is None:
            return None
        last_s = self._last_start_s.get(zone)
        if last_s is not None and now_s - last_s < self._cooldown_s[zone] - EPSILON_S:
            return None
        self._last_start_s[zone] = now_s
        return OpenViolation(
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
        violation: OpenViolation,
        person: _Person,
        track: Track,
        zone: str | None,
        now_s: float,
    ) -> list[AlertEvent]:
        """What an open violation says of the person it is about, seen in this frame."""
        if zone is None or not self._still_bare(track):
            return []
        violation.last_true_s = now_s
        graver = (
            violation.kind is Violation.HELMET_UNSEEN and self._kind(person) is Violation.BARE_HEAD
        )
        if graver:
            violation.kind = Violation.BARE_HEAD
            violation.score = track.verdict_score
        due = now_s - violation.updated_s >= self._rules.update_every_s - EPSILON_S
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
            if violation.track_id in seen_ids or gone_s > self._rules.end_after_s + EPSILON_S:
                continue
            for track in visible:
                known = self._people.get(track.track_id)
                taken_up = known is not None and known.violation is not None
                if taken_up or not self._still_bare(track):
                    continue
                away = violation.away(track, now_s)
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
        limit_s = self._rules.end_after_s + EPSILON_S
        lapsed = [one for one in self._open if now_s - one.last_true_s > limit_s]
        return [self._end(violation, now_s) for violation in lapsed]

    def _end(self, violation: OpenViolation, now_s: float) -> AlertEvent:
        self._open.remove(violation)
        person = self._people.get(violation.track_id)
        if person is not None and person.violation is violation:
            # What led here is told; a new violation of this person needs new evidence.
            self._people[violation.track_id] = _Person()
        return self._event(violation, EventType.END, now_s)

    def _event(self, violation: OpenViolation, kind: EventType, now_s: float) -> AlertEvent:
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
