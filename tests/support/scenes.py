"""Made-up scenes: people who walk and stand, as a detector would report them, frame by frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from daemon.alerts.events import AlertEvent, EventType
from daemon.alerts.rules import RuleEngine
from daemon.config import RulesConfig, TrackerConfig, ZoneConfig
from daemon.detection.detections import HEAD, HELMET, PERSON, Detection, Detections
from daemon.frames import Box
from daemon.tracking.tracker import Tracker
from daemon.tracking.tracks import Track

CLASSES = (HELMET, HEAD, PERSON)
WIDTH, HEIGHT = 1280, 720
MONDAY = datetime(2024, 6, 3, 12, 0, tzinfo=UTC)

FrameOf = tuple[float, Detections]


@dataclass(frozen=True)
class Actor:
    """A person in a scene.

    Attributes:
        path: (time in s, x of the feet, y of the feet, height of the body), in pixels; straight
            between two entries, absent before the first and after the last.
        wears: ``helmet``, ``head`` (bare, found) or ``""`` (nothing is found on the head).
        person_rate: share of the frames in which the body is found.
        head_rate: share of the frames in which the head is found.
        person_score: of the body's box.
        head_score: of the head's box.
    """

    path: tuple[tuple[float, float, float, float], ...]
    wears: str = HEAD
    person_rate: float = 1.0
    head_rate: float = 1.0
    person_score: float = 0.9
    head_score: float = 0.8

    def at(self, time_s: float) -> tuple[float, float, float] | None:
        """x and y of the feet and the height of the body, or None where absent."""
        if not self.path[0][0] <= time_s <= self.path[-1][0]:
            return None
        times, *columns = zip(*self.path, strict=True)
        x, y, height = (float(np.interp(time_s, times, column)) for column in columns)
        return x, y, height

    def found(self, time_s: float, chance: np.random.Generator) -> list[Detection]:
        """What a detector reports of this person."""
        here = self.at(time_s)
        body_found = chance.random() < self.person_rate
        head_found = chance.random() < self.head_rate
        if here is None:
            return []
        x, y, height = here
        result = []
        body = clipped(Box(x - 0.2 * height, y - height, x + 0.2 * height, y))
        head = clipped(Box(x - 0.06 * height, y - height, x + 0.06 * height, y - 0.86 * height))
        if body_found and body.area > 0:
            result.append(Detection(PERSON, self.person_score, body))
        if self.wears and head_found and head.area > 0:
            result.append(Detection(self.wears, self.head_score, head))
        return result


def stands(
    x: float, y: float = 650, height: float = 400, *, from_s: float = 0, to_s: float = 10
) -> tuple[tuple[float, float, float, float], ...]:
    """The path of somebody who does not move."""
    return ((from_s, x, y, height), (to_s, x, y, height))


def walks(
    from_x: float, to_x: float, y: float = 650, height: float = 400, *, from_s: float = 0,
    to_s: float = 10,
) -> tuple[tuple[float, float, float, float], ...]:  # fmt: skip
    """The path of somebody who crosses the picture."""
    return ((from_s, from_x, y, height), (to_s, to_x, y, height))


def clipped(box: Box) -> Box:
    """The part of a box within the picture; empty at its edge if there is none."""
    return Box(
        *(min(max(v, 0.0), WIDTH) if i % 2 == 0 else min(max(v, 0.0), HEIGHT)
          for i, v in enumerate(box.as_tuple()))
    )  # fmt: skip


def detections(
    found: Iterable[Detection], *, width: int = WIDTH, height: int = HEIGHT
) -> Detections:
    """Detections of a frame, in the order given."""
    rows = list(found)
    return Detections(
        boxes=np.array([one.box.as_tuple() for one in rows], np.float32).reshape(-1, 4),
        scores=np.array([one.score for one in rows], np.float32),
        class_ids=np.array([CLASSES.index(one.class_name) for one in rows], np.int32),
        classes=CLASSES,
        width=width,
        height=height,
        model_version="scene",
    )


def film(
    actors: Sequence[Actor], *, fps: float = 8.0, to_s: float = 12.0, seed: int = 0
) -> list[FrameOf]:
    """Films a scene from time 0."""
    chance = np.random.default_rng(seed)
    frames = []
    for number in range(int(to_s * fps) + 1):
        time_s = number / fps
        found = [one for actor in actors for one in actor.found(time_s, chance)]
        frames.append((time_s, detections(found)))
    return frames


@dataclass(frozen=True)
class Run:
    """What came of a film."""

    events: tuple[AlertEvent, ...]
    tracks: tuple[tuple[Track, ...], ...]

    def of(self, kind: EventType) -> tuple[AlertEvent, ...]:
        """Events of one type."""
        return tuple(event for event in self.events if event.type is kind)

    @property
    def starts(self) -> tuple[AlertEvent, ...]:
        """All starts."""
        return self.of(EventType.START)

    @property
    def ends(self) -> tuple[AlertEvent, ...]:
        """All ends."""
        return self.of(EventType.END)

    @property
    def track_count(self) -> int:
        """Different tracks over the whole film."""
        return len({track.track_id for frame in self.tracks for track in frame})


def counting_ids() -> Callable[[], str]:
    """Ids '1', '2', …"""
    numbers = itertools.count(1)
    return lambda: str(next(numbers))


def play(
    frames: Iterable[FrameOf],
    *,
    rules: RulesConfig | None = None,
    tracker: TrackerConfig | None = None,
    zones: tuple[ZoneConfig, ...] = (),
    clock: Callable[[float], datetime] = lambda _: MONDAY,
    finish: bool = True,
) -> Run:
    """Runs tracker and rules over a film."""
    rules = rules or RulesConfig()
    follower = Tracker(tracker or TrackerConfig(), rules)
    engine = RuleEngine(rules, zones, counting_ids())
    events: list[AlertEvent] = []
    seen: list[tuple[Track, ...]] = []
    time_s = 0.0
    for time_s, found in frames:
        tracks = follower.update(found, time_s)
        seen.append(tracks)
        events += engine.update(
            tracks,
            media_time_s=time_s,
            local_time=clock(time_s),
            width=found.width,
            height=found.height,
            model_version=found.model_version,
        )
    if finish:
        events += engine.finish(media_time_s=time_s)
    return Run(tuple(events), tuple(seen))


def shifted(frames: Iterable[FrameOf], by_s: float) -> list[FrameOf]:
    """The same film at another time."""
    return [(time_s + by_s, found) for time_s, found in frames]


def shuffled(frames: Iterable[FrameOf], seed: int) -> list[FrameOf]:
    """The same film, the detections of each frame in another order."""
    chance = np.random.default_rng(seed)
    result = []
    for time_s, found in frames:
        order = chance.permutation(len(found))
        again = replace(
            found,
            boxes=found.boxes[order],
            scores=found.scores[order],
            class_ids=found.class_ids[order],
        )
        result.append((time_s, again))
    return result
