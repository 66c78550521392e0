"""A machine that is taken away: stop between two steps, keep the state, say so.

Cloud providers give a spot machine two minutes or so. Valohai passes that on as an interrupt
(https://docs.valohai.com/executions/advanced-features/spot-instances), others as SIGTERM.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from updater.errors import SitewatchError

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class PreemptedError(SitewatchError):
    """A run was stopped from outside, its state is kept, and ``--resume`` goes on from there.

    The exit code is ``EX_TEMPFAIL`` of BSD's ``sysexits.h``: try again.
    """

    exit_code = 75


class Interruption:
    """Whether somebody asked this process to stop."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, number: int, _frame: FrameType | None) -> None:
        """Signal handler; a second interrupt by an impatient person stops at once."""
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def heeded() -> Iterator[Interruption]:
    """SIGTERM and SIGINT become a request, inside; only a main thread can hear them."""
    found = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    before = {number: signal.signal(number, found.request) for number in SIGNALS}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_to_parent(_worker: int) -> None:
    """In a loader's process: the signal goes to the whole group, and the parent still needs it.

    It ends with its parent all the same (torch's loaders watch for that).
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
