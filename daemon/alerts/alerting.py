"""From an alert event to the outbox: time stamp, annotated snapshot, log line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from daemon.alerts.events import AlertEvent, EventType, Severity
from daemon.annotate import Mark, draw, encode_jpeg, marks
from daemon.clock import Clock, Stamp
from daemon.detection.detections import Detections
from daemon.frames import Frame
from daemon.outbox.outbox import Receipt

SNAPSHOT_QUALITY = 85

_COLOURS = {
    Severity.CRITICAL: (204, 51, 17),
    Severity.WARNING: (238, 119, 51),
    Severity.INFO: (0, 119, 187),
}
"""Red, orange, blue of Paul Tol's "vibrant" scheme, distinct to colour-blind readers."""

_log = logging.getLogger(__name__)


class EventSink(Protocol):
    """Where events go: :class:`daemon.mqtt.publisher.Publisher`."""

    @property
    def snapshot_max_bytes(self) -> int:
        """Most bytes of a snapshot."""

    def publish_event(
        self, event: AlertEvent, snapshot_jpeg: bytes | None, stamp: Stamp
    ) -> Receipt:
        """Takes an event; it is safe on disk when this returns, where the disk allows it."""


class Alerter:
    """Stamps events, draws their snapshots and hands them on.

    Args:
        sink: takes them.
        clock: of this device.
        listener: called with each event and its stamp, e.g. to print it.
        shown_score: weaker detections are not drawn into snapshots.
    """

    def __init__(
        self,
        sink: EventSink,
        clock: Clock,
        listener: Callable[[AlertEvent, Stamp], None],
        *,
        shown_score: float,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._listener = listener
        self._shown_score = shown_score

    def show_from(self, score: float) -> None:
        """Takes over another least score of what is drawn."""
        self._shown_score = score

    def raise_alert(self, event: AlertEvent, frame: Frame, detections: Detections | None) -> None:
        """Hands an event on. An ``end`` has no picture: who was in it may be long gone.

        Args:
            event: the event.
            frame: in which it happened.
            detections: of that frame, drawn into the snapshot.
        """
        stamp = self._clock.stamp_of(frame.captured_monotonic_s)
        jpeg = None if event.type is EventType.END else self._snapshot(event, frame, detections)
        receipt = self._sink.publish_event(event, jpeg, stamp)
        delay_ms = (time.monotonic() - frame.captured_monotonic_s) * 1e3
        _log.info(
            "%s %s %s%s, score %.2f, %.0f ms after exposure%s",
            event.severity,
            event.violation,
            event.type,
            f" in {event.zone}" if event.zone else "",
            event.score,
            delay_ms,
            "" if receipt.durable else ", NOT on disk",
            extra={
                "SITEWATCH_EVENT_ID": event.event_id,
                "SITEWATCH_EVENT_TYPE": event.type.value,
                "SITEWATCH_VIOLATION": event.violation.value,
                "SITEWATCH_SEQUENCE": str(receipt.sequence),
                "SITEWATCH_MODEL": event.model_version,
            },
        )
        self._listener(event, stamp)

    def _snapshot(
        self, event: AlertEvent, frame: Frame, detections: Detections | None
    ) -> bytes | None:
        mark = Mark(event.box, label(event), _COLOURS[event.severity])
        others = marks(detections, least_score=self._shown_score) if detections is not None else ()
        try:
            return encode_jpeg(
                draw(frame.picture.rgb(), (*others, mark)),
                quality=SNAPSHOT_QUALITY,
                max_bytes=self._sink.snapshot_max_bytes,
            )
        except ValueError as error:
            _log.warning("event %s goes without its snapshot: %s", event.event_id, error)
            return None


def label(event: AlertEvent) -> str:
    """What is written beside the box of a violation."""
    return f"{event.violation.value.replace('_', ' ')} {event.score:.2f}"
