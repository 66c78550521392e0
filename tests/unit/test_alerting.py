"""Events on their way into the outbox: stamp, snapshot, listener."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from daemon.alerts.alerting import Alerter, label
from daemon.alerts.events import AlertEvent, EventType
from daemon.clock import Clock, Stamp
from daemon.detection.detections import Detections
from daemon.frames import Frame
from daemon.outbox.outbox import Receipt
from daemon.sources.picture import ArrayPicture
from tests.support.alerts import make_event

START = make_event()

GREY = np.full((720, 1280, 3), 128, np.uint8)
FRAME = Frame(3, 5.0, 1000.0, 90.0, ArrayPicture(GREY))
DETECTIONS = Detections(
    boxes=np.array([[100, 100, 200, 300], [600, 100, 700, 300]], np.float32),
    scores=np.array([0.9, 0.2], np.float32),
    class_ids=np.array([0, 0], np.int32),
    classes=("person",),
    width=1280,
    height=720,
    model_version="1",
)


class MemorySink:
    """Takes events as the publisher does, and keeps them in a list."""

    def __init__(self, snapshot_max_bytes: int = 100_000) -> None:
        self.snapshot_max_bytes = snapshot_max_bytes
        self.taken: list[tuple[AlertEvent, bytes | None, Stamp]] = []

    def publish_event(
        self, event: AlertEvent, snapshot_jpeg: bytes | None, stamp: Stamp
    ) -> Receipt:
        self.taken.append((event, snapshot_jpeg, stamp))
        return Receipt(len(self.taken), kept=True, durable=True)


def alerter(sink: MemorySink, heard: list[AlertEvent] | None = None) -> Alerter:
    clock = Clock(wall_s=lambda: 2000.0, monotonic_s=lambda: 100.0, boot_id="boot")
    told = heard if heard is not None else []
    return Alerter(sink, clock, lambda event, stamp: told.append(event), shown_score=0.35)


def test_the_stamp_is_of_the_exposure_and_the_listener_hears() -> None:
    sink = MemorySink()
    heard: list[AlertEvent] = []
    alerter(sink, heard).raise_alert(START, FRAME, DETECTIONS)
    ((event, _, stamp),) = sink.taken
    assert event == START
    assert (stamp.time.timestamp(), stamp.monotonic_s, stamp.boot_id) == (1990.0, 90.0, "boot")
    assert heard == [START]


def test_the_snapshot_shows_the_violation_and_strong_detections_only() -> None:
    sink = MemorySink()
    event = replace(START, box=replace(START.box, x1=300, y1=100, x2=400, y2=300))
    alerter(sink).raise_alert(event, FRAME, DETECTIONS)
    jpeg = sink.taken[0][1]
    assert jpeg is not None
    shown = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    assert shown.shape == (720, 1280, 3)

    def drawn(x: int, y: int) -> bool:
        return bool(np.abs(shown[y - 3 : y + 4, x - 3 : x + 4] - 128).max() > 40)

    assert drawn(300, 200), "the violation's box"
    assert drawn(100, 200), "a detection at 0.9"
    assert not drawn(600, 200), "a detection at 0.2"


def test_an_end_has_no_picture() -> None:
    sink = MemorySink()
    alerter(sink).raise_alert(replace(START, type=EventType.END), FRAME, None)
    assert sink.taken[0][1] is None


def test_a_snapshot_that_fits_nowhere_does_not_stop_the_alert(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = MemorySink(snapshot_max_bytes=10)
    alerter(sink).raise_alert(START, FRAME, None)
    assert sink.taken[0][1] is None
    assert "goes without its snapshot" in caplog.text


def test_the_label_is_for_people() -> None:
    assert label(START) == "bare head 0.81"
