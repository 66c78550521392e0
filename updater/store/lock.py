"""One run at a time changes the store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from updater.errors import BusyError
from updater.process_lock import LockedError, ProcessLock

POLL_S = 0.05


@contextmanager
def held(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Holds the lock for the length of a ``with``.

    Args:
        path: the lock file.
        wait_s: how long to wait for another run to end.

    Raises:
        BusyError: another run holds it still; its process id is named.
        StorageError: the disk refuses.
    """
    lock = _acquire(path, time.monotonic() + wait_s)
    try:
        yield
    finally:
        lock.release()


def _acquire(path: Path, until_s: float) -> ProcessLock:
    while True:
        try:
            return ProcessLock(path)
        except LockedError as error:
            if time.monotonic() >= until_s:
                who = "" if error.pid is None else f" (process {error.pid})"
                raise BusyError(
                    f"another run is at work on this store{who}",
                    where=str(path.parent),
                    hint="Try again when it has ended",
                ) from error
        time.sleep(POLL_S)
