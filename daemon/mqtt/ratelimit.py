"""A token bucket: so many at once, and then so many a second. Pure, the time is handed in."""

from __future__ import annotations


class TokenBucket:
    """Lets through ``burst`` at once and one every ``every_s`` seconds after that.

    Args:
        burst: how many at once.
        every_s: seconds for one more.
    """

    def __init__(self, *, burst: int, every_s: float) -> None:
        self._burst = burst
        self._every_s = every_s
        self._tokens = float(burst)
        self._last_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether one more may pass now.

        Args:
            now_s: a clock that never goes back, seconds.
        """
        if self._last_s is not None:
            self._tokens = min(
                float(self._burst), self._tokens + (now_s - self._last_s) / self._every_s
            )
        self._last_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
