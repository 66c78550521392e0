"""The store's effects on real files, one of which fails or is the last thing a process does."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from updater.store.disk import Disk, Effect
from updater.store.layout import NEW_LINK_NAME


class Fault(StrEnum):
    """What happens at one effect."""

    EIO = "EIO"
    ENOSPC = "ENOSPC"
    EROFS = "EROFS"
    LATE_EIO = "EIO at the last sync"
    """The effect is done, and then reported as failed."""
    KILL_BEFORE = "kill before"
    KILL_WITHIN = "kill within"
    """Half of it is done: half a file, half a folder, or the new link beside the old one."""
    KILL_AFTER = "kill after"


KILLS = frozenset({Fault.KILL_BEFORE, Fault.KILL_WITHIN, Fault.KILL_AFTER})
_NUMBERS = {Fault.EIO: errno.EIO, Fault.ENOSPC: errno.ENOSPC, Fault.EROFS: errno.EROFS}


class KilledError(BaseException):
    """The process is gone: nothing catches it, and nothing is done afterwards."""


class FaultyDisk(Disk):
    """Effects that are counted, and one that goes wrong.

    Args:
        at: the number of that effect, from 0; -1 for none.
        fault: what happens there.
    """

    def __init__(self, at: int = -1, fault: Fault = Fault.KILL_BEFORE) -> None:
        self.trace: list[tuple[Effect, Path]] = []
        self._at = at
        self._fault = fault
        self._dead = False

    @property
    def struck(self) -> bool:
        """Whether it came to the effect in question."""
        return 0 <= self._at < len(self.trace)

    @contextmanager
    def effect(self, effect: Effect, path: Path) -> Iterator[None]:
        if self._dead:
            raise KilledError
        here = len(self.trace) == self._at
        self.trace.append((effect, path))
        if not here:
            with super().effect(effect, path):
                yield
            return
        if self._fault is Fault.KILL_WITHIN:
            _do_half(effect, path)
        if self._fault in {Fault.KILL_BEFORE, Fault.KILL_WITHIN}:
            self._die()
        with super().effect(effect, path):
            if self._fault in _NUMBERS:
                raise _error(_NUMBERS[self._fault])
            yield
            if self._fault is Fault.LATE_EIO:
                raise _error(errno.EIO)
        if self._fault is Fault.KILL_AFTER:
            self._die()

    def _die(self) -> None:
        self._dead = True
        raise KilledError


def _do_half(effect: Effect, path: Path) -> None:
    """What a kill in the middle leaves; the other effects are one call to the kernel."""
    match effect:
        case Effect.WRITE:
            path.with_name(f".{path.name}.half").write_bytes(b"{")
        case Effect.POINT:
            path.with_name(NEW_LINK_NAME).symlink_to("nowhere")
        case Effect.DELETE if path.is_dir():
            for file in [each for each in path.rglob("*") if each.is_file()][:1]:
                file.unlink()


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
