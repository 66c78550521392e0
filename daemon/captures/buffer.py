"""The folder of captures: takes pictures in, lets the least valuable go, forgets nothing it counts.

What is kept is known from the folder itself, read at the start and listed again before each
change: no index file is written, and others (the command line, the upload) may delete meanwhile.
One capture costs four fsyncs: picture, sidecar, limits file, folder.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from daemon.captures import budget, elapsed, ledger, limits, pairs, sidecar
from daemon.captures.budget import Budget, Entry
from daemon.captures.ledger import Ledger
from daemon.captures.limits import Rates
from daemon.captures.reasons import CaptureReason
from daemon.captures.selection import REMEMBERED, CaptureDecision, Kept
from daemon.clock import Clock, Stamp
from daemon.config import CapturesConfig
from updater import captures as stored
from updater.capturelock import locked
from updater.captures import PICTURE_SUFFIX, SIDECAR_SUFFIX, STORED_SUFFIX, Sidecar
from updater.errors import StorageError

DAY_S = 86400.0
LOCK_TIMEOUT_S = 2.0
"""The daemon's; a delete of all captures by hand takes less."""

RETRY_AFTER_S = 60.0
"""After a disk error no picture is tried for so long: encoding costs, and the disk rests."""

LEDGER_EVERY_S = 3600.0
"""How often the count of time is written while no picture is: so much is lost by a power cut."""

RECALLED = 4 * REMEMBERED
"""Newest captures that the search for duplicates learns from at the start."""

_log = logging.getLogger(__name__)


class Refusal(StrEnum):
    """Why a picture that was worth keeping is not kept."""

    LIMIT = "limit"
    FREE_DISK = "free_disk"
    LESS_VALUABLE = "less_valuable"
    AFTER_ERROR = "after_error"
    TOO_SLOW = "too_slow"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a picture.

    Attributes:
        name: of the capture, None if it was refused.
        refusal: why, None if it was kept.
    """

    name: str | None
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What the buffer says about itself.

    Attributes:
        files: captures in the folder.
        size_bytes: their pictures and sidecars.
        kept: pictures kept since the process started.
        evicted: captures that went for a better one, since then.
        expired: captures that went for their age, since then.
        failed: pictures that the disk refused, since then.
        refused: pictures not kept, by reason, since then.
    """

    files: int
    size_bytes: int
    kept: int
    evicted: int
    expired: int
    failed: int
    refused: dict[str, int]


