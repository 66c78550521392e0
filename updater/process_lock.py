"""Keeps a second process away from files that only one may own."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from updater.descriptor import close_unwritten
from updater.errors import StorageError

PID_MAX_BYTES = 32


class LockedError(StorageError):
    """Another process holds the lock.

    Attributes:
        pid: of the process that holds it; None if it did not say.
    """

    def __init__(self, path: Path, pid: int | None, *, hint: str = "") -> None:
        holder = "another process" if pid is None else f"another process, {pid}"
        super().__init__(f"is held by {holder}", where=str(path), hint=hint)
        self.pid = pid


class ProcessLock:
    """An flock(2) on a file of its own; the kernel lets go of it however the process ends.

    Its holder's process id stands in the file, for people; the lock is what counts.

    Args:
        path: the lock file; made if absent, never deleted: deleting it would let two in.
        hint: said to the process that comes second.

    Raises:
        LockedError: another process holds it.
        StorageError: the disk refuses.
    """

    def __init__(self, path: Path, *, hint: str = "") -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StorageError(f"cannot be made: {error.strerror}", where=str(path)) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _read_pid(self._descriptor)
            close_unwritten(self._descriptor)
            raise LockedError(path, pid, hint=hint) from None
        with contextlib.suppress(OSError):  # a full disk must not keep out who would empty it
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Lets another process in; to be called once."""
        close_unwritten(self._descriptor)


def _read_pid(descriptor: int) -> int | None:
    try:
        return int(os.pread(descriptor, PID_MAX_BYTES, 0))
    except (OSError, ValueError):
        return None
