"""The outbox: alerts on disk, in order, until the broker has them.

What goes in is on disk before :meth:`Outbox.put` returns, and is deleted only after the broker's
acknowledgement. Order is that of an own sequence, never of a clock. It is bounded; what it gives
up, and in which order, is in :mod:`daemon.outbox.policy`. A disk that refuses does not stop an
alert: it is then kept in memory, in the same order, and moves to disk when that works again.
"""

from __future__ import annotations

import heapq
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar, cast

from daemon.config import OutboxConfig
from daemon.outbox.policy import Entry, Limits, Plan, make_room
from daemon.outbox.recovery import Recovery, begin_anew, open_store
from daemon.outbox.sequence import SequenceCounter, SequenceFile
from daemon.outbox.stats import COUNTERS, OutboxStats
from daemon.outbox.store import (
    CHECKPOINT_BYTES,
    PARTS,
    DamagedStoreError,
    Message,
    MessageStore,
)
from updater.errors import StorageError
from updater.process_lock import LockedError, ProcessLock

SPARE_LIMITS = Limits(max_messages=500, max_bytes=8_000_000)
"""What is kept in memory while the disk refuses; the whole process has 160 MB."""

FREE_FLOOR_BYTES = 8_000_000
"""With less free on the disk nothing new is written: the rest is needed to note what was delivered
and to fold the log into the database, and a log that cannot even do that repeats old alerts."""

RETRY_S = 10.0
"""Between two tries to write what is in memory to a disk that refuses; a dying card may take
seconds to say no, and an alert waits meanwhile."""

_SEQUENCE = "sequence"
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before it has a place in the order.

    Attributes:
        topic: where it goes.
        payload: what it says.
    """

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an event that was put.

    Attributes:
        sequence: its number.
        kept: whether it waits in the outbox; False if it was dropped at once because the outbox
            is full of what matters more.
        durable: whether it is on disk.
    """

    sequence: int
    kept: bool
    durable: bool


