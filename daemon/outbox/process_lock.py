"""Keeps a second process away from files that only one may own."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from updater.errors import StorageError


class LockedError(StorageError):
    """Another process holds the lock."""


class ProcessLock:
    """An flock(2) on a file of its own; the kernel lets go of it however the process ends.

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
            os.close(self._descriptor)
            raise LockedError("is held by another process", where=str(path), hint=hint) from None

    def release(self) -> None:
        """Lets another process in; to be called once."""
        os.close(self._descriptor)
