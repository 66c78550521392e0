"""Frames, detections, decisions and a clock that tests can set, for everything about captures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from daemon import annotate
from daemon.captures.reasons import CaptureReason, Subject
from daemon.captures.selection import CaptureDecision, ReasonFound
from daemon.clock import Clock
from daemon.config import CapturesConfig
from daemon.detection.detections import HEAD, HELMET, PERSON, Detections
from daemon.frames import Box, Frame, RgbImage
from daemon.sources.picture import ArrayPicture
from daemon.tracking.tracks import Evidence, Track, Verdict

CLASSES = (HELMET, HEAD, PERSON)
WIDTH, HEIGHT = 640, 360
BASE_UNIX_S = 1_795_000_000.0
"""A day in November 2026."""


@dataclass
class SetClock:
    """What a :class:`Clock` for tests reads; every part can be changed at any time."""

    monotonic_s: float = 1000.0
    unix_s: float = BASE_UNIX_S
    synchronised: bool = True
    boot_id: str = "boot-1"

    def clock(self) -> Clock:
        """A clock of this boot."""
        return Clock(
            wall_s=lambda: self.unix_s,
            monotonic_s=lambda: self.monotonic_s,
            synchronised=lambda: self.synchronised,
            boot_id=self.boot_id,
        )

    def passes(self, seconds: float) -> None:
        """Time goes by."""
        self.monotonic_s += seconds
        self.unix_s += seconds

    def reboots(self, *, off_s: float = 60.0, unix_s: float | None = None) -> None:
        """Off and on again; the wall clock wakes where ``unix_s`` says, not synchronised."""
        number = int(self.boot_id.rpartition("-")[2]) + 1
        self.boot_id = f"boot-{number}"
        self.monotonic_s = 10.0
        self.unix_s = self.unix_s + off_s if unix_s is None else unix_s
        self.synchronised = unix_s is None


def config(folder: Path, **changes: object) -> CapturesConfig:
    """Generous limits, so that a test meets only the one that it sets."""
    roomy = CapturesConfig(
        folder=folder,
        free_floor_bytes=0,
        per_minute=10_000,
        per_hour=100_000,
        per_day=1_000_000,
        random_per_hour=0.0,
    )
    return replace(roomy, **changes)  # type: ignore[arg-type]


def scene(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> RgbImage:
    """A picture of coloured squares: another one for each seed."""
    rng = np.random.default_rng(seed)
    squares = rng.integers(20, 236, (9, 16, 3), dtype=np.uint8)
    return np.ascontiguousarray(squares.repeat(height // 9, 0).repeat(width // 16, 1))


PICTURE = ArrayPicture(scene())


def frame(
    sequence: int = 0,
    *,
    media_time_s: float | None = None,
    monotonic_s: float = 1000.0,
    rgb: RgbImage | None = None,
) -> Frame:
    """A frame, five a second unless its time is given."""
    return Frame(
        sequence=sequence,
        media_time_s=sequence / 5 if media_time_s is None else media_time_s,
        captured_unix_s=BASE_UNIX_S,
        captured_monotonic_s=monotonic_s,
        picture=PICTURE if rgb is None else ArrayPicture(rgb),
    )


def detections(rows: Iterable[tuple[str, float, tuple[float, float, float, float]]]) -> Detections:
    """Detections of a frame: (class, score, box) each."""
    found = list(rows)
    return Detections(
        boxes=np.asarray([row[2] for row in found], np.float32).reshape(-1, 4),
        scores=np.asarray([row[1] for row in found], np.float32),
        class_ids=np.asarray([CLASSES.index(row[0]) for row in found], np.int32),
        classes=CLASSES,
        width=WIDTH,
        height=HEIGHT,
        model_version="2026.11.22",
    )


def track(
    track_id: int = 1,
    *,
    score: float = 0.8,
    visible: bool = True,
    box: Box | None = None,
    evidence: Sequence[tuple[float, float, float]] = (),
) -> Track:
    """A person; evidence as (media time, helmet score, bare score)."""
    return Track(
        track_id=track_id,
        subject=PERSON,
        box=box or Box(200, 100, 280, 300),
        score=score if visible else 0.0,
        visible=visible,
        hits=5,
        first_seen_s=0.0,
        last_seen_s=0.0,
        evidence=tuple(Evidence(*item) for item in evidence),
        verdict=Verdict.UNKNOWN,
        verdict_score=0.0,
    )


def decision(
    *,
    value: float = 0.5,
    reason: CaptureReason = CaptureReason.UNCERTAIN_SCORE,
    sequence: int = 0,
    monotonic_s: float = 1000.0,
    phash: int = 0x0123456789ABCDEF,
) -> CaptureDecision:
    """A picture worth keeping for one reason."""
    subjects = (Subject(HEAD, Box(10, 10, 50, 50), value),)
    chance = reason in (CaptureReason.RANDOM, CaptureReason.REQUESTED)
    return CaptureDecision(
        frame=frame(sequence, monotonic_s=monotonic_s),
        detections=detections([(HEAD, 0.4, (10, 10, 50, 50))]),
        reasons=(ReasonFound(reason, value, () if chance else subjects),),
        value=value,
        phash=phash,
    )


def jpeg(seed: int = 0, *, quality: int = 90) -> bytes:
    """A real JPEG file, another one for each seed."""
    return annotate.encode_jpeg(scene(seed), quality=quality)
