"""How fast a download may be, and how slow: pure bookkeeping, told the time by its caller."""

from __future__ import annotations


class TokenBucket:
    """Caps the mean rate.

    Args:
        rate_bytes_per_s: the cap; 0 for none.
        now_s: the time at which it is full.
        burst_bytes: bytes that may come at once after a pause; None for those of one second.
    """

    def __init__(
        self, rate_bytes_per_s: float, now_s: float, *, burst_bytes: float | None = None
    ) -> None:
        self._rate = rate_bytes_per_s
        self._burst = rate_bytes_per_s if burst_bytes is None else burst_bytes
        self._tokens = self._burst
        self._at_s = now_s

    def take(self, count: int, now_s: float) -> float:
        """Accounts for bytes that have come.

        Returns:
            Seconds to wait before more are read; 0 for none. In any interval of t seconds at most
            ``burst + rate * t`` bytes pass, and the last portion.
        """
        if self._rate <= 0:
            return 0.0
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate) - count
        self._at_s = now_s
        return max(0.0, -self._tokens / self._rate)


class StallWatch:
    """Notices a connection that lives but hardly delivers (a trickle keeps a read time-out quiet).

    The time is cut into windows; a window with too little in it is a stall. So a stall is noticed
    within two windows, and a burst before it does not hide it for longer.

    Args:
        least_bytes_per_s: slowest mean rate in a window; 0 for any.
        window_s: length of a window.
        now_s: when the first one begins.
    """

    def __init__(self, least_bytes_per_s: float, window_s: float, now_s: float) -> None:
        self._least_bytes = least_bytes_per_s * window_s
        self._window_s = window_s
        self._began_s = now_s
        self._bytes = 0

    def stalled(self, count: int, now_s: float) -> bool:
        """Accounts for bytes that have come, and says whether the window just over was a stall."""
        self._bytes += count
        if now_s - self._began_s < self._window_s:
            return False
        # A read may return long after the window's end: the mean over what really passed counts.
        stalled = self._bytes < self._least_bytes * (now_s - self._began_s) / self._window_s
        self._began_s = now_s
        self._bytes = 0
        return stalled
