"""A file on its way to S3, no faster than allowed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import BinaryIO

from updater.fetch.rate import TokenBucket

PORTIONS_PER_S = 4
"""Under a cap the connection is fed at least so often: a server gives up one that rests."""

LEAST_PORTION_BYTES = 256


class Pace:
    """The rate cap of a whole run.

    Args:
        rate_bytes_per_s: mean rate; 0 for no cap.
        sleep: waits.
        monotonic_s: tells the time.
    """

    def __init__(
        self,
        rate_bytes_per_s: int,
        *,
        sleep: Callable[[float], object] = time.sleep,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bucket = TokenBucket(rate_bytes_per_s, monotonic_s())
        self._sleep = sleep
        self._monotonic_s = monotonic_s
        self.portion_bytes = (
            max(LEAST_PORTION_BYTES, rate_bytes_per_s // PORTIONS_PER_S)
            if rate_bytes_per_s
            else None
        )

    def sent(self, count: int) -> None:
        """Accounts for bytes, and waits as long as they were too many."""
        wait_s = self._bucket.take(count, self._monotonic_s())
        if wait_s > 0:
            self._sleep(wait_s)


class PacedBody:
    """A file that the HTTP client reads.

    The client reads it more than once: to sign it, then to send it. Only sending is paced, from
    :meth:`sending` until the client goes back to the beginning.

    Args:
        file: seekable, at its beginning.
        pace: the cap.

    Attributes:
        error: what the disk said if reading failed; the client would call it a network error.
    """

    def __init__(self, file: BinaryIO, pace: Pace) -> None:
        self._file = file
        self._pace = pace
        self._sending = False
        self.error: OSError | None = None

    def sending(self) -> None:
        """From now on what is read goes over the network."""
        self._sending = True

    def read(self, count: int = -1) -> bytes:
        """The next bytes, at most ``count`` unless it is negative; none at the end."""
        most = self._pace.portion_bytes
        if self._sending and most is not None:
            count = most if count < 0 else min(count, most)
        try:
            data = self._file.read(count)
        except OSError as error:
            self.error = error
            raise
        if self._sending:
            self._pace.sent(len(data))
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of files."""
        self._sending = False
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of files."""
        return self._file.tell()
