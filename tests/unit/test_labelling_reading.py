"""Foreign text and JSON is read within bounds, and as the standard has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.labelling import reading
from scripts.labelling.picture import BrokenLabelError
from scripts.labelling.problems import LabellingError


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": 1, "a": 2}', "{", "[" * 100_000, ""])
def test_what_the_standard_refuses_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(LabellingError, match=r"a\.json: not JSON"):
        reading.read_json(path)


def test_a_file_too_large_or_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"12345")
    with pytest.raises(LabellingError, match="larger than 4 bytes"):
        reading.read_text(path, 4)
    path.write_bytes(b"a\xff")
    with pytest.raises(LabellingError, match="not UTF-8 at byte 1"):
        reading.read_text(path)
    with pytest.raises(LabellingError, match="cannot be read"):
        reading.read_text(tmp_path / "absent")


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert reading.read_json(path) == [1]


def test_a_broken_line_has_its_number_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"a": 1}\n\n{"a": \r\n\xff\n[2]')
    found = list(reading.json_lines(path))
    assert [number for number, _ in found] == [1, 3, 4, 5]
    assert [isinstance(value, BrokenLabelError) for _, value in found] == [False, True, True, False]


def test_an_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LINE_MAX_BYTES", 10)
    path = tmp_path / "a.ndjson"
    path.write_text('{"a": "123456789"}')
    with pytest.raises(LabellingError, match=r"a\.ndjson:1: longer than 10"):
        list(reading.json_lines(path))


@pytest.mark.parametrize("word", ["nan", "inf", "1_0", "0x1", "1e999", "", "٣", "1,5", "--1"])
def test_what_float_takes_beyond_decimal_numbers_is_refused(word: str) -> None:
    with pytest.raises(BrokenLabelError, match="must be a number"):
        reading.decimal(word, "cx")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_python_writes_is_read(value: float) -> None:
    assert reading.decimal(repr(value), "cx") == value
    assert reading.as_number(json.loads(json.dumps(value)), "x") == value


@pytest.mark.parametrize("value", [True, "1", None, [], 10**400])
def test_what_is_no_number_of_json_is_refused(value: object) -> None:
    with pytest.raises(BrokenLabelError, match="must be a finite number"):
        reading.as_number(value, "x")


@pytest.mark.parametrize("value", [0, -1, 1.5, 2**21, "640", True])
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(BrokenLabelError):
        reading.as_size(value, "width")


def test_a_hash_is_found_whole_and_alone() -> None:
    digest = "ab" * 32
    assert reading.sha256_in(f"cam.20261122.{digest}") == digest
    assert reading.sha256_in(f"{digest}0") is None
    assert reading.sha256_in(f"{digest} {'cd' * 32}") is None
