"""Folders that are there whole or not at all, and what a step says of a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from training.anew import made_anew
from training.command import run

from updater.errors import StorageError, UsageError

MARK = "manifest.json"


def fill(folder: Path, text: str) -> None:
    (folder / MARK).write_text(text)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_replaces_one_of_its_kind(tmp_path: Path) -> None:
    output = tmp_path / "new/bundle"
    for text in ("first", "second"):
        with made_anew(output, mark=MARK) as folder:
            fill(folder, text)
        assert (output / MARK).read_text() == text
    assert names(output.parent) == {"bundle"}


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    with made_anew(output, mark=MARK) as folder:
        fill(folder, "old")
    with pytest.raises(RuntimeError), made_anew(output, mark=MARK) as folder:
        fill(folder, "new")
        raise RuntimeError
    assert (output / MARK).read_text() == "old"
    assert names(tmp_path) == {"bundle"}


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    with (
        pytest.raises(StorageError, match="No space left on device"),
        made_anew(output, mark=MARK) as folder,
    ):
        (folder / "model").symlink_to("/dev/full")
        (folder / "model").write_text("text")
    assert names(tmp_path) == set()


def test_what_a_killed_run_left_is_no_hindrance(tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    (tmp_path / ".bundle.tmp").mkdir()
    (tmp_path / ".bundle.tmp/half").touch()
    with made_anew(output, mark=MARK) as folder:
        fill(folder, "whole")
    assert names(output) == {MARK}
    assert names(tmp_path) == {"bundle"}


def test_somebody_elses_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("dear")
    with pytest.raises(UsageError, match="no manifest"), made_anew(tmp_path, mark=MARK):
        pytest.fail("it was entered")
    assert names(tmp_path) == {"letters"}


def test_a_step_ends_with_one_line_on_a_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    def step() -> None:
        Path("/dev/full").write_text("text")

    with pytest.raises(SystemExit) as ended:
        run(step)
    assert ended.value.code == StorageError.exit_code == 8
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert said.count("\n") == 1


def test_other_errors_of_the_system_are_bugs() -> None:
    def step() -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), "here")

    with pytest.raises(OSError, match="here"):
        run(step)
