"""``python -m tests.support.struck_update STATE FAULT …``: the updater, which meets with a fault.

It happens in the step that follows a state: at the first effect on the store after the journal
said that the candidate had come to it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from updater import cli
from updater.store import serial
from updater.store import store as stores
from updater.store.disk import Disk, Effect
from updater.store.journal import JOURNAL_NAME
from updater.store.states import State


class Fault(StrEnum):
    """What happens there."""

    ERROR = "error"
    """The disk refuses the effect."""
    KILL_BEFORE = "kill-before"
    KILL_AFTER = "kill-after"


class StruckDisk(Disk):
    """Effects on real files, one of which does not go well."""

    state: State
    fault: Fault
    _armed = False
    _done = False

    @contextmanager
    def effect(self, effect: Effect, path: Path) -> Iterator[None]:
        struck = self._armed and not self._done
        if struck:
            self._done = True
            if self.fault is Fault.KILL_BEFORE:
                os.kill(os.getpid(), signal.SIGKILL)
        with super().effect(effect, path):
            if struck and self.fault is Fault.ERROR:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield
        if struck and self.fault is Fault.KILL_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        if effect is Effect.WRITE and path.name == JOURNAL_NAME:
            candidate = serial.from_json(path.read_bytes()).candidate
            self._armed = candidate is not None and candidate.state is self.state


def main() -> int:
    StruckDisk.state, StruckDisk.fault = State(sys.argv[1]), Fault(sys.argv[2])
    vars(stores)["Disk"] = StruckDisk
    return cli.main(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
