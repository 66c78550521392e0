"""Counts what the process does: one snapshot for the status file, the metrics and MQTT."""

from __future__ import annotations

import shutil
import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from updater.trial import Trial

LATENCIES_KEPT = 512
"""Of each kind: at 5 frames a second the last two minutes."""

RATE_WINDOW_S = 10.0
THERMAL_ZONE = Path("/sys/class/thermal/thermal_zone0/temp")


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds; 0 where nothing was measured yet."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """Frames since the process started.

    Attributes:
        captured: delivered by the source.
        overtaken: captured, but a newer one came before inference was free.
        processed: looked at, with or without inference.
        still: of these, without inference, because nothing moved.
        failed: could not be looked at.
        damaged: packets or pictures of the source that could not be decoded cleanly.
    """

    captured: int
    overtaken: int
    processed: int
    still: int
    failed: int
    damaged: int


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """Alerts on their way.

    Attributes:
        queued: messages on disk.
        dropped: messages given up because the outbox was full, ever.
        delivered: messages acknowledged by the broker since the process started.
        connected: whether the broker is there now.
    """

    queued: int
    dropped: int
    delivered: int
    connected: bool


@dataclass(frozen=True, slots=True)
class Status:
    """All that the process says about itself at one moment.

    Attributes:
        device: its id.
        pid: of the process.
        written_monotonic_s: when this was taken, on the clock that all processes share since boot.
        model_version: of the running bundle.
        model_digest: of its manifest, 64 hex digits; "" for a model without one.
        trial: figures of a release on probation, for the updater; None if there is none.
        runtime: inference runtime in use.
        source: description of the source, credentials left out.
        uptime_s: seconds since the process started.
        frames: counts of frames.
        frames_per_second: processed, over the last ten seconds.
        invoke: model alone.
        look: from the picture to events, of frames with inference.
        delay: from exposure to the end of the look.
        people: people in view now.
        starts: violations started since the process started, by kind.
        outbox: alerts on their way.
        captures_kept: pictures in the folder.
        captures_bytes: their size.
        captures_failed: pictures that could not be written.
        temperature_celsius: of the processor, None where it cannot be read.
        disk_free_bytes: on the disk of the state folder.
        paused: whether alerts are paused by command.
        last_error: newest error in words, empty if none.
    """

    device: str
    pid: int
    written_monotonic_s: float
    model_version: str
    model_digest: str
    trial: Trial | None
    runtime: str
    source: str
    uptime_s: float
    frames: FrameCounts
    frames_per_second: float
    invoke: Percentiles
    look: Percentiles
    delay: Percentiles
    people: int
    starts: dict[str, int]
    outbox: OutboxCounts
    captures_kept: int
    captures_bytes: int
    captures_failed: int
    temperature_celsius: float | None
    disk_free_bytes: int
    paused: bool
    last_error: str


class Meter:
    """Counts frames and keeps the latest latencies; bounded in memory."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.processed = 0
        self.still = 0
        self.failed = 0
        self.failed_in_a_row = 0
        self.starts: Counter[str] = Counter()
        self._day = datetime.now().astimezone().date()
        self._starts_today: Counter[str] = Counter()
        self.people = 0
        self.last_error = ""
        self._invoke_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._look_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._delay_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._processed_at_s: deque[float] = deque(maxlen=LATENCIES_KEPT)

    def frame_processed(self, *, still: bool) -> None:
        """A frame was looked at; ``still`` if that took no inference."""
        self.processed += 1
        self.still += still
        self.failed_in_a_row = 0
        self._processed_at_s.append(time.monotonic())

    def inference_took(self, *, invoke_ms: float, look_ms: float, delay_ms: float) -> None:
        """How long a frame with inference took."""
        self._invoke_ms.append(invoke_ms)
        self._look_ms.append(look_ms)
        self._delay_ms.append(delay_ms)

    def model_changed(self) -> None:
        """Another model runs: its latencies are its own."""
        self._invoke_ms.clear()
        self._look_ms.clear()
        self._delay_ms.clear()

    def frame_failed(self, error: str) -> None:
        """A frame could not be looked at."""
        self.failed += 1
        self.failed_in_a_row += 1
        self.last_error = error

    def violation_started(self, kind: str) -> None:
        """A violation of this kind has started."""
        self.starts[kind] += 1
        self._today()[kind] += 1

    def starts_today(self) -> dict[str, int]:
        """Violations started since local midnight, by kind."""
        return dict(self._today())

    def _today(self) -> Counter[str]:
        day = datetime.now().astimezone().date()
        if day != self._day:
            self._day, self._starts_today = day, Counter()
        return self._starts_today

    def frames_per_second(self) -> float:
        """Processed frames a second, over the last ten seconds."""
        now_s = time.monotonic()
        recent = [at_s for at_s in self._processed_at_s if now_s - at_s <= RATE_WINDOW_S]
        span_s = now_s - recent[0] if recent else 0.0
        return (len(recent) - 1) / span_s if len(recent) > 1 and span_s > 0 else 0.0

    def latencies(self) -> tuple[Percentiles, Percentiles, Percentiles]:
        """Of the model, the whole look, and from exposure to the look's end."""
        return (
            percentiles(self._invoke_ms),
            percentiles(self._look_ms),
            percentiles(self._delay_ms),
        )


def percentiles(values_ms: deque[float]) -> Percentiles:
    """Nearest-rank 50th and 95th percentile."""
    ordered = sorted(values_ms)
    if not ordered:
        return Percentiles(0.0, 0.0)
    last = len(ordered) - 1
    return Percentiles(ordered[round(0.50 * last)], ordered[round(0.95 * last)])


def temperature_celsius(file: Path = THERMAL_ZONE) -> float | None:
    """The processor's temperature; None on a machine that does not tell."""
    try:
        return int(file.read_text()) / 1000.0
    except (OSError, ValueError):
        return None


def disk_free_bytes(folder: Path) -> int:
    """Bytes that an ordinary user may still write on the folder's disk; 0 if it cannot be read."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
