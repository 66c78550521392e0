"""The messages of the outbox in SQLite: one file, or in memory where no file can be written.

Write-ahead log, chosen for the SD card: a commit appends to one file and syncs it once, where the
rollback journal writes each page twice and syncs two files and a folder. What is put is synced
before the call returns (``synchronous=FULL``), so it outlives a power cut. What is deleted after
the broker's acknowledgement is not (``NORMAL``): a power cut may bring it back, and the broker
gets it once more, which QoS 1 allows. See https://sqlite.org/wal.html and
https://sqlite.org/pragma.html#pragma_synchronous.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from daemon.outbox.policy import Entry
from updater.errors import StorageError

PARTS = 2
"""An event has two places in the order: 0 for itself, 1 for its snapshot."""

ROW_OVERHEAD_BYTES = 100
"""Counted for each message beside topic and payload: the other columns, the index, the page."""

CACHE_BYTES = 524_288
CHECKPOINT_BYTES = 2_000_000
"""Written to the log before it is copied into the database; a few alerts with snapshots."""

SCHEMA_VERSION = 1
APPLICATION_ID = 0x53574F42  # "SWOB", shown by file(1)

_SCHEMA = f"""
    CREATE TABLE message (
        position INTEGER PRIMARY KEY,
        expendable INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        crc32 INTEGER NOT NULL,
        topic TEXT NOT NULL,
        payload BLOB NOT NULL
    );
    CREATE INDEX message_value ON message (expendable, position, size_bytes);
    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {SCHEMA_VERSION};
