"""What the demonstration says: a line a step, with the time, and a table at the end."""

from __future__ import annotations

import resource
import time
from typing import ClassVar

from updater.errors import SitewatchError


class NotShownError(SitewatchError):
    """Something that the demonstration promises did not happen."""

    exit_code: ClassVar[int] = 1


class Narrator:
    """Prints what happens, as it happens."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._steps = 0

    @property
    def elapsed_s(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._started_s

    def step(self, title: str) -> None:
        """A new step begins."""
        self._steps += 1
        self._print(f"{self._steps:2}. {title}")

    def tell(self, text: str) -> None:
        """Something happened in this step."""
        self._print(f"    {text}")

    def check(self, held: bool, what: str) -> None:
        """Something that must hold.

        Args:
            held: whether it does.
            what: said when it holds, and when it does not.

        Raises:
            NotShownError: it does not.
        """
        if not held:
            raise NotShownError(f"does not hold: {what}", where=f"step {self._steps}")
        self._print(f"    ok: {what}")

    def _print(self, text: str) -> None:
        print(f"{self.elapsed_s:6.1f} s  {text}", flush=True)


def cpu_s() -> float:
    """Of this process and of all those it started that have ended, seconds."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
