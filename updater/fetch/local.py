"""A bundle that lies on this device already: hashed where it is, not copied."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from updater.errors import FetchError

CHUNK_BYTES = 1024 * 1024


def hash_file(
    path: Path, *, max_bytes: int, seen: Callable[[int, int], None] | None = None
) -> tuple[str, int]:
    """The sha256 of a file as 64 lower-case hex digits, and its size in bytes.

    Args:
        path: a plain file, or a link to one.
        max_bytes: a larger one is refused.
        seen: is told how many bytes of how many have been read.

    Raises:
        FetchError: it cannot be read, is no plain file, or is too large.
    """
    where = str(path)
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FetchError(
                    "is no plain file", where=where, hint="Name a bundle's .zip or its address"
                )
            digest, size = hashlib.sha256(), 0
            while chunk := file.read(CHUNK_BYTES):
                size += len(chunk)
                if max(size, status.st_size) > max_bytes:
                    raise FetchError(
                        f"has {max(size, status.st_size)} bytes, and at most {max_bytes} are "
                        "allowed",
                        where=where,
                        hint="See max_bytes in the configuration",
                    )
                digest.update(chunk)
                if seen is not None:
                    seen(size, status.st_size)
    except OSError as error:
        raise FetchError(
            f"cannot be read: {error.strerror}",
            where=where,
            hint="Name a file of this device, or an address that begins with https://",
        ) from error
    return digest.hexdigest(), size


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file; does not hang where somebody put a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
