from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.detection.runtime_cache import MAX_BYTES, MAX_ENTRIES, Question, recall, remember

QUESTION = Question("ab" * 32, "aarch64 Raspberry Pi 5", ("litert 2.3.0", "tflite-runtime 2.14"), 2)
TIMES = {"litert": 12.5, "tflite-runtime": 84.0}


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "cache/runtime.json"

    remember(path, QUESTION, TIMES)

    assert recall(path, QUESTION) == TIMES
    assert [entry.name for entry in path.parent.iterdir()] == ["runtime.json"]


@pytest.mark.parametrize(
    "other",
    [
        replace(QUESTION, model_sha256="cd" * 32),
        replace(QUESTION, machine="aarch64 Raspberry Pi 4"),
        replace(QUESTION, runtimes=("litert 2.4.0", "tflite-runtime 2.14")),
        replace(QUESTION, threads=1),
    ],
)
def test_another_question_has_another_answer(tmp_path: Path, other: Question) -> None:
    path = tmp_path / "runtime.json"
    remember(path, QUESTION, TIMES)
    assert recall(path, other) is None

    remember(path, other, {"litert": 1.0})

    assert recall(path, other) == {"litert": 1.0}
    assert recall(path, QUESTION) == TIMES


def test_a_new_answer_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "runtime.json"
    remember(path, QUESTION, {"litert": 1.0})
    remember(path, QUESTION, TIMES)
    assert recall(path, QUESTION) == TIMES
    assert len(json.loads(path.read_text())) == 1


def test_only_the_latest_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "runtime.json"
    for threads in range(MAX_ENTRIES + 3):
        remember(path, replace(QUESTION, threads=threads), TIMES)
    assert len(json.loads(path.read_text())) == MAX_ENTRIES
    assert recall(path, replace(QUESTION, threads=2)) is None
    assert recall(path, replace(QUESTION, threads=3)) == TIMES
    assert path.stat().st_size < MAX_BYTES


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b"[" * 100_000,
        b"\xff\xfe",
        b" " * (MAX_BYTES + 1),
        b'[{"question": {}}]',
        b'[{"question": {}, "milliseconds": {}}]',
        b'[{"question": {}, "milliseconds": {"litert": "fast"}}]',
        b'[{"question": {}, "milliseconds": {"litert": -1.0}}]',
        b'[{"question": {}, "milliseconds": {"litert": NaN}}]',
    ],
)
def test_a_damaged_cache_is_measured_anew(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "runtime.json"
    path.write_bytes(content)

    with caplog.at_level(logging.WARNING):
        assert recall(path, QUESTION) is None
    assert "measuring again" in caplog.text

    remember(path, QUESTION, TIMES)
    assert recall(path, QUESTION) == TIMES


def test_a_cache_that_cannot_be_read_or_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    below_a_file = tmp_path / "file/runtime.json"
    (tmp_path / "file").write_text("")

    with caplog.at_level(logging.WARNING):
        assert recall(path, QUESTION) is None
        remember(path, QUESTION, TIMES)
        remember(below_a_file, QUESTION, TIMES)

    assert "cannot be read" in caplog.text
    assert caplog.text.count("cannot be written") == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]
