"""Violations that were open when the process was killed get their ``end`` at the next start.

Without it a receiver would show them as open for ever: the new process gives new ids.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from typing import Protocol

from daemon.alerts.events import AlertEvent, EventType, Severity, Violation
from daemon.frames import Box

NOTE = "open_violations"
MAX_NOTED = 64

_log = logging.getLogger(__name__)


class Notes(Protocol):
    """Texts that survive a restart: :class:`daemon.outbox.Outbox`."""

    def note(self, name: str) -> str:
        """A text, empty if there is none."""

    def keep_note(self, name: str, value: str) -> None:
        """Keeps a text."""


class UnfinishedViolations:
    """Remembers which violations have started and not ended.

    Args:
        notes: where they are remembered.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._open = {event.event_id: event for event in _read(notes.note(NOTE))}

    def left_over(self) -> tuple[AlertEvent, ...]:
        """The ``end`` of each violation that an earlier process left open."""
        return tuple(replace(event, type=EventType.END) for event in self._open.values())

    def note(self, event: AlertEvent) -> None:
        """To be told of each event before it is published.

        Before, so that a kill in between leaves an ``end`` without a start, which a receiver can
        ignore, and never a start without an ``end``.
        """
        if event.type is EventType.START:
            self._open[event.event_id] = event
            while len(self._open) > MAX_NOTED:
                self._open.pop(next(iter(self._open)))
            self._keep()

    def ended(self, event: AlertEvent) -> None:
        """To be told of each ``end`` after it is in the outbox."""
        if event.type is EventType.END and self._open.pop(event.event_id, None) is not None:
            self._keep()

    def _keep(self) -> None:
        events = [asdict(event) for event in self._open.values()]
        self._notes.keep_note(NOTE, json.dumps(events))


def _read(text: str) -> tuple[AlertEvent, ...]:
    """The noted events; what cannot be read is logged and given up, alerts matter more."""
    try:
        return tuple(
            AlertEvent(
                **{
                    **raw,
                    "type": EventType(raw["type"]),
                    "violation": Violation(raw["violation"]),
                    "severity": Severity(raw["severity"]),
                    "classes": tuple(raw["classes"]),
                    "box": Box(**raw["box"]),
                }
            )
            for raw in json.loads(text or "[]")
        )
    except (ValueError, TypeError, KeyError) as error:
        _log.warning("violations left open by the last run cannot be read: %s", error)
        return ()