class CaptureBuffer:
    """The captures on disk.

    One thread works on it; others may ask :meth:`refusal` and :meth:`counts`, which do not wait
    for the disk's writes. Other processes are kept apart by the lock.

    Args:
        config: folder, budgets, limits.
        device_id: of this camera, written into sidecars.
        clock: the device's clocks.
        free_bytes: free space on the folder's disk.

    Raises:
        StorageError: the folder cannot be made, read or swept.
    """

    def __init__(
        self,
        config: CapturesConfig,
        device_id: str,
        *,
        clock: Clock,
        free_bytes: Callable[[Path], int] = pairs.free_bytes,
    ) -> None:
        self._config = config
        self._device_id = device_id
        self._clock = clock
        self._free_bytes = free_bytes
        self._entries: dict[str, Entry] = {}
        self._kept = self._evicted = self._expired = self._failed = 0
        self._refused: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._retry_at_s = -math.inf
        self._written_at_s = clock.monotonic_s()
        pairs.make_folder(config.folder)
        with locked(config.folder, LOCK_TIMEOUT_S):
            if halves := pairs.sweep(config.folder):
                _log.warning("%s: %d unfinished files of a crash removed", config.folder, halves)
            self._sync()
            self._ledger = self._read_ledger(clock.stamp())
            self._shrink(self._ledger.elapsed.elapsed_s)
        self._totals = self._measured()

    def configure(self, config: CapturesConfig) -> None:
        """Takes over changed limits; folder and budget stay until a restart."""
        self._config = replace(
            config,
            folder=self._config.folder,
            max_files=self._config.max_files,
            max_bytes=self._config.max_bytes,
        )

    def counts(self) -> Counts:
        """What is kept and what was done."""
        files, size_bytes = self._totals
        return Counts(
            files=files,
            size_bytes=size_bytes,
            kept=self._kept,
            evicted=self._evicted,
            expired=self._expired,
            failed=self._failed,
            refused=dict(self._refused),
        )

    def recent(self) -> list[tuple[CaptureReason, Kept]]:
        """What the search for duplicates should know after a restart, oldest first."""
        recalled: list[tuple[CaptureReason, Kept]] = []
        for name in sorted(self._entries)[-RECALLED:]:
            if self._entries[name].reasons:
                try:
                    recalled += sidecar.kept(stored.read(self._config.folder, name))
                except StorageError as error:
                    _log.warning("%s", error)
        return recalled

    def refusal(self, decision: CaptureDecision) -> Refusal | None:
        """Why the picture would be refused, as far as that is known before it is encoded.

        Cheap, and without the disk but for one ``statvfs``: a limit that is used up must not cost
        an encoded picture for every frame. A refusal is counted.
        """
        refusal = self._refusal(decision, self._clock.stamp())
        if refusal is not None:
            self._count(refusal)
        return refusal

    def store(self, decision: CaptureDecision, jpeg: bytes) -> Outcome:
        """Keeps a picture, if limits, budget and disk allow.

        Args:
            decision: why it should be kept.
            jpeg: the picture in full resolution, encoded.

        Returns:
            The capture's name, or why it was refused.

        Raises:
            StorageError: the disk refuses; the picture is not there, not even half. Counted, and
                no other is tried for :data:`RETRY_AFTER_S`.
        """
        try:
            with locked(self._config.folder, LOCK_TIMEOUT_S):
                outcome = self._store(decision, jpeg)
        except StorageError:
            self._failed += 1
            self._retry_at_s = self._clock.monotonic_s() + RETRY_AFTER_S
            raise
        finally:
            self._totals = self._measured()
        if outcome.refusal is not None:
            self._count(outcome.refusal)
        else:
            self._kept += 1
        return outcome

    def maintain(self) -> None:
        """Deletes what is too old; now and then writes the count of time. Call it every minute.

        Raises:
            StorageError: the disk refuses.
        """
        now = self._clock.stamp()
        advanced = elapsed.advance(self._ledger.elapsed, now)
        too_old = budget.expired(
            self._entries.values(), advanced.elapsed_s, self._config.max_age_days * DAY_S
        )
        due = now.monotonic_s - self._written_at_s >= LEDGER_EVERY_S
        if not too_old and not due:
            return
        with locked(self._config.folder, LOCK_TIMEOUT_S):
            self._sync()
            self._expire(advanced.elapsed_s)
            self._totals = self._measured()
            if due:
                self._write_ledger(self._read_ledger(now))

    def _store(self, decision: CaptureDecision, jpeg: bytes) -> Outcome:
        folder, now = self._config.folder, self._clock.stamp()
        self._sync()
        self._ledger = self._read_ledger(now)
        now_s = self._ledger.elapsed.elapsed_s
        self._expire(now_s)
        record = sidecar.build(
            decision,
            jpeg,
            sequence=self._ledger.next_sequence,
            device=self._device_id,
            taken=self._clock.stamp_of(decision.frame.captured_monotonic_s),
            elapsed_s=now_s,
        )
        text = stored.to_json(record)
        incoming = _entry(record, len(jpeg) + len(text), stored_elsewhere=False)
        refusal = self._refusal(decision, now, incoming.size_bytes)
        if refusal is not None:
            return Outcome(None, refusal)
        going = budget.make_room(self._entries.values(), self._budget(), now_s, incoming)
        if going is None:
            return Outcome(None, Refusal.LESS_VALUABLE)
        pairs.stage(folder, record.name, jpeg, text)
        try:
            # Charged before the picture appears: a crash in between costs a picture of the limit,
            # the other order would allow one too many.
            charged = limits.charge(self._ledger.counts, now_s)
            self._write_ledger(
                Ledger(self._ledger.elapsed, charged, self._ledger.next_sequence + 1)
            )
            for entry in going:
                self._delete(entry)
                self._evicted += 1
        except StorageError:
            pairs.discard(folder, record.name)
            raise
        pairs.commit(folder, record.name)
        self._entries[record.name] = incoming
        return Outcome(record.name, None)

    def _refusal(
        self, decision: CaptureDecision, now: Stamp, size_bytes: int = 0
    ) -> Refusal | None:
        if now.monotonic_s < self._retry_at_s:
            return Refusal.AFTER_ERROR
        full = limits.full_window(
            self._ledger.counts,
            self._rates(),
            elapsed.advance(self._ledger.elapsed, now).elapsed_s,
            privileged=decision.privileged,
        )
        if full is not None:
            return Refusal.LIMIT
        if self._free_bytes(self._config.folder) - size_bytes < self._config.free_floor_bytes:
            return Refusal.FREE_DISK
        return None

    def _count(self, refusal: Refusal) -> None:
        with self._counting:
            self._refused[refusal] += 1

    def _expire(self, now_s: float) -> None:
        max_age_s = self._config.max_age_days * DAY_S
        for entry in budget.expired(list(self._entries.values()), now_s, max_age_s):
            self._delete(entry)
            self._expired += 1

    def _shrink(self, now_s: float) -> None:
        """Lets go what is too old, or too much since the budget was made smaller."""
        self._expire(now_s)
        for entry in budget.make_room(self._entries.values(), self._budget(), now_s) or ():
            self._delete(entry)
            self._evicted += 1

    def _delete(self, entry: Entry) -> None:
        pairs.remove(self._config.folder, entry.name)
        del self._entries[entry.name]

    def _sync(self) -> None:
        """Brings the entries in line with the folder; only new sidecars are read."""
        names = pairs.file_names(self._config.folder)
        marked = {name for name in names if name.endswith(STORED_SUFFIX)}
        self._entries = {
            name: self._known(name, stored_elsewhere=f"{name}{STORED_SUFFIX}" in marked)
            for name in stored.complete_names(names)
        }

    def _known(self, name: str, *, stored_elsewhere: bool) -> Entry:
        entry = self._entries.get(name) or read_entry(self._config.folder, name)
        return (
            entry if entry.stored == stored_elsewhere else replace(entry, stored=stored_elsewhere)
        )

    def _read_ledger(self, now: Stamp) -> Ledger:
        """The limits file, or what the captures themselves tell where it is lost or damaged."""
        folder = self._config.folder
        try:
            known = ledger.read(folder)
        except StorageError as error:
            _log.warning("limits are counted from the captures, since this file is lost: %s", error)
            known = None
        highest = max((stored.sequence_of(name) for name in self._entries), default=-1)
        if known is None:
            known = self._ledger_of_captures(now, highest + 1)
        return Ledger(
            elapsed.advance(known.elapsed, now),
            known.counts,
            max(known.next_sequence, highest + 1),
        )

    def _ledger_of_captures(self, now: Stamp, next_sequence: int) -> Ledger:
        times_s = [entry.elapsed_s for entry in self._entries.values() if entry.reasons]
        newest_s = max(times_s, default=0.0)
        return Ledger(
            elapsed.begin(now, elapsed_s=newest_s), limits.counted(times_s, newest_s), next_sequence
        )

    def _write_ledger(self, changed: Ledger) -> None:
        ledger.write(self._config.folder, changed)
        self._ledger = changed
        self._written_at_s = self._clock.monotonic_s()

    def _measured(self) -> tuple[int, int]:
        entries = self._entries.values()
        return len(entries), sum(entry.size_bytes for entry in entries)

    def _budget(self) -> Budget:
        return Budget(self._config.max_files, self._config.max_bytes)

    def _rates(self) -> Rates:
        config = self._config
        return Rates(config.per_minute, config.per_hour, config.per_day, config.random_per_hour)


