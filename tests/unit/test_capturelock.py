from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.captures import pairs
from daemon.captures.buffer import CaptureBuffer
from tests.support.captures import SetClock, config, decision, jpeg
from tests.support.users import acting_as, open_folder
from updater.capturelock import check_markable, locked, mark_stored
from updater.captures import LOCK_NAME
from updater.errors import StorageError

# Numbers without names do: the kernel knows no others.
DAEMON, DAEMON_GROUP = 64_001, 64_001
UPLOAD, UPLOAD_GROUP = 64_002, 64_002
STRANGER = 64_003
TIMEOUT_S = 0.1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "captures"


@pytest.fixture
def shared() -> Iterator[Path]:
    """Where a daemon that runs as a user of its own keeps its captures."""
    with open_folder() as parent:
        yield parent / "captures"


def buffer(folder: Path, **changes: object) -> CaptureBuffer:
    return CaptureBuffer(config(folder, **changes), "cam-1", clock=SetClock().clock())


def capture(keeper: CaptureBuffer, seed: int = 0) -> str:
    name = keeper.store(decision(), jpeg(seed)).name
    assert name is not None
    return name


def test_a_marked_capture_is_the_first_to_go(folder: Path) -> None:
    keeper = buffer(folder, max_files=2)
    first, second = capture(keeper, 1), capture(keeper, 2)
    assert mark_stored(folder, second, timeout_s=TIMEOUT_S)
    third = capture(keeper, 3)
    assert {path.stem for path in folder.glob("*.jpg")} == {first, third}
    assert not list(folder.glob("*.stored"))


def test_marking_twice_is_once(folder: Path) -> None:
    name = capture(buffer(folder))
    assert mark_stored(folder, name, timeout_s=TIMEOUT_S)
    assert mark_stored(folder, name, timeout_s=TIMEOUT_S)
    assert [path.name for path in folder.glob("*.stored")] == [f"{name}.stored"]


def test_a_capture_that_has_gone_is_not_marked(folder: Path) -> None:
    name = capture(buffer(folder))
    pairs.remove(folder, name)
    assert not mark_stored(folder, name, timeout_s=TIMEOUT_S)
    assert not list(folder.glob("*.stored"))


def test_marking_waits_for_the_lock(folder: Path) -> None:
    name = capture(buffer(folder))
    with (folder / LOCK_NAME).open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match=r"in use by another process for more than 0\.1 s"):
            mark_stored(folder, name, timeout_s=TIMEOUT_S)
    assert not list(folder.glob("*.stored"))


def test_a_lock_in_a_folder_that_is_not_there(folder: Path) -> None:
    with pytest.raises(StorageError, match="cannot be locked"), locked(folder, TIMEOUT_S):
        pass
    with pytest.raises(StorageError, match="no such folder"):
        check_markable(folder)


def test_a_lock_that_is_a_link_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / LOCK_NAME).symlink_to("/dev/null")
    with pytest.raises(StorageError, match="cannot be locked"), locked(folder, TIMEOUT_S):
        pass


def test_another_user_of_the_group_reads_and_marks(shared: Path) -> None:
    before = os.umask(0o077)  # as a hardened service may have it
    try:
        with acting_as(DAEMON, DAEMON_GROUP):
            keeper = buffer(shared, max_files=1)
            name = capture(keeper)
        with acting_as(UPLOAD, UPLOAD_GROUP, (DAEMON_GROUP,)):
            check_markable(shared)
            assert (shared / f"{name}.jpg").read_bytes()
            assert (shared / f"{name}.json").read_bytes()
            assert mark_stored(shared, name, timeout_s=TIMEOUT_S)
        with acting_as(DAEMON, DAEMON_GROUP):
            assert capture(keeper, 1) != name, "the daemon frees what another user has marked"
    finally:
        os.umask(before)
    assert not (shared / f"{name}.jpg").exists()
    assert not list(shared.glob("*.stored"))


def test_another_user_of_the_group_can_lose_nothing(shared: Path) -> None:
    with acting_as(DAEMON, DAEMON_GROUP):
        name = capture(buffer(shared))
    with acting_as(UPLOAD, UPLOAD_GROUP, (DAEMON_GROUP,)):
        for suffix in ("jpg", "json"):
            path = shared / f"{name}.{suffix}"
            with pytest.raises(PermissionError):
                path.unlink()
            with pytest.raises(PermissionError):
                path.rename(shared / "elsewhere")
            with pytest.raises(PermissionError):
                path.open("r+b")


def test_a_stranger_sees_nothing(shared: Path) -> None:
    with acting_as(DAEMON, DAEMON_GROUP):
        name = capture(buffer(shared))
    with acting_as(STRANGER, STRANGER):
        with pytest.raises(PermissionError):
            (shared / f"{name}.jpg").read_bytes()
        with pytest.raises(StorageError, match=f"user {STRANGER} cannot read"):
            check_markable(shared)
