"""Follows people from frame to frame.

The method is ByteTrack's (Y. Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every
Detection Box", ECCV 2022): strong boxes are matched with all tracks first, weak ones then with
the tracks that are left, and only strong ones may start a track. Motion is the constant-velocity
Kalman filter of :mod:`daemon.tracking.kalman`. ByteTrack compares boxes by IoU alone, which needs
many frames a second: at one, the boxes of somebody who walks do not touch. So a pair is possible
also within the filter's own uncertainty, which grows with the time between two frames (the
Mahalanobis gate of N. Wojke et al., "Simple Online and Realtime Tracking with a Deep Association
Metric", ICIP 2017), and costs its IoU distance plus its share of that gate.

What is followed is the person. A head without a body is followed as subject ``head`` and goes on
as the same track once the body is found; a person whose body is missed is followed by the head.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from daemon.config import RulesConfig, TrackerConfig
from daemon.detection.detections import HEAD, PERSON, Detections
from daemon.frames import Box
from daemon.tracking.assignment import assign
from daemon.tracking.bodies import BODY_HEADS, body_px, centre
from daemon.tracking.evidence import Judgement, judge
from daemon.tracking.kalman import ConstantVelocity
from daemon.tracking.sightings import Sighting, overlap, sightings, sizes_fit
from daemon.tracking.tracks import Evidence, Track

LEAST_IOU = 0.2
"""Boxes that overlap so far may be the same person wherever the filter expected it; ByteTrack's
value (its greatest distance is 0.8)."""

GATE_SIGMAS = math.sqrt(9.21)
"""Greatest distance from the expected place in standard deviations: 99 % of a chi-square
distribution with 2 degrees of freedom."""

MOST_JUMP = 1.5
"""The gate is never wider than this many body sizes, whatever the filter's uncertainty: further
away it is somebody else."""

MOST_GROWTH = 2.0
"""Greatest ratio of body sizes between two frames without overlap: walking from 4 m to 2.6 m from
the camera in a second is 1.5. Not asked of a box that the picture's edge cuts."""

HEAD_GROWTH = 1.6
HEAD_GUESS = 2.5
"""Greatest ratio between a head that alone continues a person and the head known of that person,
or, where none is known, what the body lets expect. A table top is no head."""

WEAK_FACTOR = 2.0
"""Weak boxes alone keep a track for so many times ``lost_after_s``: people are found well again
within that; what stays weak for longer is a thing that was there before."""

STALE_FACTOR = 4.0
"""A track is kept over a pause without frames for so many times ``lost_after_s``: a source of less
than one frame in ``lost_after_s`` can still be followed."""

MOST_TRACKS = 64
"""Tracks followed at once; beyond, the one unseen for longest is dropped."""

_EDGE_PX = 3.0
"""A box so near to the picture's edge is taken to be cut by it."""

ALONE = 3.0
"""What it costs to leave a track without a box. The worst pair costs 2 (IoU distance and share of
the gate, 1 each): people rarely vanish in the midst of the picture while others appear there, so
four people a step further are likelier than three who stepped back, one gone and one new."""


@dataclass(slots=True)
class _Followed:
    """A track and the state that only the tracker needs."""

    track_id: int
    subject: str
    box: Box
    motion: ConstantVelocity
    first_seen_s: float
    last_seen_s: float
    last_strong_s: float
    head_px: float | None = None
    score: float = 0.0
    hits: int = 0
    visible: bool = True
    evidence: deque[Evidence] = field(default_factory=deque)
    judgement: Judgement = field(default_factory=Judgement)

    def as_track(self) -> Track:
        return Track(
            track_id=self.track_id,
            subject=self.subject,
            box=self.box,
            score=self.score if self.visible else 0.0,
            visible=self.visible,
            hits=self.hits,
            first_seen_s=self.first_seen_s,
            last_seen_s=self.last_seen_s,
            evidence=tuple(self.evidence),
            verdict=self.judgement.verdict,
            verdict_score=self.judgement.score,
        )


