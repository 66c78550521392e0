"""What a server is shown to let us in: read from a file, sent in a header, never printed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from updater.errors import FetchError

SECRET_MAX_BYTES = 16 * 1024
"""Larger than any token in use (a JWT has one to two KiB), small enough for a header."""

_PRINTABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """One header of a request.

    Attributes:
        header: its name.
        value: its value, which is secret: it does not show in ``repr``.
    """

    header: str
    value: str = field(repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """As requests wants it."""
        return {self.header: self.value}


def read_token_file(path: Path) -> Credentials:
    """An access, identity or reference token, sent as ``Authorization: Bearer``.

    Raises:
        FetchError: see :func:`_read_secret`.
    """
    return Credentials("Authorization", f"Bearer {_read_secret(path)}")


def read_api_key_file(path: Path) -> Credentials:
    """An Artifactory API key, sent as ``X-JFrog-Art-Api``; new installations have tokens only.

    Raises:
        FetchError: see :func:`_read_secret`.
    """
    return Credentials("X-JFrog-Art-Api", _read_secret(path))


def _read_secret(path: Path) -> str:
    """The one line of a file that only its owner and group can read.

    Raises:
        FetchError: no such file, no plain file, open to everybody, empty, too large, or not one
            line of printable ASCII (anything else could end the header and begin another).
    """
    where = str(path)
    try:
        # Not to hang where somebody put a named pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FetchError("credentials must lie in a plain file", where=where)
            if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise FetchError(
                    "every user of this device can read or change these credentials",
                    where=where,
                    hint=f"Run: chmod 600 {path}",
                )
            data = file.read(SECRET_MAX_BYTES + 1)
    except OSError as error:
        raise FetchError(f"credentials cannot be read: {error.strerror}", where=where) from error
    if len(data) > SECRET_MAX_BYTES:
        raise FetchError(f"credentials larger than {SECRET_MAX_BYTES} bytes", where=where)
    # No codec's error here: it would carry the bytes it stumbled over.
    text = data.decode("latin-1").strip()
    if not text:
        raise FetchError("holds no credentials, it is empty", where=where)
    if not _PRINTABLE.fullmatch(text):
        raise FetchError(
            "credentials must be one line of printable ASCII without blanks",
            where=where,
            hint="Write the bare token or key into the file, nothing else",
        )
    return text
