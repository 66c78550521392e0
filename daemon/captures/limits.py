"""Most pictures a minute, an hour, a day: sliding windows of bounded size that survive restarts.

Each window is counted in 60 slots. A picture counts as long as any part of its slot lies in the
window, so no window of that length, wherever it begins, ever holds more than its limit; the price
is that room comes back up to a 60th of the window late. Time is :mod:`daemon.captures.elapsed`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SLOTS = 60
"""Slots a window: 1 s of a minute, 1 min of an hour, 24 min of a day."""

WINDOWS_S: Mapping[str, float] = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}

Counts = Mapping[str, Mapping[int, int]]
"""Window name → slot number (elapsed seconds over the slot's length) → pictures."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What is allowed.

    Attributes:
        per_minute: most pictures in any minute.
        per_hour: most pictures in any hour.
        per_day: most pictures in any day.
        random_per_hour: expected pictures of the random share, for which room is kept free.
    """

    per_minute: int
    per_hour: int
    per_day: int
    random_per_hour: float

    def most(self, window: str) -> int:
        """The limit of a window."""
        return {"minute": self.per_minute, "hour": self.per_hour, "day": self.per_day}[window]

    def reserve(self, window: str) -> int:
        """Room in a window that only the random share may use.

        If busy hours used the limits up, random pictures would come from quiet hours alone, and
        an evaluation on them would be biased. Kept free are the mean of the Poisson count and two
        standard deviations, but never more than half of the limit.
        """
        mean = self.random_per_hour * WINDOWS_S[window] / 3600.0
        return min(math.ceil(mean + 2 * math.sqrt(mean)), self.most(window) // 2)


def empty() -> Counts:
    """No picture in any window."""
    return {window: {} for window in WINDOWS_S}


def full_window(counts: Counts, rates: Rates, now_s: float, *, privileged: bool) -> str | None:
    """The first window that has no room for one more picture; None if all have.

    Args:
        counts: pictures so far.
        rates: what is allowed.
        now_s: elapsed seconds.
        privileged: a random or requested picture, which may use the reserve.
    """
    for window, length_s in WINDOWS_S.items():
        first = _slot(window, now_s - length_s)
        used = sum(number for slot, number in counts[window].items() if slot >= first)
        if used >= rates.most(window) - (0 if privileged else rates.reserve(window)):
            return window
    return None


def charge(counts: Counts, now_s: float) -> Counts:
    """The counts with one picture more, and without slots that no window reaches any longer."""
    charged: dict[str, dict[int, int]] = {}
    for window, length_s in WINDOWS_S.items():
        first, slot = _slot(window, now_s - length_s), _slot(window, now_s)
        kept = {at: number for at, number in counts[window].items() if at >= first}
        charged[window] = kept | {slot: kept.get(slot, 0) + 1}
    return charged


def counted(elapsed_s: Iterable[float], now_s: float) -> Counts:
    """The counts as pictures taken at these elapsed seconds would have left them."""
    counts = empty()
    for at_s in sorted(elapsed_s):
        if now_s - at_s <= WINDOWS_S["day"]:
            counts = charge(counts, at_s)
    return counts


def _slot(window: str, at_s: float) -> int:
    return math.floor(at_s / (WINDOWS_S[window] / SLOTS))
