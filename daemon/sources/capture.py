"""Capture beside inference: one thread reads the source, whoever looks at frames takes them here.

A live source fills a slot of one frame: what inference was too slow for is overtaken by the next
frame, never queued, so that what is looked at is always new. A file or folder waits until its
frame was taken: none is lost, however slow the model.
"""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

from daemon.frames import Frame
from daemon.sources.base import Source
from updater.errors import SourceStalledError

_STOP_TIMEOUT_S = 1.0
"""How long stopping waits for the thread. A read that hangs in a camera driver cannot be broken
off; the thread then is left behind, and the process ends without it."""

_log = logging.getLogger(__name__)


class Capture:
    """Runs a source on a thread of its own.

    Args:
        source: not opened yet; the thread opens, reads and closes it.
        stall_timeout_s: seconds without a frame after which the source counts as dead. It covers
            opening as well: a camera library may hang there too.
    """

    def __init__(self, source: Source, *, stall_timeout_s: float) -> None:
        self._source = source
        self._stall_timeout_s = stall_timeout_s
        self._changed = threading.Condition()
        self._slot: Frame | None = None
        self._error: BaseException | None = None
        self._stopping = False
        self._finished = False
        self._alive_s = time.monotonic()
        self._captured = 0
        self._overtaken = 0
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def __enter__(self) -> Self:
        self._alive_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def captured(self) -> int:
        """Frames that the source delivered."""
        return self._captured

    @property
    def overtaken(self) -> int:
        """Frames of a live source that nobody took before the next one came."""
        return self._overtaken

    @property
    def ended(self) -> bool:
        """Whether the source came to a good end and every frame of it was taken.

        Not so after a failure: then :meth:`next` raises it.
        """
        with self._changed:
            return self._finished and self._slot is None and self._error is None

    def next(self, timeout_s: float) -> Frame | None:
        """The newest frame of a live source, the next one of a file or folder.

        Args:
            timeout_s: how long to wait for one.

        Returns:
            None when no frame came in time or the source has ended; :attr:`ended` tells which.

        Raises:
            SourceError: the source failed. Frames that it delivered before come first.
            SourceStalledError: it hangs, or delivers nothing any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._slot is not None or self._finished, timeout_s)
            frame, self._slot = self._slot, None
            if frame is not None:
                # A file's thread was waiting for this; the clock for its next read starts now.
                self._alive_s = time.monotonic()
                self._changed.notify_all()
                return frame
            if self._error is not None:
                raise self._error
            silent_s = time.monotonic() - self._alive_s
            if not self._finished and silent_s >= self._stall_timeout_s:
                raise self._stalled(silent_s)
            return None

    def stop(self) -> None:
        """Ends the thread; returns within about a second even if the source hangs."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._source.interrupt()
        if not self._thread.is_alive():
            return
        self._thread.join(_STOP_TIMEOUT_S)
        if self._thread.is_alive():
            _log.warning("%s does not let go; leaving it behind", self._source.description)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            with self._source as source:
                while not self._stopping:
                    frame = source.read()
                    if frame is None:
                        break
                    self._offer(frame)
        except Exception as failure:  # noqa: BLE001 - travels to the consumer, bug or not
            error = failure
        with self._changed:
            self._error = error
            self._finished = True
            self._changed.notify_all()

    def _offer(self, frame: Frame) -> None:
        with self._changed:
            if self._source.live:
                self._overtaken += self._slot is not None
            else:
                self._changed.wait_for(lambda: self._slot is None or self._stopping)
                if self._stopping:
                    return
            self._slot = frame
            self._captured += 1
            self._alive_s = time.monotonic()
            self._changed.notify_all()

    def _stalled(self, silent_s: float) -> SourceStalledError:
        after = f"after {self._captured} frames" if self._captured else "since it was opened"
        trouble = self._source.trouble
        return SourceStalledError(
            f"no frame for {silent_s:.0f} s {after}" + (f" ({trouble})" if trouble else ""),
            where=self._source.description,
            hint="Check camera, cable, power and network; the process ends so that its service "
            "manager can start it afresh",
        )
