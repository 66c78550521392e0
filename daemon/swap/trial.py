"""One release on trial: the figures that the updater judges it by."""

from __future__ import annotations

from collections import deque

from daemon.detection.detections import Detections
from daemon.frames import Frame
from daemon.health import LATENCIES_KEPT, percentiles
from daemon.swap.predecessor import PredecessorLook
from updater.trial import Trial


class TrialRun:
    """Counts from the release's first frame on. Fed by the loop, read by any thread.

    Args:
        digest: of the release's manifest.
        error: why it could not be loaded; "" where it was, or is being.
    """

    def __init__(self, digest: str, *, error: str = "") -> None:
        self.digest = digest
        self.error = error
        self.look: PredecessorLook | None = None
        self._running = False
        self._previous_invoke_ms = 0.0
        self._processed = 0
        self._inferred = 0
        self._failed = 0
        self._first_s: float | None = None
        self._last_s = 0.0
        self._invoke_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)

    def begin(self, *, previous_invoke_ms: float) -> None:
        """The release runs from the next frame on.

        Args:
            previous_invoke_ms: median of the model before it; 0 if not known.
        """
        self._running = True
        self._previous_invoke_ms = previous_invoke_ms

    def give_up(self, reason: str) -> None:
        """The release cannot be loaded; one that runs already is judged by its figures alone."""
        if not self._running:
            self.error = reason

    def looked(
        self, frame: Frame, found: Detections | None, invoke_ms: float, now_s: float
    ) -> bool:
        """A frame was looked at.

        Args:
            frame: the frame.
            found: on it; None if inference was spared.
            invoke_ms: of the model.
            now_s: monotonic time.

        Returns:
            Whether the predecessor has something to look at now.
        """
        if not self._running:
            return False
        if self._first_s is None:
            self._first_s = now_s
        self._last_s = now_s
        self._processed += 1
        if found is not None:
            self._inferred += 1
            self._invoke_ms.append(invoke_ms)
        return self.look is not None and self.look.offer(frame, found, now_s)

    def failed(self) -> None:
        """A frame could not be looked at."""
        self._failed += self._running

    @property
    def healthy_s(self) -> float:
        """From the first frame to the newest: a camera that has stopped proves nothing."""
        return 0.0 if self._first_s is None else self._last_s - self._first_s

    def report(self) -> Trial:
        """The figures so far."""
        look = self.look
        return Trial(
            digest=self.digest,
            running=self._running,
            healthy_s=self.healthy_s,
            processed=self._processed,
            inferred=self._inferred,
            failed=self._failed,
            invoke_p50_ms=percentiles(self._invoke_ms).p50,
            # After a restart only the comparison can tell it.
            previous_invoke_p50_ms=self._previous_invoke_ms or (look.invoke_ms if look else 0.0),
            comparison=look.report() if look else None,
            error=self.error,
        )
