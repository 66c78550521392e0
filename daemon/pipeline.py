"""The loop's one step: ``Frame → Detections → Tracks → AlertEvents``, captures beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon.alerts.events import AlertEvent
from daemon.alerts.rules import RuleEngine
from daemon.captures.selection import CaptureDecision, CaptureSelector
from daemon.detection.detections import Detections
from daemon.detection.detector import Detector
from daemon.frames import Frame
from daemon.sources.motion import MotionGate
from daemon.tracking.tracker import Tracker
from daemon.tracking.tracks import Track


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one frame.

    Attributes:
        frame: the frame.
        detections: None where inference was spared because nothing moved.
        tracks: people followed; empty where inference was spared.
        events: alerts.
        capture: why the picture should be kept, or None.
        invoke_ms: the model alone; 0 without inference.
        look_ms: the whole step.
    """

    frame: Frame
    detections: Detections | None
    tracks: tuple[Track, ...]
    events: tuple[AlertEvent, ...]
    capture: CaptureDecision | None
    invoke_ms: float
    look_ms: float


class Pipeline:
    """Joins the steps; holds nothing of its own but whether somebody is being followed.

    Args:
        detector: finds boxes.
        tracker: joins them over time.
        rules: turn tracks into events.
        gate: spares inference while nothing moves.
        selector: chooses pictures to keep.
    """

    def __init__(
        self,
        *,
        detector: Detector,
        tracker: Tracker,
        rules: RuleEngine,
        gate: MotionGate,
        selector: CaptureSelector,
    ) -> None:
        self.detector = detector
        self.tracker = tracker
        self.rules = rules
        self.gate = gate
        self.selector = selector
        self._followed: tuple[Track, ...] = ()

    def look(self, frame: Frame) -> Look:
        """Looks at one frame.

        Raises:
            SitewatchError: the picture cannot be read, or the model fails on it.
        """
        began_s = time.perf_counter()
        small = self.detector.small(frame.picture)
        if self.gate.wants(small, frame.media_time_s, followed=bool(self._followed)) is None:
            events = self._judge(frame, ())
            return Look(frame, None, (), events, None, 0.0, _since_ms(began_s))
        detections = self.detector.detect_small(small, frame.picture)
        self._followed = self.tracker.update(detections, frame.media_time_s)
        events = self._judge(frame, self._followed)
        capture = self.selector.decide(frame, detections, self._followed, small)
        invoke_ms = self.detector.timing.invoke_ms
        return Look(
            frame, detections, self._followed, events, capture, invoke_ms, _since_ms(began_s)
        )

    def change_detector(self, detector: Detector) -> None:
        """Looks with another model from the next frame on; tracks and violations carry over.

        Everything behind the detector names classes by their names, so another order of them, or a
        class more, needs no care. A model of another input size has the gate look once.
        """
        self.detector = detector

    def finish(self, frame: Frame) -> tuple[AlertEvent, ...]:
        """Ends what is open, for the end of a file, a pause or a stop of the process."""
        self._followed = ()
        return self.rules.finish(media_time_s=frame.media_time_s)

    def _judge(self, frame: Frame, tracks: tuple[Track, ...]) -> tuple[AlertEvent, ...]:
        return self.rules.update(
            tracks,
            media_time_s=frame.media_time_s,
            local_time=datetime.fromtimestamp(frame.captured_unix_s, tz=UTC).astimezone(),
            width=frame.picture.width,
            height=frame.picture.height,
            model_version=self.detector.model_version,
        )


def _since_ms(began_s: float) -> float:
    return (time.perf_counter() - began_s) * 1e3
