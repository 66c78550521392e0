from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.mqtt.commands import (
    BURST,
    COMMAND_MAX_BYTES,
    EVERY_S,
    WAITING_MAX,
    Command,
    CommandInbox,
    CommandName,
    CommandRefusedError,
    parse,
)

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "daemon" / "schemas" / "command.json").read_text()
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 100_000) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
near_commands: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from(["command", "duration_s", "x"]),
    st.sampled_from(["snapshot", "pause", "resume", "reboot", 0, 1, 60, 60.0, 60.5, 86_400, 86_401,
                     -1, True, None, [], "60"]),
)  # fmt: skip


@given(json_values | near_commands)
@example({"command": ["snapshot"]})
@example({"command": {"snapshot": 1}})
@example({"command": "pause", "duration_s": 1e300})
def test_what_the_schema_allows_is_taken_and_nothing_else(value: Any) -> None:
    payload = json.dumps(value).encode()
    try:
        parse(payload)
    except CommandRefusedError:
        taken = False
    else:
        taken = True
    assert taken == (VALIDATOR.is_valid(value) and len(payload) <= COMMAND_MAX_BYTES)


@given(st.binary(max_size=COMMAND_MAX_BYTES * 2))
def test_bytes_of_any_kind_are_taken_or_refused(payload: bytes) -> None:
    try:
        parse(payload)
    except CommandRefusedError as error:
        assert len(str(error)) < 200


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(CommandRefusedError):
        parse(b"[" * COMMAND_MAX_BYTES)


def test_commands_are_read() -> None:
    assert parse(b'{"command":"snapshot"}') == Command(CommandName.SNAPSHOT)
    assert parse(b'{"command":"resume"}') == Command(CommandName.RESUME)
    assert parse(b'{"command": "pause", "duration_s": 60}') == Command(CommandName.PAUSE, 60)


def test_a_pause_without_an_end_is_refused() -> None:
    with pytest.raises(CommandRefusedError, match="duration_s"):
        parse(b'{"command":"pause"}')


class TestInbox:
    def test_lets_through_at_a_bearable_rate(self) -> None:
        inbox = CommandInbox()
        for _ in range(BURST + 2):
            inbox.take(b'{"command":"snapshot"}', retained=False, now_s=100.0)
        assert inbox.queue.qsize() == BURST
        assert inbox.refused == 2
        inbox.take(b'{"command":"resume"}', retained=False, now_s=100.0 + EVERY_S)
        assert inbox.queue.qsize() == BURST + 1

    def test_nonsense_uses_up_the_rate_too(self) -> None:
        inbox = CommandInbox()
        for _ in range(BURST):
            inbox.take(b"?", retained=False, now_s=0.0)
        inbox.take(b'{"command":"resume"}', retained=False, now_s=0.0)
        assert inbox.queue.empty()

    def test_retained_ones_are_refused(self) -> None:
        inbox = CommandInbox()
        inbox.take(b'{"command":"resume"}', retained=True, now_s=0.0)
        assert inbox.queue.empty()
        assert inbox.refused == 1

    def test_a_queue_that_nobody_empties_is_bounded(self) -> None:
        inbox = CommandInbox()
        for number in range(WAITING_MAX + 3):
            inbox.take(b'{"command":"resume"}', retained=False, now_s=number * EVERY_S)
        assert inbox.queue.qsize() == WAITING_MAX
        assert inbox.refused == 3
