"""A bell between threads that a poll on descriptors hears: eventfd(2)."""

from __future__ import annotations

import os
import threading


class Wakeup:
    """Rung by any thread, heard by the one that polls :attr:`descriptor`."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._mutex = threading.Lock()
        self._closed = False

    def ring(self) -> None:
        """Makes the descriptor readable; after :meth:`close` nobody listens."""
        with self._mutex:
            if not self._closed:
                os.eventfd_write(self.descriptor, 1)

    def silence(self) -> None:
        """Forgets the rings so far; to be called before looking at what they were for."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return  # nobody rang

    def close(self) -> None:
        """Gives the descriptor back; only when nobody polls it any more."""
        with self._mutex:
            if not self._closed:
                self._closed = True
                os.close(self.descriptor)
