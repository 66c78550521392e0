"""Room on the disk, asked for before it is used."""

from __future__ import annotations

import os
from pathlib import Path

from updater.errors import StorageError

MEBIBYTE = 1024 * 1024


def require(folder: Path, needed_bytes: int, *, margin_bytes: int) -> None:
    """Makes sure that a download fits and leaves the margin free.

    Args:
        folder: on the disk in question.
        needed_bytes: still to be written; 0 asks for the margin alone.
        margin_bytes: that must stay free.

    Raises:
        StorageError: it does not fit, or the disk cannot be asked.
    """
    try:
        status = os.statvfs(folder)
    except OSError as error:
        raise StorageError(
            f"free space cannot be found out: {error.strerror}", where=str(folder)
        ) from error
    free_bytes = status.f_bavail * status.f_frsize
    if free_bytes < needed_bytes + margin_bytes:
        raise StorageError(
            f"too little room: {_mebibytes(needed_bytes)} to download and "
            f"{_mebibytes(margin_bytes)} to stay free, and {_mebibytes(free_bytes)} are free",
            where=str(folder),
            hint="Free space: sitewatch-update gc, or fewer captures",
        )


def _mebibytes(count: int) -> str:
    return f"{count / MEBIBYTE:.1f} MiB"
