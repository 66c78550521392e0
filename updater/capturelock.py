"""Writing in the folder of captures: its lock, and the mark that a capture lies safely elsewhere.

The daemon owns the folder; the upload runs as another user of the folder's group. The folder's mode
(:data:`FOLDER_MODE`) lets that group add files, and its sticky bit keeps it from deleting or
renaming any but its own: it can mark a picture, and never lose one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from updater.captures import LOCK_NAME, SIDECAR_SUFFIX, STORED_SUFFIX
from updater.descriptor import close_unwritten
from updater.errors import StorageError

FOLDER_MODE = 0o1770
"""No set-group-id bit: a hardened unit (RestrictSUIDSGID=) may not set it, and nobody needs it,
since only the daemon's files are read by group."""

EMPTY_FILE_MODE = 0o644
"""Of the lock and the marks, which hold nothing."""

LOCK_POLL_S = 0.02


@contextlib.contextmanager
def locked(folder: Path, timeout_s: float) -> Iterator[None]:
    """Holds the folder's lock; others who write, delete or mark wait.

    Args:
        folder: the captures.
        timeout_s: how long to wait for another holder.

    Raises:
        StorageError: the lock cannot be opened, or somebody else holds it for longer.
    """
    path = folder / LOCK_NAME
    try:
        descriptor = _open(path)
    except OSError as error:
        raise StorageError(
            f"cannot be locked: {error.strerror}",
            where=str(path),
            hint="Free space, or check the folder and its owner",
        ) from error
    try:
        until_s = time.monotonic() + timeout_s
        while not _try_lock(descriptor):
            if time.monotonic() >= until_s:
                raise StorageError(
                    f"in use by another process for more than {timeout_s:g} s",
                    where=str(folder),
                    hint="Wait for the other command to finish",
                )
            time.sleep(LOCK_POLL_S)
        yield
    finally:
        close_unwritten(descriptor)


def check_markable(folder: Path) -> None:
    """Checks that this process may read the folder and mark captures in it.

    Raises:
        StorageError: it may not.
    """
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        user = f"user {os.geteuid()}"
        raise StorageError(
            f"{user} cannot read and write it" if _exists(folder) else "no such folder",
            where=str(folder),
            hint="Check the path, and that the user's own group is the folder's, with rwx",
        )


def mark_stored(folder: Path, name: str, *, timeout_s: float) -> bool:
    """Marks a capture as stored elsewhere: from now on the daemon may free it.

    The mark is an empty file, so it is there or not, never half. It is not synced: one that a power
    cut takes away costs a second upload of the same bytes under the same key.

    Args:
        folder: the captures.
        name: of the capture.
        timeout_s: how long to wait for the lock.

    Returns:
        False if the capture has gone meanwhile, and nothing is left to mark.

    Raises:
        StorageError: the disk refuses, or the lock is held for too long.
    """
    path = folder / f"{name}{STORED_SUFFIX}"
    with locked(folder, timeout_s):
        try:
            if not (folder / f"{name}{SIDECAR_SUFFIX}").exists():
                return False
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(path, flags, EMPTY_FILE_MODE))
        except FileExistsError:
            return True
        except OSError as error:
            raise StorageError(
                f"cannot be made: {error.strerror}",
                where=str(path),
                hint="Free space, or check the folder and its owner",
            ) from error
    return True


def _exists(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:
        return True  # a folder above is closed, so it may well be there


def _open(path: Path) -> int:
    """Opened to read only: flock(2) asks for no more, and the file may be another user's.

    Made in a step of its own: where links are protected (sysctl fs.protected_regular) the kernel
    refuses O_CREAT for another user's file in a sticky folder, though the file is there.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, EMPTY_FILE_MODE)
    with contextlib.suppress(PermissionError):  # another process made it in between
        os.fchmod(descriptor, EMPTY_FILE_MODE)  # whatever the umask says
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
