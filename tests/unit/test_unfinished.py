"""Violations left open by a kill get their end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daemon.alerts.events import EventType
from daemon.alerts.unfinished import MAX_NOTED, NOTE, UnfinishedViolations
from tests.support.alerts import make_event

START = make_event()


class MemoryNotes:
    """Notes kept in memory instead of the outbox."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.writes = 0

    def note(self, name: str) -> str:
        return self.texts.get(name, "")

    def keep_note(self, name: str, value: str) -> None:
        self.texts[name] = value
        self.writes += 1


def test_a_start_without_an_end_is_ended_by_the_next_process() -> None:
    notes = MemoryNotes()
    UnfinishedViolations(notes).note(START)
    again = UnfinishedViolations(notes)
    (end,) = again.left_over()
    assert end == replace(START, type=EventType.END)
    again.ended(end)
    assert UnfinishedViolations(notes).left_over() == ()


def test_an_ended_violation_is_forgotten() -> None:
    notes = MemoryNotes()
    violations = UnfinishedViolations(notes)
    violations.note(START)
    violations.ended(replace(START, type=EventType.END))
    assert UnfinishedViolations(notes).left_over() == ()


def test_updates_cost_no_write() -> None:
    notes = MemoryNotes()
    violations = UnfinishedViolations(notes)
    violations.note(START)
    for _ in range(5):
        violations.note(replace(START, type=EventType.UPDATE))
    assert notes.writes == 1


def test_the_number_is_bounded_and_the_oldest_go() -> None:
    notes = MemoryNotes()
    violations = UnfinishedViolations(notes)
    for number in range(MAX_NOTED + 3):
        violations.note(replace(START, event_id=str(number)))
    left = UnfinishedViolations(notes).left_over()
    assert [event.event_id for event in left] == [str(n) for n in range(3, MAX_NOTED + 3)]


@pytest.mark.parametrize("text", ["{", "[1]", '[{"type": "begin"}]', '{"a": 1}', "3", '[{"a":{}}]'])
def test_notes_that_cannot_be_read_are_given_up_aloud(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    notes = MemoryNotes()
    notes.texts[NOTE] = text
    assert UnfinishedViolations(notes).left_over() == ()
    assert "cannot be read" in caplog.text
