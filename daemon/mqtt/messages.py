"""What the messages say, as bytes. Pure; the form is fixed by ``daemon/schemas/*.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from daemon.alerts.events import AlertEvent
from daemon.clock import Stamp

SCHEMA = 1
"""Raised when a field changes its meaning or goes; a new field alone does not raise it."""

ONLINE = b"online"
OFFLINE = b"offline"


@dataclass(frozen=True, slots=True)
class SnapshotReference:
    """Names the snapshot that follows an alert.

    Attributes:
        topic: where it is published.
        size_bytes: of the JPEG.
        sha256: of the JPEG, in hexadecimal: a violation's start and updates use one topic.
    """

    topic: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, jpeg: bytes, topic: str) -> SnapshotReference:
        """The reference to a picture."""
        return cls(topic, len(jpeg), hashlib.sha256(jpeg).hexdigest())


@dataclass(frozen=True, slots=True)
class DeviceState:
    """How the device is; what the state message carries beside device and time.

    Attributes:
        violations_today: ``start`` events since local midnight, by kind of violation.
        open_violations: violations that have started and not ended.
        people_in_view: tracks visible in the newest frame.
        frames_per_second: frames looked at, over the last seconds.
        invoke_ms: median time of one inference, None before the first.
        model_version: version of the model that runs.
        runtime: inference runtime that runs it.
        temperature_celsius: of the processor, None where it cannot be read.
        disk_free_bytes: on the disk of the outbox, None where it cannot be read.
        queued_messages: alerts and snapshots that wait for the broker.
        dropped_messages: alerts and snapshots that will never arrive, since the outbox exists.
        paused: whether a command has paused the alerts.
        paused_for_s: seconds until they resume by themselves, None when not paused.
        uptime_s: seconds since the process started.
        last_error: the last error in words, None if there was none.
        software_version: of Sitewatch.
    """

    violations_today: Mapping[str, int] = field(default_factory=dict)
    open_violations: int = 0
    people_in_view: int = 0
    frames_per_second: float = 0.0
    invoke_ms: float | None = None
    model_version: str = ""
    runtime: str = ""
    temperature_celsius: float | None = None
    disk_free_bytes: int | None = None
    queued_messages: int = 0
    dropped_messages: int = 0
    paused: bool = False
    paused_for_s: float | None = None
    uptime_s: float = 0.0
    last_error: str | None = None
    software_version: str = ""


LAST_ERROR_MAX_CHARACTERS = 500


def alert_payload(
    event: AlertEvent,
    *,
    device_id: str,
    stamp: Stamp,
    sequence: int,
    snapshot: SnapshotReference | None,
) -> bytes:
    """The alert message of an event.

    Args:
        event: the event.
        device_id: of the camera.
        stamp: when its frame was taken.
        sequence: its number in the outbox.
        snapshot: the picture that follows it, if one does.
    """
    duration_s = max(0.0, event.media_time_s - event.started_media_time_s)
    return _encode(
        {
            "schema": SCHEMA,
            "device": device_id,
            "id": event.event_id,
            "type": event.type.value,
            "sequence": sequence,
            "violation": event.violation.value,
            "severity": event.severity.value,
            "zone": event.zone,
            "classes": list(event.classes),
            "score": round(event.score, 4),
            "box": [round(edge, 1) for edge in event.box.as_tuple()],
            "frame": {"width": event.width, "height": event.height},
            "track": event.track_id,
            "model_version": event.model_version,
            **_when(stamp),
            "started_time": _utc(stamp.time - timedelta(seconds=duration_s)),
            "duration_s": round(duration_s, 3),
            "snapshot": None
            if snapshot is None
            else {
                "topic": snapshot.topic,
                "bytes": snapshot.size_bytes,
                "sha256": snapshot.sha256,
            },
        }
    )


def state_payload(state: DeviceState, *, device_id: str, stamp: Stamp) -> bytes:
    """The state message.

    Args:
        state: how the device is.
        device_id: of the camera.
        stamp: now.
    """
    return _encode(
        {
            "schema": SCHEMA,
            "device": device_id,
            **_when(stamp),
            "violations_today": dict(state.violations_today),
            "open_violations": state.open_violations,
            "people_in_view": state.people_in_view,
            "frames_per_second": round(state.frames_per_second, 2),
            "invoke_ms": _rounded(state.invoke_ms, 2),
            "model_version": state.model_version,
            "runtime": state.runtime,
            "temperature_celsius": _rounded(state.temperature_celsius, 1),
            "disk_free_bytes": state.disk_free_bytes,
            "queued_messages": state.queued_messages,
            "dropped_messages": state.dropped_messages,
            "paused": state.paused,
            "paused_for_s": _rounded(state.paused_for_s, 0),
            "uptime_s": round(state.uptime_s, 1),
            "last_error": None
            if state.last_error is None
            else state.last_error[:LAST_ERROR_MAX_CHARACTERS],
            "software_version": state.software_version,
        }
    )


def _when(stamp: Stamp) -> dict[str, Any]:
    return {
        "time": _utc(stamp.time),
        "clock_synchronised": stamp.clock_synchronised,
        "monotonic_s": round(stamp.monotonic_s, 3),
        "boot_id": stamp.boot_id,
    }


def _utc(time: datetime) -> str:
    """RFC 3339 with milliseconds and ``Z``."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _encode(message: dict[str, Any]) -> bytes:
    # NaN is not JSON: better an error here than a message that no receiver can read.
    return json.dumps(message, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
