"""Alert events: what the rules say, before it is stamped and put into the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from daemon.frames import Box


class EventType(StrEnum):
    """The life of one violation."""

    START = "start"
    UPDATE = "update"
    END = "end"


class Violation(StrEnum):
    """Which rule was broken."""

    BARE_HEAD = "bare_head"
    HELMET_UNSEEN = "helmet_unseen"


class Severity(StrEnum):
    """How much it matters, as the site's configuration says."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One event of one violation.

    Attributes:
        event_id: the violation's id, the same in its start, updates and end; unique across
            restarts and devices.
        type: start, update or end.
        violation: which rule.
        severity: from the configuration of that rule.
        zone: name of the zone, or ``""`` for the whole picture.
        classes: classes of the evidence, e.g. ``("person", "head")``.
        score: median score of the evidence (bare heads), or of the person for an unseen helmet.
        box: the person's box in pixels of the original frame.
        width: width of that frame in pixels.
        height: height of that frame in pixels.
        track_id: of the track at this moment; a re-identified person may change it.
        media_time_s: on the source's clock.
        started_media_time_s: when the violation started, on the same clock.
        model_version: of the model whose detections led here.
    """

    event_id: str
    type: EventType
    violation: Violation
    severity: Severity
    zone: str
    classes: tuple[str, ...]
    score: float
    box: Box
    width: int
    height: int
    track_id: int
    media_time_s: float
    started_media_time_s: float
    model_version: str
