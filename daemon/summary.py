"""What a run over a file or folder ends with: one line of JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass

from daemon.health import Status


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The outcome of a run.

    Attributes:
        source: what was watched.
        model_version: of the bundle.
        runtime: inference runtime.
        frames: frames looked at.
        still: of these, without inference because nothing moved.
        failed: frames that could not be looked at.
        media_s: seconds of the source's own clock.
        wall_s: seconds it took.
        invoke_ms: median of the model alone, over the latest frames.
        events: events by type.
        violations: starts by kind.
        captures: pictures kept.
        undelivered: messages that still wait for the broker.
    """

    source: str
    model_version: str
    runtime: str
    frames: int
    still: int
    failed: int
    media_s: float
    wall_s: float
    invoke_ms: float
    events: dict[str, int]
    violations: dict[str, int]
    captures: int
    undelivered: int

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


def summarise(status: Status, events: Counter[str], *, media_s: float, captures: int) -> RunSummary:
    """Puts the summary together.

    Args:
        status: at the end.
        events: by type.
        media_s: media time of the last frame.
        captures: pictures kept in this run.
    """
    return RunSummary(
        source=status.source,
        model_version=status.model_version,
        runtime=status.runtime,
        frames=status.frames.processed,
        still=status.frames.still,
        failed=status.frames.failed,
        media_s=round(media_s, 3),
        wall_s=round(status.uptime_s, 3),
        invoke_ms=round(status.invoke.p50, 3),
        events={kind: events[kind] for kind in ("start", "update", "end")},
        violations=dict(status.starts),
        captures=captures,
        undelivered=status.outbox.queued,
    )
