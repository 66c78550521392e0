"""Ids of violations: sorted by time, and never the same twice whatever the clock says."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable

_RANDOM_BITS = 62
_COUNTER_BITS = 12


class EventIds:
    """Makes UUIDs of version 7 (RFC 9562, section 5.7; the counter is its method 1).

    48 bits of milliseconds since 1970 make ids sort by time; 62 random bits make them unique on
    every device and after every restart, also where the clock is wrong at boot or set back. Within
    one process ids always rise: while the clock stands or goes back, the 12-bit counter goes on,
    and past its end the milliseconds are counted up.

    Args:
        unix_time_s: the wall clock.
        random_bits: a source of random bits.
    """

    def __init__(
        self,
        unix_time_s: Callable[[], float] = time.time,
        random_bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._unix_time_s = unix_time_s
        self._random_bits = random_bits
        self._last_ms = -1
        self._counter = 0

    def __call__(self) -> str:
        """The next id, in the usual form with hyphens."""
        now_ms = max(0, int(self._unix_time_s() * 1000)) & (2**48 - 1)
        if now_ms > self._last_ms:
            self._last_ms, self._counter = now_ms, 0
        elif self._counter + 1 < 2**_COUNTER_BITS:
            self._counter += 1
        else:
            self._last_ms, self._counter = self._last_ms + 1, 0
        bits = self._last_ms << 80 | 0x7 << 76 | self._counter << 64 | 0b10 << 62
        return str(uuid.UUID(int=bits | self._random_bits(_RANDOM_BITS)))
