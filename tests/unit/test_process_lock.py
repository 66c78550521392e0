from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from updater.errors import StorageError
from updater.process_lock import LockedError, ProcessLock

HOLD = """
import pathlib, sys
from updater.process_lock import ProcessLock
lock = ProcessLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    first = ProcessLock(tmp_path / "lock")
    with pytest.raises(LockedError, match=r"another process.*Try later"):
        ProcessLock(tmp_path / "lock", hint="Try later.")
    first.release()
    ProcessLock(tmp_path / "lock").release()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"another process, {holder.pid}") as caught:
            ProcessLock(tmp_path / "lock")
        assert caught.value.pid == holder.pid
        holder.kill()
        holder.wait()
        ProcessLock(tmp_path / "lock").release()


def test_a_disk_that_refuses_is_another_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be made") as caught:
        ProcessLock(tmp_path / "absent" / "lock")
    assert not isinstance(caught.value, LockedError)


def test_a_lock_file_without_a_readable_pid_locks_as_well(tmp_path: Path) -> None:
    first = ProcessLock(tmp_path / "lock")
    (tmp_path / "lock").write_text("who knows")
    with pytest.raises(LockedError, match=r"is held by another process$") as caught:
        ProcessLock(tmp_path / "lock")
    assert caught.value.pid is None
    first.release()