"""

SELECT_MESSAGE = "SELECT position, CAST(topic AS BLOB), payload, expendable, crc32 FROM message"
"""Rows for :func:`read_message`."""

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class DamagedStoreError(StorageError):
    """The file is no database, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message that waits.

    Attributes:
        position: its place in the order, never given twice.
        topic: where it goes.
        payload: what it says.
        expendable: whether it belongs to an ``update``.
    """

    position: int
    topic: str
    payload: bytes
    expendable: bool

    @property
    def sequence(self) -> int:
        """Number of the event that it belongs to."""
        return self.position // PARTS

    @property
    def is_snapshot(self) -> bool:
        """Whether it is the picture of an event."""
        return self.position % PARTS == 1

    @property
    def size_bytes(self) -> int:
        """What it counts for in the limits."""
        return len(self.topic.encode()) + len(self.payload) + ROW_OVERHEAD_BYTES

    @property
    def crc32(self) -> int:
        """Check over topic and payload: SQLite has none of its own, SD cards rot."""
        return zlib.crc32(self.payload, zlib.crc32(self.topic.encode()))


class MessageStore:
    """One database of messages. Not thread-safe: :class:`daemon.outbox.Outbox` locks around it.

    Args:
        path: the file, made if absent; None keeps everything in memory.

    Raises:
        DamagedStoreError: the file is not a whole database of ours; from every method too.
        StorageError: the disk refuses; from every method too.
    """

    def __init__(self, path: Path | None) -> None:
        self.where = "memory" if path is None else str(path)
        self.messages = 0
        self.size_bytes = 0
        self._log_bytes = 0
        with self._wrapped():
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
            )
        try:
            with self._wrapped():
                self._prepare()
        except StorageError:
            self._db.close()
            raise

    def close(self) -> None:
        """Closes the file; SQLite then folds its log into it."""
        with self._wrapped():
            self._db.close()

    def put(
        self,
        messages: Sequence[Message],
        *,
        drop: Iterable[int],
        counters: Mapping[str, int],
    ) -> None:
        """Stores messages and drops entries in one transaction, synced when it returns.

        Args:
            messages: what to store.
            drop: sequences of the entries to drop.
            counters: counters to set, by name.
        """
        gone: list[int] = []
        with self._transaction(synced=True):
            for sequence in drop:
                gone += self._delete_between(sequence * PARTS, sequence * PARTS + PARTS)
            for message in messages:
                self._db.execute(
                    "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        message.position,
                        message.expendable,
                        message.size_bytes,
                        message.crc32,
                        message.topic,
                        message.payload,
                    ),
                )
            self._set_counters(counters)
        added_bytes = sum(message.size_bytes for message in messages)
        self.messages += len(messages) - len(gone)
        self.size_bytes += added_bytes - sum(gone)
        self._log_bytes += added_bytes
        if self._log_bytes > 2 * CHECKPOINT_BYTES:  # nobody called checkpoint() meanwhile
            self.checkpoint()

    def delete(self, positions: Iterable[int], counters: Mapping[str, int] | None = None) -> None:
        """Deletes messages; not synced, so a power cut may bring them back."""
        gone: list[int] = []
        with self._transaction(synced=False):
            for position in positions:
                gone += self._delete_between(position, position + 1)
            self._set_counters(counters or {})
        self.messages -= len(gone)
        self.size_bytes -= sum(gone)

    def after(self, position: int) -> Generator[Message | int, None, None]:
        """The messages after a position, oldest first, read one by one.

        A message whose check does not hold comes as its bare position. The store must not be
        changed before the iterator is closed or exhausted.
        """
        with self._wrapped():
            cursor = self._db.execute(
                f"{SELECT_MESSAGE} WHERE position > ? ORDER BY position", (position,)
            )
        try:
            for row in self._rows(cursor):
                yield read_message(row)
        finally:
            cursor.close()

    def entries(self, *, expendable: bool) -> Generator[Entry, None, None]:
        """The updates, or the others, oldest first, read one by one; as for :meth:`after`."""
        with self._wrapped():
            cursor = self._db.execute(
                "SELECT position, size_bytes FROM message WHERE expendable = ? ORDER BY position",
                (expendable,),
            )
        try:
            for sequence, rows in groupby(self._rows(cursor), lambda row: int(row[0]) // PARTS):
                sizes = [int(row[1]) for row in rows]
                yield Entry(sequence, expendable, messages=len(sizes), size_bytes=sum(sizes))
        finally:
            cursor.close()

    def counters(self) -> dict[str, int]:
        """Every counter by name."""
        with self._wrapped():
            return dict(self._db.execute("SELECT name, value FROM counter"))

    def note(self, name: str) -> str:
        """A text kept by :meth:`keep_note`, ``""`` if there is none."""
        with self._wrapped():
            row = self._db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    def keep_note(self, name: str, value: str) -> None:
        """Keeps a text across restarts, synced when it returns."""
        with self._transaction(synced=True):
            self._db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value))

    def checkpoint(self, at_least_bytes: int = 0) -> None:
        """Copies the log into the database if it holds this much, so that it stays small."""
        if self._log_bytes >= max(at_least_bytes, 1):
            with self._wrapped():
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._log_bytes = 0

    def _prepare(self) -> None:
        # Exclusive: we hold the only connection, so SQLite needs no shared-memory file beside it.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_BYTES // 1024}")
        self._db.execute("PRAGMA temp_store = MEMORY")
        # Checkpoints are asked for when nobody waits for a commit; see checkpoint().
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        self._db.execute(f"PRAGMA journal_size_limit = {2 * CHECKPOINT_BYTES}")
        self._db.execute("PRAGMA journal_mode = WAL").fetchall()
        self._db.execute("PRAGMA synchronous = FULL")
        (application_id,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if (application_id, version) == (0, 0):
            tables = self._db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
            if tables:
                raise DamagedStoreError("is a database of another program", where=self.where)
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        elif (application_id, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise DamagedStoreError(f"has the unknown format {version}", where=self.where)
        else:
            (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise DamagedStoreError(f"is damaged: {verdict}", where=self.where)
        self.messages, self.size_bytes = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM message"
        ).fetchone()

    def _rows(self, cursor: sqlite3.Cursor) -> Iterator[Any]:
        while True:
            with self._wrapped():
                row = cursor.fetchone()
            if row is None:
                return
            yield row

    def _delete_between(self, first: int, end: int) -> list[int]:
        """Deletes positions from ``first`` to before ``end``; the sizes of what was there."""
        rows = self._db.execute(
            "DELETE FROM message WHERE position >= ? AND position < ? RETURNING size_bytes",
            (first, end),
        )
        return [size_bytes for (size_bytes,) in rows.fetchall()]

    def _set_counters(self, counters: Mapping[str, int]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?)", counters.items())

    @contextmanager
    def _transaction(self, *, synced: bool) -> Iterator[None]:
        with self._wrapped():
            self._db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself has rolled back when the disk is full
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)  # absent from errors of the module itself
            if code & 0xFF in _DAMAGED:
                raise DamagedStoreError(f"is damaged: {error}", where=self.where) from error
            raise StorageError(
                f"cannot be used: {error}",
                where=self.where,
                hint="Is the disk full or read-only, or does another user own the file?",
            ) from error


def read_message(row: tuple[Any, ...]) -> Message | int:
    """A message from its row, or its bare position where the check does not hold."""
    position, topic, payload, expendable, crc32 = row
    if not (isinstance(topic, bytes) and isinstance(payload, bytes)):
        return int(position)  # a damaged page can turn up with any type
    if zlib.crc32(payload, zlib.crc32(topic)) != crc32:
        return int(position)
    return Message(position, topic.decode(), payload, bool(expendable))
