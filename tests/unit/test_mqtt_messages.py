from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.alerts.events import AlertEvent, EventType, Severity, Violation
from daemon.clock import Stamp
from daemon.frames import Box
from daemon.mqtt.messages import (
    LAST_ERROR_MAX_CHARACTERS,
    DeviceState,
    SnapshotReference,
    alert_payload,
    state_payload,
)
from tests.support.alerts import JPEG, make_event

SCHEMAS = Path(__file__).resolve().parents[2] / "daemon" / "schemas"
STAMP = Stamp(
    time=datetime(2022, 11, 22, 16, 0, 0, 123_456, tzinfo=UTC),
    clock_synchronised=True,
    monotonic_s=5.0,
    boot_id="0f8fad5b-d9cb-469f-a165-70867728950e",
)
AWS_MAX_BYTES = 131_072

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
times_s = st.floats(0, 1e9)
events = st.builds(
    AlertEvent,
    event_id=ids,
    type=st.sampled_from(EventType),
    violation=st.sampled_from(Violation),
    severity=st.sampled_from(Severity),
    zone=st.text(max_size=64),
    classes=st.lists(st.text(max_size=32), max_size=8).map(tuple),
    score=st.floats(0, 1),
    box=st.builds(Box, *[st.floats(0, 5000)] * 4),
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    track_id=st.integers(0, 2**31),
    media_time_s=times_s,
    started_media_time_s=times_s,
    model_version=st.text(max_size=64),
)
stamps = st.builds(
    Stamp,
    time=st.datetimes(
        datetime(2002, 1, 1),
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
    ),
    clock_synchronised=st.booleans(),
    monotonic_s=times_s,
    boot_id=st.uuids().map(str),
)
states = st.builds(
    DeviceState,
    violations_today=st.dictionaries(
        st.sampled_from([each.value for each in Violation]), st.integers(0, 10**6)
    ),
    open_violations=st.integers(0, 100),
    people_in_view=st.integers(0, 100),
    frames_per_second=st.floats(0, 200),
    invoke_ms=st.none() | st.floats(0, 1e5),
    temperature_celsius=st.none() | st.floats(-50, 120),
    disk_free_bytes=st.none() | st.integers(0, 2**50),
    paused=st.booleans(),
    paused_for_s=st.none() | st.floats(0, 86_400),
    last_error=st.none() | st.text(max_size=2000),
)


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


ALERT = validator("alert")
STATE = validator("state")


def alert(event: AlertEvent, *, stamp: Stamp = STAMP, sequence: int = 1) -> dict[str, Any]:
    payload = alert_payload(event, device_id="gate", stamp=stamp, sequence=sequence, snapshot=None)
    loaded: dict[str, Any] = json.loads(payload)
    return loaded


@given(events, stamps, st.integers(1, 2**53 - 1), st.booleans())
def test_every_alert_fits_the_schema_and_every_broker(
    event: AlertEvent, stamp: Stamp, sequence: int, pictured: bool
) -> None:
    snapshot = SnapshotReference.of(JPEG, "t") if pictured else None
    payload = alert_payload(
        event, device_id="gate", stamp=stamp, sequence=sequence, snapshot=snapshot
    )
    ALERT.validate(json.loads(payload))
    assert len(payload) < AWS_MAX_BYTES


@given(states, stamps)
def test_every_state_fits_the_schema(state: DeviceState, stamp: Stamp) -> None:
    payload = state_payload(state, device_id="gate", stamp=stamp)
    STATE.validate(json.loads(payload))
    assert len(payload) < AWS_MAX_BYTES


def test_the_fields_say_what_happened() -> None:
    said = alert(make_event(zone="ramp"), sequence=7)
    assert said["id"] == "gate-0001"
    assert said["sequence"] == 7
    assert said["zone"] == "ramp"
    assert said["score"] == 0.8125
    assert said["frame"] == {"width": 1280, "height": 720}
    assert said["time"] == "2022-11-22T16:00:00.123Z"
    assert said["duration_s"] == 1.5
    assert said["started_time"] == "2022-11-22T15:59:58.623Z"


def test_times_are_in_utc_wherever_the_device_stands() -> None:
    here = STAMP.time.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert alert(make_event(), stamp=replace(STAMP, time=here)) == alert(make_event())


def test_what_is_no_number_does_not_leave_the_device() -> None:
    with pytest.raises(ValueError, match="JSON"):
        alert(replace(make_event(), score=float("nan")))


def test_a_long_error_is_cut() -> None:
    payload = state_payload(DeviceState(last_error="x" * 9999), device_id="gate", stamp=STAMP)
    assert json.loads(payload)["last_error"] == "x" * LAST_ERROR_MAX_CHARACTERS


def test_every_field_of_the_state_is_in_the_schema_and_the_other_way_round() -> None:
    said = set(json.loads(state_payload(DeviceState(), device_id="gate", stamp=STAMP)))
    assert said == set(STATE.schema["properties"]) == set(STATE.schema["required"])
    assert set(alert(make_event())) == set(ALERT.schema["properties"])
