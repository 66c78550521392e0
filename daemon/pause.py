"""Whether a command has paused the alerts, and for how long still."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pause:
    """A pause that ends by itself.

    Args:
        now_s: a clock that never goes back, so that a corrected wall clock moves no pause.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._until_s = float("-inf")

    def begin(self, duration_s: float) -> None:
        """Pauses from now; replaces a pause that runs."""
        self._until_s = self._now_s() + duration_s

    def end(self) -> None:
        """Ends it at once."""
        self._until_s = float("-inf")

    @property
    def left_s(self) -> float | None:
        """Seconds until it ends; None when nothing is paused."""
        left_s = self._until_s - self._now_s()
        return left_s if left_s > 0 else None