def read_entry(folder: Path, name: str) -> Entry:
    """What the buffer knows of a capture.

    A sidecar that cannot be read (a later version wrote it, perhaps), or whose picture has another
    size than it says, counts as a capture without value and of unknown age: it goes first when
    room is needed, and for no other reason.
    """
    size_bytes = sum(
        _size(folder / f"{name}{suffix}") for suffix in (PICTURE_SUFFIX, SIDECAR_SUFFIX)
    )
    try:
        record = stored.read(folder, name)
        picture_bytes = _size(folder / f"{name}{PICTURE_SUFFIX}")
        if picture_bytes != record.picture.size_bytes:
            raise StorageError(
                f"has {picture_bytes} bytes, its sidecar says {record.picture.size_bytes}",
                where=str(folder / f"{name}{PICTURE_SUFFIX}"),
            )
    except StorageError as error:
        _log.warning("a capture of no use: %s", error)
        return Entry(name, size_bytes, 0.0, math.inf, random=False, stored=False, reasons=())
    return _entry(record, size_bytes, stored_elsewhere=False)


def _entry(record: Sidecar, size_bytes: int, *, stored_elsewhere: bool) -> Entry:
    names = tuple(found.reason for found in record.reasons)
    return Entry(
        name=record.name,
        size_bytes=size_bytes,
        value=record.value,
        elapsed_s=record.taken.elapsed_s,
        random=CaptureReason.RANDOM in names,
        stored=stored_elsewhere,
        reasons=names,
    )


def _size(path: Path) -> int:
    """Bytes; 0 for a file that has just been deleted by somebody else."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise pairs.failed(path, "read", error) from error
