"""Clock, sleep and dice in one place, so that tests bring their own; and a limit of calls."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timing:
    """How time passes.

    Attributes:
        monotonic_s: seconds of a clock that only goes forward.
        sleep: waits so many seconds.
        random: draws from 0 to 1.
    """

    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


@dataclass(slots=True)
class RateLimit:
    """At most so many calls in any window of time.

    Attributes:
        calls: at most; 0: any number.
        window_s: in so many seconds.
        timing: clock and sleep.
    """

    calls: int
    window_s: float = 60.0
    timing: Timing = field(default_factory=Timing)
    _made_s: deque[float] = field(default_factory=deque, init=False)

    def wait(self) -> None:
        """Returns when the next call may be made, and counts it."""
        if not self.calls:
            return
        if len(self._made_s) == self.calls:
            left_s = self._made_s[0] + self.window_s - self.timing.monotonic_s()
            if left_s > 0:
                self.timing.sleep(left_s)
            self._made_s.popleft()
        self._made_s.append(self.timing.monotonic_s())
