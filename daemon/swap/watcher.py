"""Sees that another model became current, or that the verdict on it fell.

The kernel tells at once (inotify); since it may run out of watches, or the folder be replaced as a
whole, a look every :data:`POLL_EVERY_S` is the net below.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from updater.store.journal import JOURNAL_NAME

POLL_EVERY_S: Final = 2.0

Fingerprint = tuple[tuple[int, int, int], tuple[int, int, int]]

_CHANGES = frozenset({"created", "deleted", "modified", "moved"})
"""Of a link or file. The others say that somebody reads, which is mostly ourselves."""

_log = logging.getLogger(__name__)


def fingerprint(link: Path) -> Fingerprint:
    """What differs when the link, or the journal beside it, is another than before.

    Args:
        link: the store's ``current``.
    """
    return _identity(link), _identity(link.parent / JOURNAL_NAME)


def _identity(path: Path) -> tuple[int, int, int]:
    """Inode, time of change and size; zeros where nothing is. Both files are only ever replaced."""
    try:
        found = path.lstat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_ctime_ns, found.st_size


class LinkWatcher:
    """Calls back when something about the link may have changed.

    Args:
        link: the store's ``current``.
        wake: called from a thread of the watcher's; must return at once.
    """

    def __init__(self, link: Path, wake: Callable[[], None]) -> None:
        self._observer = Observer()
        self._handler = _Handler({link.name, JOURNAL_NAME}, wake)
        self._folder = link.parent
        self._watching = False

    def start(self) -> None:
        """Begins; where the kernel refuses, says so and leaves the work to the poll."""
        try:
            self._observer.schedule(self._handler, str(self._folder))
            self._observer.start()
        except OSError as error:
            _log.warning(
                "%s cannot be watched (%s); looking every %g s", self._folder, error, POLL_EVERY_S
            )
        else:
            self._watching = True

    def stop(self) -> None:
        """Ends."""
        if self._watching:
            self._watching = False
            self._observer.stop()
            self._observer.join()


class _Handler(FileSystemEventHandler):
    def __init__(self, names: set[str], wake: Callable[[], None]) -> None:
        self._names = names
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in _CHANGES:
            return
        paths = (event.src_path, getattr(event, "dest_path", ""))
        if any(Path(os.fsdecode(path)).name in self._names for path in paths):
            self._wake()
