from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.journals import FLOOR, GOOD, journal
from updater.errors import StateError
from updater.store import moves, serial
from updater.store.journal import Event, Failure, Journal, Outcome
from updater.store.states import State

Raw = dict[str, Any]

texts = st.text(max_size=50)
times = st.floats(0, 1e12, allow_nan=False)
journals = st.builds(
    Journal,
    committed=st.sampled_from([None, GOOD, FLOOR]),
    previous=st.sampled_from([None, GOOD, FLOOR]),
    candidate=st.sampled_from([None, *(journal(state).candidate for state in State)]),
    releases=st.lists(st.sampled_from([GOOD, FLOOR]), max_size=4).map(tuple),
    failures=st.lists(st.builds(Failure, texts, texts, texts, texts, times), max_size=4).map(tuple),
    history=st.lists(
        st.builds(
            Event,
            st.sampled_from(["install", "gc"]),
            st.sampled_from(Outcome),
            texts,
            texts,
            texts,
            st.integers(0, 255),
            times,
        ),
        max_size=4,
    ).map(tuple),
    format=st.just(1),
)


@given(journals)
def test_what_is_written_is_read(found: Journal) -> None:
    data = serial.to_json(found)
    assert serial.from_json(data) == found
    assert serial.to_json(serial.from_json(data)) == data


@given(st.binary(max_size=200))
def test_anything_else_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(StateError, match=r"^journal\.json.*recover"):
        serial.from_json(data)


@given(st.data())
def test_a_journal_cut_short_is_never_another_journal(data: st.DataObject) -> None:
    whole = serial.to_json(journal(State.ON_PROBATION))
    length = data.draw(st.integers(0, len(whole) - 3))
    with pytest.raises(StateError):
        serial.from_json(whole[:length])


def change(raw: Raw, path: str, value: object) -> None:
    *names, last = path.split(".")
    for name in names:
        raw = raw[name]
    raw[last] = value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", 2, r"format: format 2, and this version reads format 1"),
        ("surplus", 1, r"unknown field 'surplus'"),
        ("committed.path", "../../etc", r"committed: path: '../../etc' is not one of releases/2.0"),
        ("committed.path", "releases/../..", r"is not one of"),
        ("committed.origin", "floor", r"path: .* is not of the form"),
        ("committed.digest", "abc", r"committed: digest"),
        ("committed.version", "../1", r"committed: version"),
        ("committed.size_bytes", -1, r"size_bytes"),
        ("committed.installed_unix_s", float("nan"), r"installed_unix_s"),
        ("candidate.state", "asleep", r"candidate: state: 'asleep' is not one of"),
        ("candidate.release", None, r"'on_probation' without a release"),
        ("candidate.digest", "c" * 64, r"its release has another digest"),
        ("candidate.starts", 1.5, r"starts"),
        ("releases", [{}] * 201, r"list of 0 to 200"),
        ("history", {}, r"history: must be a list"),
        ("failures", [1], r"failures\[0\]: must be an object"),
    ],
)
def test_a_value_that_cannot_be_is_named(path: str, value: object, said: str) -> None:
    raw: Raw = json.loads(serial.to_json(journal(State.ON_PROBATION)))
    change(raw, path, value)
    with pytest.raises(StateError, match=said):
        serial.from_json(json.dumps(raw).encode())


@pytest.mark.parametrize("name", ["committed", "candidate", "releases", "format"])
def test_a_missing_field_is_named(name: str) -> None:
    raw: Raw = json.loads(serial.to_json(journal()))
    del raw[name]
    with pytest.raises(StateError, match=f"{name}: is missing"):
        serial.from_json(json.dumps(raw).encode())


def test_a_long_file_is_not_parsed() -> None:
    with pytest.raises(StateError, match="more than the 1048576 bytes"):
        serial.from_json(b" " * (serial.JOURNAL_MAX_BYTES + 1))


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b"1" * 100_000], ids=["nested deeply", "a long number"]
)
def test_what_a_parser_chokes_on(data: bytes) -> None:
    with pytest.raises(StateError, match="not JSON"):
        serial.from_json(data)


def test_the_longest_journal_that_the_moves_make_can_be_read_again() -> None:
    long: Callable[[str], str] = lambda text: text * 4000  # noqa: E731
    found = journal()
    for number in range(60):
        event = Event("install", Outcome.FAILED, "9" * 100, "d" * 64, long("\x01"), 9, number)
        found = moves.record(found, event)
    assert serial.from_json(serial.to_json(found)) == found


def test_a_file_name_that_is_not_utf8() -> None:
    found = moves.begin(journal(), source="model-\udcff.zip", archive_sha256="", now=1.0)
    read = serial.from_json(serial.to_json(found))
    assert read.candidate is not None
    assert read.candidate.source == "model-?.zip"