class Tracker:
    """Turns the detections of each frame into tracks.

    The same detections at the same times give the same tracks, in whatever order the detections of
    a frame come. State is bounded: ``MOST_TRACKS`` tracks of ``history`` frames of evidence.

    Args:
        tracker: scores and times of the association.
        rules: thresholds of the verdict.
    """

    def __init__(self, tracker: TrackerConfig, rules: RulesConfig) -> None:
        self._followed: list[_Followed] = []
        self._next_id = 1
        self._now_s: float | None = None
        self.configure(tracker, rules)

    def configure(self, tracker: TrackerConfig, rules: RulesConfig) -> None:
        """Takes over another configuration; tracks live on and are judged by it."""
        self._config = tracker
        self._rules = rules
        for one in self._followed:
            one.evidence = deque(one.evidence, maxlen=tracker.history)

    def update(self, detections: Detections, media_time_s: float) -> tuple[Track, ...]:
        """Takes in one frame.

        Args:
            detections: of the frame.
            media_time_s: of the frame; a time before the last frame's counts as that one's.

        Returns:
            All live tracks by ``track_id``; those not found in this frame are not ``visible``.
        """
        now_s = media_time_s if self._now_s is None else max(media_time_s, self._now_s)
        step_s = 0.0 if self._now_s is None else now_s - self._now_s
        self._now_s = now_s
        self._drop_lost(now_s)
        for one in self._followed:
            one.motion.predict(step_s, body_px(one.subject, one.box))
            one.box = _around(one.motion.x, one.motion.y, one.box.width, one.box.height)
        people = sightings(detections, self._config.low_score)
        unmatched = self._associate(people, detections, now_s)
        self._forget_those_who_left(detections)
        for person in unmatched:
            self._start(person, now_s)
        return tuple(one.as_track() for one in self._followed)

    def _drop_lost(self, now_s: float) -> None:
        lost_s = self._config.lost_after_s
        self._followed = [
            one
            for one in self._followed
            if now_s - one.last_seen_s <= (STALE_FACTOR * lost_s if one.visible else lost_s)
        ]

    def _forget_those_who_left(self, detections: Detections) -> None:
        """Drops tracks expected outside the picture: who enters next is somebody else."""
        self._followed = [
            one
            for one in self._followed
            if one.visible
            or (0 <= one.motion.x <= detections.width and 0 <= one.motion.y <= detections.height)
        ]

    def _associate(
        self, people: tuple[Sighting, ...], detections: Detections, now_s: float
    ) -> list[Sighting]:
        """Matches in ByteTrack's two stages; returns who may start a track."""
        strong = [one for one in people if one.score >= self._config.high_score and one.fresh]
        weak = [one for one in people if one.score < self._config.high_score or not one.fresh]
        tracks = list(self._followed)
        lost: list[_Followed] = []
        unmatched: list[Sighting] = []
        for stage in (strong, weak):
            if stage is weak:
                least_s = now_s - WEAK_FACTOR * self._config.lost_after_s
                lost = [track for track in tracks if track.last_strong_s < least_s]
                tracks = [track for track in tracks if track.last_strong_s >= least_s]
            cost = np.array(
                [
                    [_pair_cost(track, one, detections, gated=stage is strong) for one in stage]
                    for track in tracks
                ],
                np.float64,
            ).reshape(len(tracks), len(stage))
            pairs = assign(cost, ALONE)
            for row, column in pairs:
                self._continue(tracks[row], stage[column], now_s)
            if stage is strong:
                found = {column for _, column in pairs}
                unmatched = [one for i, one in enumerate(stage) if i not in found]
            matched = {row for row, _ in pairs}
            tracks = [track for i, track in enumerate(tracks) if i not in matched]
        for track in (*tracks, *lost):
            track.visible = False
        return unmatched

    def _continue(self, track: _Followed, person: Sighting, now_s: float) -> None:
        expected, seen = _like_boxes(track, person)
        assert seen is not None, "matched"
        track.motion.correct(*centre(seen), body_px(track.subject, expected))
        if person.body is None:
            track.box = seen
        else:
            if track.subject == HEAD:  # the velocity stays, the place is now the body's
                track.motion.x, track.motion.y = centre(person.body)
                track.subject = PERSON
            track.box = person.body
        self._see(track, person, now_s)

    def _start(self, person: Sighting, now_s: float) -> None:
        if len(self._followed) >= MOST_TRACKS:
            longest = min(self._followed, key=lambda one: (one.last_seen_s, -one.track_id))
            self._followed.remove(longest)
        subject = PERSON if person.body is not None else HEAD
        track = _Followed(
            track_id=self._next_id,
            subject=subject,
            box=person.box,
            motion=ConstantVelocity.start(*centre(person.box), body_px(subject, person.box)),
            first_seen_s=now_s,
            last_seen_s=now_s,
            last_strong_s=now_s,
            evidence=deque(maxlen=self._config.history),
        )
        self._next_id += 1
        self._see(track, person, now_s)
        self._followed.append(track)

    def _see(self, track: _Followed, person: Sighting, now_s: float) -> None:
        track.visible = True
        track.hits += 1
        track.last_seen_s = now_s
        if person.score >= self._config.high_score:
            track.last_strong_s = now_s
        if person.head is not None:
            track.head_px = head_px(person.head.box)
        track.score = person.score if person.body is None else person.body_score
        if person.head_in_view:
            helmet = person.head.helmet_score if person.head else 0.0
            bare = person.head.bare_score if person.head else 0.0
            track.evidence.append(Evidence(now_s, helmet, bare))
        track.judgement = judge(track.judgement, tuple(track.evidence), self._rules, now_s)


