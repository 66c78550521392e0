"""Writer, reader and JSON Schema of the sidecar agree; a damaged one is refused with its field."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.captures import sidecar
from daemon.captures.reasons import CaptureReason
from daemon.captures.selection import CaptureDecision
from tests.support.captures import BASE_UNIX_S, SetClock, decision, jpeg
from updater import captures as stored
from updater.captures import Sidecar
from updater.errors import StorageError

SCHEMA = json.loads((Path(sidecar.__file__).parent.parent / "schemas" / "capture.json").read_text())
JPEG = jpeg()


def record(reason: CaptureReason = CaptureReason.UNCERTAIN_SCORE, sequence: int = 7) -> Sidecar:
    return built(decision(reason=reason), sequence)


def built(chosen: CaptureDecision, sequence: int = 7) -> Sidecar:
    return sidecar.build(
        chosen,
        JPEG,
        sequence=sequence,
        device="cam-1",
        taken=SetClock().clock().stamp(),
        elapsed_s=12.3456,
    )


def read(data: bytes) -> Sidecar:
    return stored.from_json(data, where="test.json")


@pytest.mark.parametrize("reason", CaptureReason)
def test_what_is_written_is_read_again_and_fits_the_schema(reason: CaptureReason) -> None:
    written = record(reason)
    data = stored.to_json(written)
    assert read(data) == written
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(data))


def test_it_says_what_the_picture_is() -> None:
    written = record()
    assert written.picture.sha256 == hashlib.sha256(JPEG).hexdigest()
    assert (written.picture.size_bytes, written.picture.width) == (len(JPEG), 640)
    assert written.taken.unix_s == BASE_UNIX_S
    assert written.taken.elapsed_s == 12.346
    assert written.detections[0].box == (10.0, 10.0, 50.0, 50.0)
    assert written.name == f"0000000007-20261118T110640Z-{written.picture.sha256[:8]}"


def test_two_models_are_both_named() -> None:
    alone = decision(reason=CaptureReason.MODEL_DISAGREEMENT)
    other = replace(alone.detections, model_version="2026.11.01", classes=("head", "helmet"))
    written = built(replace(alone, other=other))
    assert (written.model.version, written.model.classes) == (
        "2026.11.22",
        ("helmet", "head", "person"),
    )
    assert written.other_model == stored.Model("2026.11.01", ("head", "helmet"))
    data = stored.to_json(written)
    assert read(data) == written
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(data))


def test_without_a_second_model_there_is_no_such_field() -> None:
    """So that a version that does not know the field reads all other captures."""
    assert b"other_model" not in stored.to_json(record())


def test_the_search_for_duplicates_gets_back_what_it_knew() -> None:
    (reason, kept), *rest = sidecar.kept(record())
    assert rest == []
    assert reason is CaptureReason.UNCERTAIN_SCORE
    assert kept.phash == 0x0123456789ABCDEF
    assert [subject.class_name for subject in kept.subjects] == ["head"]


def changed(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(raw: dict[str, Any]) -> None:
        *steps, last = path.split(".")
        inner: Any = raw
        for step in steps:
            inner = inner[int(step)] if step.isdecimal() else inner[step]
        inner[last] = value

    return apply


def without(path: str) -> Callable[[dict[str, Any]], None]:
    def apply(raw: dict[str, Any]) -> None:
        *steps, last = path.split(".")
        inner: Any = raw
        for step in steps:
            inner = inner[step]
        del inner[last]

    return apply


WRONG = [
    (changed("format", 2), "format 2, and this version reads format 1", False),
    (changed("extra", 1), "unknown field 'extra'", False),
    (changed("taken.extra", 1), "taken: unknown field", False),
    (without("device"), "device: is missing", False),
    (changed("device", "../etc"), "device: '../etc' is not of the form", False),
    (changed("sequence", -1), "sequence: must be a whole number", False),
    (changed("sequence", 1.5), "sequence: must be a whole number", False),
    (changed("value", 1.01), "value: must be a number from 0 to 1", False),
    (changed("other_model", {"version": "1"}), "other_model: classes: is missing", False),
    (changed("other_model", None), "other_model: must be an object", False),
    (changed("phash", "xyz"), "phash: 'xyz' is not of the form", False),
    (changed("picture.sha256", "00"), "sha256: '00' is not of the form", False),
    (changed("picture.size_bytes", 0), "size_bytes: must be a whole number", False),
    (changed("picture.width", 100_000), "width: must be a whole number", False),
    (changed("taken.utc", "yesterday"), "utc: 'yesterday' is not a time", False),
    (changed("taken.utc", "2026-13-40T25:00:00.000000Z"), "is not a time", True),
    (changed("taken.clock_synchronised", 1), "must be true or false", False),
    (changed("detections.0.box", [1, 2, 3]), "box: must be a list of 4", False),
    (changed("detections.0.score", -0.1), "score: must be a number", False),
    (changed("detections.0.class_name", "dog"), "'dog' is not a class of the model", True),
    (changed("detections", [{}] * 1001), "detections: must be a list of 0 to 1000", False),
    (changed("reasons", []), "reasons: must be a list of 1 to 6", False),
    (changed("reasons.0.reason", "boredom"), "'boredom' is not one of", False),
    (changed("reasons.0.subjects", 5), "subjects: must be a list", False),
]


@pytest.mark.parametrize(("damage", "message", "beyond_schema"), WRONG)
def test_a_wrong_field_is_refused_by_name(
    damage: Callable[[dict[str, Any]], None], message: str, beyond_schema: bool
) -> None:
    raw = json.loads(stored.to_json(record()))
    damage(raw)
    with pytest.raises(StorageError) as caught:
        read(json.dumps(raw).encode())
    assert message in str(caught.value)
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(raw) is beyond_schema


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"\xff\xfe", b"null", b"[" * 100_000, b" " * 300_000, b'{"a": NaN}']
)
def test_what_is_no_sidecar_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(StorageError):
        read(data)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    with pytest.raises(StorageError):
        read(data)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_flipped_byte_never_makes_the_reader_fail_otherwise(at: int, byte: int) -> None:
    data = bytearray(stored.to_json(record()))
    data[at % len(data)] = byte
    try:
        read(bytes(data))
    except StorageError as error:
        assert "test.json" in str(error)


def test_a_sidecar_under_another_name_is_refused(tmp_path: Path) -> None:
    written = record()
    other = record(sequence=8).name
    (tmp_path / f"{written.name}.json").write_bytes(stored.to_json(written))
    (tmp_path / f"{other}.json").write_bytes(stored.to_json(written))
    assert stored.read(tmp_path, written.name) == written
    with pytest.raises(StorageError, match="describes 0000000007"):
        stored.read(tmp_path, other)
    with pytest.raises(StorageError, match="is not the name of a capture"):
        stored.read(tmp_path, "../../etc/passwd")
    with pytest.raises(StorageError, match="cannot be read: No such file"):
        stored.read(tmp_path, record(sequence=9).name)


def test_names_of_whole_captures_only() -> None:
    first, second = record(sequence=1).name, record(sequence=2).name
    files = [
        f"{second}.json", f"{second}.jpg", f"{first}.jpg", f"{first}.json", "notes.json",
        "notes.jpg", f"{record(sequence=3).name}.jpg", f"{record(sequence=4).name}.json",
        f".{record(sequence=5).name}.json.part", "limits.json", ".lock",
    ]  # fmt: skip
    assert stored.complete_names(files) == [first, second]
    assert stored.sequence_of(second) == 2
