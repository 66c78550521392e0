"""What :mod:`daemon.alerts.rules` remembers: open violations, and how long something was so."""

from __future__ import annotations

import math
from dataclasses import dataclass

from daemon.alerts.events import Violation
from daemon.frames import Box
from daemon.tracking.bodies import body_px, crown
from daemon.tracking.tracks import Track, Verdict

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

SPEED_TIME_S = 0.5
"""Time constant over which the speed that is kept for a lost person is smoothed."""

EPSILON_S = 1e-6
"""Sums of time steps come out a little under what they are."""


@dataclass(slots=True)
class SteadyTimer:
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
        return self.last_s is not None and self.held_s >= limit_s - EPSILON_S


@dataclass(slots=True)
class OpenViolation:
    """An open violation.

    Attributes:
        event_id: of all its events.
        kind: which rule; it may become graver.
        zone: where it started.
        started_s: media time of its start.
        updated_s: media time of its last event.
        last_true_s: media time at which it was last true.
        seen_s: media time at which the person was last seen.
        track_id: of the person's track.
        subject: what ``box`` is.
        box: where the person was last seen, in pixels.
        width: of that frame in pixels.
        height: of that frame in pixels.
        score: see :class:`daemon.alerts.events.AlertEvent`.
        model_version: of the model that looked last.
        velocity: of the crown of the head, pixels a second.
    """

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

    def saw(self, track: Track, now_s: float, size: tuple[int, int], model_version: str) -> None:
        """Keeps where the person was seen last, how fast it went, and how sure that is.

        Args:
            track: visible in this frame.
            now_s: media time.
            size: width and height of the frame in pixels.
            model_version: of the model that found the person.
        """
        passed_s = now_s - self.seen_s
        if passed_s > 0:
            (x1, y1), (x2, y2) = crown(self.box), crown(track.box)
            vx, vy = self.velocity
            share = passed_s / (passed_s + SPEED_TIME_S)
            self.velocity = (
                vx + share * ((x2 - x1) / passed_s - vx),
                vy + share * ((y2 - y1) / passed_s - vy),
            )
        self.seen_s = now_s
        self.subject, self.box = track.subject, track.box
        self.width, self.height = size
        self.model_version = model_version
        if self.kind is Violation.HELMET_UNSEEN:
            self.score = track.score
        elif track.verdict is Verdict.BARE:
            self.score = track.verdict_score

    def away(self, track: Track, now_s: float) -> float:
        """Distance of a track from where the lost person is expected, in sizes of the smaller body.

        Both where the person was lost and where it would have walked to, if that is in the picture,
        are tried, and the nearer counts; infinity for somebody who was there already, or of quite
        another size.
        """
        if track.first_seen_s <= self.seen_s:
            return math.inf
        lost_px, found_px = body_px(self.subject, self.box), body_px(track.subject, track.box)
        larger, smaller = max(lost_px, found_px), min(lost_px, found_px)
        if larger > ALIKE * smaller:
            return math.inf
        coasted_s = min(now_s - self.seen_s, MOST_COAST_S)
        (x1, y1), (x2, y2) = crown(self.box), crown(track.box)
        vx, vy = self.velocity
        away_px = math.hypot(x2 - x1, y2 - y1)
        x, y = x1 + vx * coasted_s, y1 + vy * coasted_s
        if 0 <= x <= self.width and 0 <= y <= self.height:
            away_px = min(away_px, math.hypot(x2 - x, y2 - y))
        return away_px / smaller