class Outbox:
    """The queue between the rules and the broker; one process owns it, any thread may use it.

    Args:
        config: where it lies and how much it holds.
        monotonic_s: a clock that never goes back, seconds; only for the pace of tries.

    Raises:
        StorageError: another process has it open. A disk that refuses raises nothing here: the
            outbox then works in memory, says so in :meth:`stats`, and tries again with each put.
    """

    def __init__(
        self, config: OutboxConfig, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = config.path
        self._monotonic_s = monotonic_s
        self._limits = Limits(config.max_rows, config.max_bytes)
        self._mutex = threading.Lock()
        self._spare = MessageStore(None)
        self._disk: MessageStore | None = None
        self._done: set[int] = set()  # acknowledged, but the disk refused to delete them
        self._counts = dict.fromkeys(COUNTERS, 0)
        self._last_error = ""
        self._recovery: Recovery | None = None
        self._closed = False
        self._retry_at_s = float("-inf")
        self._say_at = 1
        self._open_error = StorageError("is not open", where=str(config.path))
        self._lock = self._make_lock()
        self._sequence = SequenceCounter(
            SequenceFile(config.path.with_name(config.path.name + ".sequence"))
        )
        if self._on_disk(lambda store: True) is None:
            self._sequence.resume_blind()

    def put(self, make: Callable[[int], Sequence[Draft]], *, expendable: bool) -> Receipt:
        """Stores an event; on disk when this returns, where the disk allows it.

        Args:
            make: makes the event's message and, if it has one, its snapshot from its number.
            expendable: whether it is an ``update``, which goes first when the outbox is full.

        Raises:
            StorageError: the outbox is closed.
        """
        with self._mutex:
            self._check_open()
            sequence = self._sequence.take()
            messages = tuple(
                Message(sequence * PARTS + part, draft.topic, draft.payload, expendable)
                for part, draft in enumerate(make(sequence))
            )
            if not 0 < len(messages) <= PARTS:
                raise ValueError(f"an event has 1 to {PARTS} messages, not {len(messages)}")
            kept = self._on_disk(lambda store: self._put_on_disk(store, messages))
            if kept is not None:
                self._last_error = ""
                return Receipt(sequence, kept=kept, durable=kept)
            self._sequence.unsaved(sequence)
            kept = self._put(self._spare, SPARE_LIMITS, messages)
            return Receipt(sequence, kept=kept, durable=False)

    def after(self, position: int, *, max_messages: int, max_bytes: int) -> tuple[Message, ...]:
        """The oldest messages after a position, in order.

        Args:
            position: 0 for the very oldest.
            max_messages: most messages returned.
            max_bytes: most bytes returned, but at least one message if there is one.
        """
        with self._mutex:
            self._check_open()
            read = self._on_disk(lambda store: self._read(store, position, max_messages, max_bytes))
            on_disk, damaged = ([], []) if read is None else read
            in_memory, _ = self._read(self._spare, position, max_messages, max_bytes)
            if damaged:
                _log.error("%s: %d messages are damaged and given up", self._path, len(damaged))
                self._remove(damaged, "damaged")
            merged = heapq.merge(on_disk, in_memory, key=lambda message: message.position)
            return tuple(_first(merged, max_messages, max_bytes))

    def delete(self, positions: Iterable[int]) -> None:
        """Deletes what the broker has acknowledged."""
        with self._mutex:
            self._check_open()
            self._remove(tuple(positions), None)

    def give_up(self, position: int) -> None:
        """Deletes a message that the broker will not take, and counts it."""
        with self._mutex:
            self._check_open()
            self._remove((position,), "undeliverable")

    def maintain(self) -> None:
        """Does what can wait; to be called when nothing else is to be done."""
        with self._mutex:
            if self._closed:
                return
            behind = bool(self._done or self._spare.messages)
            if behind and (self._disk is None or self._may_retry()):  # opening has its own pace
                self._on_disk(self._catch_up)
            if self._disk is not None:
                self._on_disk(lambda store: store.checkpoint(CHECKPOINT_BYTES))

    def note(self, name: str) -> str:
        """A text kept by :meth:`keep_note`, ``""`` if there is none or it cannot be read."""
        with self._mutex:
            self._check_open()
            return self._spare.note(name) or self._on_disk(lambda store: store.note(name)) or ""

    def keep_note(self, name: str, value: str) -> None:
        """Keeps a text across restarts, where the disk allows it."""
        with self._mutex:
            self._check_open()
            self._spare.keep_note(name, value)
            self._on_disk(lambda store: store.keep_note(name, value))

    def stats(self) -> OutboxStats:
        """How it stands."""
        with self._mutex:
            disk = self._disk
            return OutboxStats(
                messages=self._spare.messages
                + (max(0, disk.messages - len(self._done)) if disk else 0),
                size_bytes=self._spare.size_bytes + (disk.size_bytes if disk else 0),
                in_memory=self._spare.messages,
                last_error=self._last_error,
                recovery="" if self._recovery is None else str(self._recovery),
                **self._counts,
            )

    def close(self) -> None:
        """Closes the file and lets another process have it. Closing twice does nothing."""
        with self._mutex:
            if self._closed:
                return
            if self._spare.messages:
                self._on_disk(self._catch_up)
            if self._spare.messages:
                _log.error(
                    "%s: %d messages were only in memory and are lost",
                    self._path,
                    self._spare.messages,
                )
            self._closed = True
            for store in (self._disk, self._spare):
                if store is not None:
                    try:
                        store.close()
                    except StorageError as error:
                        self._note_error(error)
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _put(self, store: MessageStore, limits: Limits, messages: tuple[Message, ...]) -> bool:
        """Stores an event in one of the two stores; False if it is dropped at once."""
        counts = dict(self._counts)
        if len(messages) > 1 and _size(messages) > limits.max_bytes:
            _log.error(
                "%s: a snapshot of %d bytes alone is too large",
                store.where,
                len(messages[1].payload),
            )
            messages = messages[:1]
            counts["dropped_snapshots"] += 1
        plan = self._plan(store, limits, messages)
        for entry in plan.drop:
            counts["dropped_updates" if entry.expendable else "dropped_others"] += entry.messages
        if not plan.accept:
            name = "dropped_updates" if messages[0].expendable else "dropped_others"
            counts[name] += len(messages)
            messages = ()
        store.put(
            messages,
            drop=[entry.sequence for entry in plan.drop],
            counters={**counts, _SEQUENCE: self._sequence.last},
        )
        self._counts = counts
        self._say_dropped(sum(counts.values()))
        return plan.accept

    def _plan(self, store: MessageStore, limits: Limits, messages: tuple[Message, ...]) -> Plan:
        incoming = Entry(
            messages[0].sequence, messages[0].expendable, len(messages), _size(messages)
        )
        with (
            closing(store.entries(expendable=True)) as expendable,
            closing(store.entries(expendable=False)) as lasting,
        ):
            return make_room(
                incoming,
                held_messages=store.messages,
                held_bytes=store.size_bytes,
                limits=limits,
                expendable=expendable,
                lasting=lasting,
            )

    def _say_dropped(self, dropped: int) -> None:
        """Says the first, and then each doubling: a full outbox stays full for days."""
        if dropped >= self._say_at:
            _log.warning("%s: full, %d messages dropped since it exists", self._path, dropped)
            self._say_at = 2 * dropped

    def _put_on_disk(self, store: MessageStore, messages: tuple[Message, ...]) -> bool:
        self._check_room()
        self._catch_up(store)
        return self._put(store, self._limits, messages)

    def _check_room(self) -> None:
        try:
            free_bytes = shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise StorageError(
                f"cannot be asked for room: {error.strerror}", where=str(self._path.parent)
            ) from error
        if free_bytes < FREE_FLOOR_BYTES:
            raise StorageError(
                f"less than {FREE_FLOOR_BYTES // 1_000_000} MB are free on its disk",
                where=str(self._path),
                hint="Alerts are kept in memory until there is room.",
            )

    def _catch_up(self, store: MessageStore) -> None:
        """Does on disk what the disk refused before."""
        if self._done:
            store.delete(self._done)
            self._done.clear()
        if not self._spare.messages:
            return
        self._check_room()
        waiting = [each for each in self._spare.after(0) if isinstance(each, Message)]
        for _, entry in groupby(waiting, lambda message: message.sequence):
            messages = tuple(entry)
            self._put(store, self._limits, messages)
            self._spare.delete(message.position for message in messages)
        self._last_error = ""
        _log.info("%s: %d messages moved from memory to disk", self._path, len(waiting))

    def _read(
        self, store: MessageStore, position: int, max_messages: int, max_bytes: int
    ) -> tuple[list[Message], list[int]]:
        """The oldest messages after a position, and the positions of damaged ones between."""
        damaged: list[int] = []

        def whole(each: Message | int) -> bool:
            if isinstance(each, int):
                damaged.append(each)
                return False
            return each.position not in self._done

        with closing(store.after(position)) as rows:
            found = (each for each in rows if whole(each))
            messages = cast(Iterator[Message], found)
            return list(_first(messages, max_messages, max_bytes)), damaged

    def _remove(self, positions: Sequence[int], counter: str | None) -> None:
        counts = dict(self._counts)
        if counter is not None:
            counts[counter] += len(positions)
        before = self._spare.messages
        self._spare.delete(positions)
        if before - self._spare.messages < len(positions):
            gone = self._done | set(positions)
            if self._on_disk(lambda store: _delete(store, gone, counts)):
                self._done.clear()
            else:
                self._done = gone
        self._counts = counts

    def _on_disk(self, action: Callable[[MessageStore], _T]) -> _T | None:
        """Does something with the file, opening it if it is not; None if the disk refuses."""
        try:
            store = self._disk if self._disk is not None else self._open()
            try:
                result = action(store)
            except DamagedStoreError as error:
                result = action(self._replace(store, error))
        except StorageError as error:
            self._note_error(error)
            return None
        return result

    def _may_retry(self) -> bool:
        now_s = self._monotonic_s()
        if now_s < self._retry_at_s:
            return False
        self._retry_at_s = now_s + RETRY_S
        return True

    def _open(self) -> MessageStore:
        if not self._may_retry():
            raise StorageError(self._open_error.what, where=self._open_error.where)
        try:
            store, recovery = open_store(self._path)
        except StorageError as error:
            self._open_error = error
            raise
        return self._take_over(store, recovery)

    def _replace(self, damaged: MessageStore, error: DamagedStoreError) -> MessageStore:
        self._disk = None
        with suppress(StorageError):  # it is given up anyway; only its descriptor matters
            damaged.close()
        return self._take_over(*begin_anew(self._path, str(error)))

    def _take_over(self, store: MessageStore, recovery: Recovery | None) -> MessageStore:
        if recovery is not None:
            self._recovery = recovery
        saved = store.counters()
        self._sequence.resume(saved.get(_SEQUENCE), damaged=recovery is not None)
        for name in COUNTERS:
            self._counts[name] = max(self._counts[name], saved.get(name, 0))
        self._say_at = sum(self._counts.values()) + 1
        self._disk = store
        return store

    def _make_lock(self) -> ProcessLock | None:
        """Keeps other processes out; a disk that refuses even that lets nobody in anyway."""
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            return ProcessLock(
                self._path.with_name(self._path.name + ".lock"),
                hint="Only one camera process may own an outbox; is the service running?",
            )
        except LockedError:
            raise
        except StorageError as error:
            self._note_error(error)
        except OSError as error:
            self._note_error(
                StorageError(f"cannot be made: {error.strerror}", where=str(self._path.parent))
            )
        return None

    def _note_error(self, error: StorageError) -> None:
        if str(error) != self._last_error:  # said once, not with every alert
            _log.error("%s", error)
        self._last_error = str(error)

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("is closed", where=str(self._path))


def _size(messages: Iterable[Message]) -> int:
    return sum(message.size_bytes for message in messages)


def _delete(store: MessageStore, positions: Iterable[int], counts: dict[str, int]) -> bool:
    store.delete(positions, counts)
    return True


def _first(messages: Iterable[Message], max_messages: int, max_bytes: int) -> Iterator[Message]:
    """So many messages, and so many bytes, from the beginning; one at least."""
    size_bytes = 0
    for count, message in enumerate(messages):
        size_bytes += message.size_bytes
        if count == max_messages or (count and size_bytes > max_bytes):
            return
        yield message
