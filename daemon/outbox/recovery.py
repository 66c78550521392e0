"""Opens the outbox's file, and begins a new one where the old is damaged, saving what can be."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.outbox.store import (
    SELECT_MESSAGE,
    DamagedStoreError,
    Message,
    MessageStore,
    read_message,
)
from updater.errors import StorageError

KEPT_ASIDE = 2
"""Damaged files kept for a person to look at; older ones go, the SD card is small."""

_SIDE_FILES = ("-wal", "-shm", "-journal")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done about a damaged file.

    Attributes:
        reason: what was wrong.
        moved_to: where the damaged file lies now.
        rescued: messages that were read from it and wait in the new file.
    """

    reason: str
    moved_to: Path
    rescued: int

    def __str__(self) -> str:
        return (
            f"{self.reason}; moved to {self.moved_to}, a new outbox begun, "
            f"{self.rescued} messages rescued"
        )


def open_store(path: Path) -> tuple[MessageStore, Recovery | None]:
    """Opens a file of messages; a damaged one is moved aside and a new one begun.

    Args:
        path: the file; its folder is made if absent.

    Returns:
        The store, and what was done if the file was damaged.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        is_new = not path.exists()
        _create(path)
    except OSError as error:
        raise StorageError(f"cannot be made: {error.strerror}", where=str(path)) from error
    try:
        store = MessageStore(path)
    except DamagedStoreError as error:
        return begin_anew(path, str(error))
    if is_new:
        _sync_folder(path.parent)
    return store, None


def begin_anew(path: Path, reason: str) -> tuple[MessageStore, Recovery]:
    """Moves a damaged file aside, begins a new one and saves into it what can be read.

    Raises:
        StorageError: the disk refuses.
    """
    aside = _move_aside(path)
    try:
        _create(path)
    except OSError as error:
        raise StorageError(f"cannot be made: {error.strerror}", where=str(path)) from error
    store = MessageStore(path)
    _sync_folder(path.parent)
    rescued = 0
    for message in _rescue(aside):
        store.put((message,), drop=(), counters={})
        rescued += 1
    for name, value in _rescue_counters(aside).items():
        store.put((), drop=(), counters={name: value})
    recovery = Recovery(reason, aside, rescued)
    _log.error("%s", recovery)
    return store, recovery


def _create(path: Path) -> None:
    """Makes an empty file, which SQLite takes for a new database: pictures of people are in it, so
    others may not read it, and SQLite gives its log the same mode."""  # noqa: D205, D209
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))


def _move_aside(path: Path) -> Path:
    pattern = re.compile(re.escape(path.name) + r"\.damaged-(\d{1,9})")
    try:
        numbers = sorted(
            int(match[1])
            for each in path.parent.iterdir()
            if (match := pattern.fullmatch(each.name))
        )
        for number in numbers[: max(0, len(numbers) + 1 - KEPT_ASIDE)]:
            old = path.with_name(f"{path.name}.damaged-{number}")
            _log.warning("%s: deleted, newer damaged outboxes are kept", old)
            for suffix in ("", *_SIDE_FILES):
                old.with_name(old.name + suffix).unlink(missing_ok=True)
        # A counter, not a date: the clock may be wrong.
        aside = path.with_name(f"{path.name}.damaged-{numbers[-1] + 1 if numbers else 1}")
        for suffix in _SIDE_FILES:  # before the file itself: they mean nothing without it
            side = path.with_name(path.name + suffix)
            if side.exists():
                side.rename(aside.with_name(aside.name + suffix))
        path.rename(aside)
    except OSError as error:
        raise StorageError(
            f"is damaged and cannot be moved aside: {error.strerror}", where=str(path)
        ) from error
    _sync_folder(path.parent)
    return aside


def _rescue(aside: Path) -> Iterator[Message]:
    """The whole messages of a damaged file, from the oldest on as far as it can be read, then
    from the newest back: damage is mostly one page in the middle."""  # noqa: D205, D209
    seen: set[int] = set()
    for order in ("ASC", "DESC"):
        with contextlib.closing(sqlite3.connect(aside, isolation_level=None)) as db:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            try:
                for row in db.execute(f"{SELECT_MESSAGE} ORDER BY position {order}"):
                    message = read_message(row)
                    if isinstance(message, Message) and message.position not in seen:
                        seen.add(message.position)
                        yield message
            except sqlite3.Error as error:
                _log.warning("%s: read %s as far as %s", aside, order, error)


def _rescue_counters(aside: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(aside)) as db:
        try:
            return {
                name: value
                for name, value in db.execute("SELECT name, value FROM counter")
                if isinstance(name, str) and isinstance(value, int) and value >= 0
            }
        except sqlite3.Error as error:
            _log.warning("%s: its counters are lost: %s", aside, error)
            return {}


def _sync_folder(folder: Path) -> None:
    """Makes new and renamed names in a folder outlive a power cut."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"cannot be synced: {error.strerror}", where=str(folder)) from error
