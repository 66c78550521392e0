"""Replaces a file so that a reader, a kill or a power cut sees the old one or the new one whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from updater.errors import StorageError


def write_atomically(path: Path, data: bytes, *, durable: bool = True, mode: int = 0o644) -> None:
    """Writes ``data`` to ``path`` by way of a temporary file in the same folder.

    The order is file fsync, rename, folder fsync (as RAUC does for its artifacts): without the
    first a power cut may leave an empty file under the new name, without the last the old name.

    Args:
        path: the file to replace or make; its folder must exist.
        data: the whole content.
        durable: false leaves out both fsyncs, for files that mean nothing after a reboot and would
            only wear the SD card.
        mode: permission bits of the new file.

    Raises:
        StorageError: the folder is missing, read-only or full; nothing half-written stays.
    """
    temporary: Path | None = None
    try:
        # Not tempfile's, which makes the path absolute: the working directory may lie below
        # folders that this account cannot enter, and then only relative paths lead anywhere.
        wanted = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(wanted, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        temporary = wanted
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            fsync_folder(path.parent)
    except OSError as error:
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        raise StorageError(
            f"cannot be written: {error.strerror}",
            where=str(path),
            hint="Free space, or check the folder and its owner",
        ) from error


def fsync_folder(folder: Path) -> None:
    """Makes renames and new names in a folder survive a power cut.

    Raises:
        OSError: as ``open`` and ``fsync`` do.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
