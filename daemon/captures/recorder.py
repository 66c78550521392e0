"""Keeps pictures beside the loop: encoding and disk run on a thread of their own.

An SD card may take half a second for an fsync; the loop must not wait for it. Two pictures may wait
for the disk, a third is refused and counted: memory stays bounded however slow the card is.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from daemon.captures.buffer import CaptureBuffer, Counts, Refusal
from daemon.captures.selection import CaptureDecision, CaptureSelector
from daemon.config import CapturesConfig
from daemon.frames import RgbImage
from updater.errors import SitewatchError

WAITING_MAX: Final = 2
MAINTAIN_EVERY_S = 60.0

Encode = Callable[[RgbImage], bytes]

_log = logging.getLogger(__name__)


class CaptureRecorder:
    """Stores what the selector chose, on its own thread.

    Args:
        selector: is told what was kept; used by the caller's thread alone.
        buffer: used by the recorder's thread, but for its quick refusals.
        encode: turns an RGB picture into a JPEG file.
    """

    def __init__(self, selector: CaptureSelector, buffer: CaptureBuffer, encode: Encode) -> None:
        self._selector = selector
        self._buffer = buffer
        self._encode = encode
        self._waiting: queue.Queue[CaptureDecision | None] = queue.Queue(WAITING_MAX)
        self._not_kept: queue.SimpleQueue[CaptureDecision] = queue.SimpleQueue()
        self._refused: Counter[str] = Counter()
        self._failed = 0
        self._last_error = ""
        self._thread = threading.Thread(target=self._run, name="captures", daemon=True)
        selector.recall(buffer.recent())

    def configure(self, config: CapturesConfig) -> None:
        """Takes over changed limits."""
        self._buffer.configure(config)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def offer(self, decision: CaptureDecision) -> bool:
        """Hands over a picture; returns at once.

        Returns:
            Whether it was taken; if not, the reason is counted.
        """
        while not self._not_kept.empty():
            self._selector.forget(self._not_kept.get())
        if self._buffer.refusal(decision) is not None:
            return False
        try:
            self._waiting.put_nowait(decision)
        except queue.Full:
            self._refused[Refusal.TOO_SLOW] += 1
            return False
        self._selector.remember(decision)
        return True

    def stop(self, timeout_s: float) -> bool:
        """Stores what waits and ends the thread.

        Args:
            timeout_s: how long to wait for the disk.

        Returns:
            Whether everything was stored in time.
        """
        if not self._thread.is_alive():
            return True
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def counts(self) -> Counts:
        """What is kept and what was done."""
        counts = self._buffer.counts()
        return replace(counts, failed=self._failed, refused=counts.refused | self._refused)

    @property
    def last_error(self) -> str:
        """The newest failure in words; empty if there was none."""
        return self._last_error

    def _run(self) -> None:
        while True:
            try:
                decision = self._waiting.get(timeout=MAINTAIN_EVERY_S)
            except queue.Empty:
                self._guarded(self._buffer.maintain)
                continue
            if decision is None:
                return
            if not self._guarded(functools.partial(self._store, decision)):
                self._not_kept.put(decision)

    def _store(self, decision: CaptureDecision) -> bool:
        jpeg = self._encode(decision.frame.picture.rgb())
        return self._buffer.store(decision, jpeg).name is not None

    def _guarded(self, work: Callable[[], bool | None]) -> bool:
        """Does it; a failure is counted and logged, and detection goes on."""
        try:
            return bool(work())
        except SitewatchError as error:
            self._failed += 1
            self._last_error = str(error)
            _log.error("a picture is not kept: %s", error)
            return False
