"""Sequence numbers that are never given twice, whatever happens to the outbox's database.

The database remembers the last number itself. This file covers the two cases in which it cannot:
it was damaged or deleted, or the disk was full and an alert was sent from memory. It is a few
bytes long, exists before it is needed, and is overwritten in place, which a full disk allows.
"""

from __future__ import annotations

import logging
import os
import secrets
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from updater.errors import StorageError

RESERVE = 10_000
"""Numbers reserved at a time: one write for so many alerts, and no more than this is skipped when
the database is lost."""

_FILE_BYTES = 8192

UNKNOWN_START_BITS = 40
"""Where to begin, at random, when nothing is known of the numbers used before. Numbers stay below
2**53 for ever, which JSON readers hold exactly (RFC 8259, section 6)."""

_RECORD = struct.Struct(">4sQQQ")
_MAGIC = b"SWsq"
_CRC = struct.Struct(">I")
_SLOT_OFFSETS_BYTES = (0, 4096)
"""Two copies in different sectors, written in turn: a write torn by a power cut spoils one."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HighWater:
    """How far the numbers have come.

    Attributes:
        reserved: every number up to this one may have been given.
        unsaved: the last number that was given without the database knowing; 0 if there is none.
    """

    reserved: int = 0
    unsaved: int = 0


class SequenceFile:
    """Keeps a :class:`HighWater` on disk.

    Args:
        path: the file; made by the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._generation = 0

    def read(self) -> HighWater:
        """What was written last; zeros if there is no file or neither copy is whole.

        Raises:
            StorageError: the file is there but cannot be read.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return HighWater()
        except OSError as error:
            raise StorageError(f"cannot be read: {error.strerror}", where=str(self.path)) from error
        newest = HighWater()
        for offset in _SLOT_OFFSETS_BYTES:
            record = content[offset : offset + _RECORD.size]
            check = content[offset + _RECORD.size : offset + _RECORD.size + _CRC.size]
            if len(check) < _CRC.size or _CRC.unpack(check)[0] != zlib.crc32(record):
                continue
            magic, generation, reserved, unsaved = _RECORD.unpack(record)
            if magic == _MAGIC and generation > self._generation:
                self._generation = generation
                newest = HighWater(reserved, unsaved)
        return newest

    def write(self, high_water: HighWater) -> None:
        """Writes it, durably, over the older of the two copies.

        Raises:
            StorageError: the disk refuses.
        """
        generation = self._generation + 1
        record = _RECORD.pack(_MAGIC, generation, high_water.reserved, high_water.unsaved)
        offset = _SLOT_OFFSETS_BYTES[generation % len(_SLOT_OFFSETS_BYTES)]
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                # Both copies have their place on disk from the first write on: a disk that fills up
                # later cannot refuse it.
                size_bytes = os.fstat(descriptor).st_size
                if size_bytes < _FILE_BYTES:
                    os.pwrite(descriptor, bytes(_FILE_BYTES - size_bytes), size_bytes)
                os.pwrite(descriptor, record + _CRC.pack(zlib.crc32(record)), offset)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(
                f"cannot be written: {error.strerror}", where=str(self.path)
            ) from error
        self._generation = generation


class SequenceCounter:
    """Gives the numbers.

    Args:
        file: remembers them beside the database.
    """

    def __init__(self, file: SequenceFile) -> None:
        self._file = file
        self._next = 1
        self._resumed = False
        self._high_water = HighWater()
        try:
            self._high_water = file.read()
        except StorageError as error:
            _log.error("%s", error)

    @property
    def last(self) -> int:
        """The number given last."""
        return self._next - 1

    def resume(self, saved: int | None, *, damaged: bool) -> None:
        """Goes on after the numbers given before; called whenever a database is opened.

        A whole database knows every number but those given while the disk refused. One that is
        new, or was damaged, knows less: then all that were reserved count as given.

        Args:
            saved: the last number the database saved, None if it is new.
            damaged: whether some of it was lost.
        """
        self._next = max(self._next, (saved or 0) + 1, self._high_water.unsaved + 1)
        if not self._resumed and (saved is None or damaged):
            self._next = max(self._next, self._high_water.reserved + 1)
        self._resumed = True

    def resume_blind(self) -> None:
        """Goes on without a database: after all that were reserved, or far from any used before."""
        if self._high_water == HighWater():
            self._next = max(self._next, 1 + secrets.randbits(UNKNOWN_START_BITS))
        self.resume(None, damaged=False)

    def take(self) -> int:
        """The next number, greater than every one before."""
        number = self._next
        self._next += 1
        if number > self._high_water.reserved:
            self._keep(replace(self._high_water, reserved=number + RESERVE))
        return number

    def unsaved(self, number: int) -> None:
        """Notes that a number is used without the database knowing."""
        self._keep(replace(self._high_water, unsaved=number))

    def _keep(self, high_water: HighWater) -> None:
        try:
            self._file.write(high_water)
        except StorageError as error:
            _log.error("%s", error)
        else:
            self._high_water = high_water
