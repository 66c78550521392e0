"""Events and pictures for tests of what comes after the rules."""

from __future__ import annotations

from daemon.alerts.events import AlertEvent, EventType, Severity, Violation
from daemon.frames import Box

JPEG = b"\xff\xd8\xff\xe0 not a real picture, MQTT does not look inside \xff\xd9"


def make_event(
    event_id: str = "gate-0001",
    type: EventType = EventType.START,  # noqa: A002 - as the field is called
    *,
    media_time_s: float = 12.5,
    started_media_time_s: float = 11.0,
    zone: str = "",
) -> AlertEvent:
    """An event with plausible values."""
    return AlertEvent(
        event_id=event_id,
        type=type,
        violation=Violation.BARE_HEAD,
        severity=Severity.CRITICAL,
        zone=zone,
        classes=("person", "head"),
        score=0.8125,
        box=Box(100.04, 50.0, 220.0, 410.0),
        width=1280,
        height=720,
        track_id=3,
        media_time_s=media_time_s,
        started_media_time_s=started_media_time_s,
        model_version="2026.11.1",
    )
