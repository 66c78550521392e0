"""Picture and sidecar on disk: both appear or none, and both go.

Order of writes: both files under hidden names, each fsynced; the picture renamed; the sidecar
renamed, which is the moment the capture exists; the folder fsynced. What a crash leaves between is
never taken for a capture and is swept up at the next start.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from daemon.captures.ledger import LEDGER_NAME
from updater.atomic import fsync_folder
from updater.capturelock import FOLDER_MODE
from updater.captures import (
    NAME_PATTERN,
    PICTURE_SUFFIX,
    SIDECAR_SUFFIX,
    STORED_SUFFIX,
    complete_names,
)
from updater.errors import StorageError

FILE_MODE = 0o640
"""Pictures show people: not for every user of the machine."""

PART_SUFFIX = ".part"
_LEFTOVER = re.compile(
    rf"\.({NAME_PATTERN.pattern})\.(jpg|json)\.part|\.{re.escape(LEDGER_NAME)}\..+"
)


def make_folder(folder: Path) -> None:
    """Makes the folder if it is not there; one that is keeps its mode.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(FOLDER_MODE)  # whatever the umask says
    except OSError as error:
        raise failed(folder, "made", error) from error


def stage(folder: Path, name: str, picture: bytes, sidecar: bytes) -> None:
    """Writes both files under hidden names, safe on disk.

    Raises:
        StorageError: the disk refuses; nothing stays.
    """
    for suffix, data in ((PICTURE_SUFFIX, picture), (SIDECAR_SUFFIX, sidecar)):
        part = _part(folder, name, suffix)
        try:
            with open(
                part, "wb", opener=lambda path, flags: os.open(path, flags, FILE_MODE)
            ) as file:
                os.fchmod(file.fileno(), FILE_MODE)  # whatever the umask says: the upload reads it
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            discard(folder, name)
            raise failed(part, "written", error) from error


def commit(folder: Path, name: str) -> None:
    """Gives both staged files their names.

    Raises:
        StorageError: the disk refuses; the capture is there whole or not at all.
    """
    try:
        for suffix in (PICTURE_SUFFIX, SIDECAR_SUFFIX):
            _part(folder, name, suffix).rename(folder / f"{name}{suffix}")
        fsync_folder(folder)
    except OSError as error:
        discard(folder, name)
        if not (folder / f"{name}{SIDECAR_SUFFIX}").exists():
            with contextlib.suppress(OSError):
                (folder / f"{name}{PICTURE_SUFFIX}").unlink()
        raise failed(folder / name, "renamed", error) from error


def discard(folder: Path, name: str) -> None:
    """Removes what is staged; what cannot be removed now is swept up at the next start."""
    for suffix in (PICTURE_SUFFIX, SIDECAR_SUFFIX):
        with contextlib.suppress(OSError):
            _part(folder, name, suffix).unlink()


def remove(folder: Path, name: str) -> None:
    """Removes a capture, the sidecar first; what is gone already is fine.

    Raises:
        StorageError: the disk refuses.
    """
    for suffix in (SIDECAR_SUFFIX, STORED_SUFFIX, PICTURE_SUFFIX):
        path = folder / f"{name}{suffix}"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise failed(path, "deleted", error) from error


def sweep(folder: Path) -> int:
    """Removes halves that a crash left; call it with the lock held.

    Returns:
        How many files went.

    Raises:
        StorageError: the disk refuses.
    """
    names = file_names(folder)
    complete = set(complete_names(names))
    leftovers = [name for name in names if _LEFTOVER.fullmatch(name) or _half(name, complete)]
    for name in leftovers:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise failed(folder / name, "deleted", error) from error
    return len(leftovers)


def file_names(folder: Path) -> list[str]:
    """Names of all files in the folder.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        raise failed(folder, "read", error) from error


def free_bytes(folder: Path) -> int:
    """Bytes that an ordinary user may still write on the folder's disk.

    Raises:
        StorageError: the disk does not say.
    """
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise failed(folder, "read", error) from error
    return disk.f_bavail * disk.f_frsize


def failed(path: Path, what: str, error: OSError) -> StorageError:
    """The error of a disk that refuses; ``what`` is ``read``, ``written`` and the like."""
    hint = (
        "Check the path and its owner"
        if what == "read"
        else "Free space, or check the folder and its owner"
    )
    return StorageError(f"cannot be {what}: {error.strerror}", where=str(path), hint=hint)


def _part(folder: Path, name: str, suffix: str) -> Path:
    return folder / f".{name}{suffix}{PART_SUFFIX}"


def _half(file_name: str, complete: set[str]) -> bool:
    """Whether a file is of a capture that is not wholly there; foreign files are none of ours."""
    stem, dot, suffix = file_name.partition(".")
    known = dot + suffix in (PICTURE_SUFFIX, SIDECAR_SUFFIX, STORED_SUFFIX)
    return known and NAME_PATTERN.fullmatch(stem) is not None and stem not in complete
