"""What a server is shown to let us in: read from a file, sent in a header, never printed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

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


def read_token(file: BinaryIO, *, where: str) -> Credentials:
    """An access, identity or reference token, sent as ``Authorization: Bearer``.

    Args:
        file: open; it holds the bare token.
        where: named in errors.

    Raises:
        FetchError: see :func:`_read_secret`.
    """
    return Credentials("Authorization", f"Bearer {_read_secret(file, where)}")


def read_api_key(file: BinaryIO, *, where: str) -> Credentials:
    """An Artifactory API key, sent as ``X-JFrog-Art-Api``; new installations have tokens only.

    Args:
        file: open; it holds the bare key.
        where: named in errors.

    Raises:
        FetchError: see :func:`_read_secret`.
    """
    return Credentials("X-JFrog-Art-Api", _read_secret(file, where))


def _read_secret(file: BinaryIO, where: str) -> str:
    """The one line of a file that only its owner and group can read.

    Raises:
        FetchError: no plain file, open to everybody, empty, too large, or not one line of printable
            ASCII (anything else could end the header and begin another).
    """
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FetchError("credentials must lie in a plain file", where=where)
        if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise FetchError(
                "every user of this device can read or change these credentials",
                where=where,
                hint="Run: chmod 600 FILE",
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