def head_px(head: Box) -> float:
    """Size of a head: the larger side, since the picture's edge may cut the other."""
    return max(head.width, head.height)


def _pair_cost(track: _Followed, person: Sighting, detections: Detections, *, gated: bool) -> float:
    """IoU distance plus share of the gate, 0 to 2; infinity for a pair that cannot be.

    Args:
        track: moved on to this frame.
        person: somebody in this frame.
        detections: for the size of the picture.
        gated: whether a pair without overlap is possible within the gate.
    """
    expected, seen = _like_boxes(track, person)
    if seen is None:
        return math.inf
    if person.body is None and track.subject == PERSON and not gated:
        return math.inf  # a weak or stray head is no reason to believe in a person still
    size, seen_size = body_px(track.subject, expected), body_px(track.subject, seen)
    cut = _cut(expected, detections) or _cut(seen, detections)
    deviation = math.sqrt(track.motion.innovation_variance(size)) * max(size, seen_size) / size
    gate = min(GATE_SIGMAS * deviation, MOST_JUMP * max(size, seen_size))
    (x1, y1), (x2, y2) = centre(expected), centre(seen)
    share = math.hypot(x2 - x1, y2 - y1) / gate
    alike = cut or max(size, seen_size) <= MOST_GROWTH * min(size, seen_size)
    iou = overlap(expected, seen)
    if iou < LEAST_IOU and not (gated and share <= 1 and alike):
        return math.inf
    return 1 - iou + min(share, 1.0)


def _like_boxes(track: _Followed, person: Sighting) -> tuple[Box, Box | None]:
    """The track's expected box and the person's, both bodies or both heads, to compare them.

    Where one side knows only the head, the other's counterpart is made: a body of the track's size
    is hung under a head, or a head of the track's size put at the top of a body. The second is None
    where the sizes cannot belong together.
    """
    expected = track.box
    if track.subject == PERSON:
        if person.body is not None:
            return expected, person.body
        assert person.head is not None
        head = person.head.box
        known_px = track.head_px or body_px(PERSON, expected) / BODY_HEADS
        most = HEAD_GROWTH if track.head_px else HEAD_GUESS
        if not known_px / most <= head_px(head) <= known_px * most:
            return expected, None
        middle = (head.x1 + head.x2) / 2
        half = expected.width / 2
        return expected, Box(middle - half, head.y1, middle + half, head.y1 + expected.height)
    if person.head is not None:
        return expected, person.head.box
    body = person.box
    if not sizes_fit(body, expected):
        return expected, None
    middle = (body.x1 + body.x2) / 2
    half = expected.width / 2
    return expected, Box(middle - half, body.y1, middle + half, body.y1 + expected.height)


def _cut(box: Box, detections: Detections) -> bool:
    return (
        box.x1 <= _EDGE_PX
        or box.y1 <= _EDGE_PX
        or box.x2 >= detections.width - _EDGE_PX
        or box.y2 >= detections.height - _EDGE_PX
    )


def _around(x: float, y: float, width: float, height: float) -> Box:
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
