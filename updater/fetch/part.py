"""A download on the disk, as far as it has come.

``KEY.part`` grows and is renamed to ``KEY.zip`` when it is whole and its checksum right;
``KEY.json`` beside it says which version it belongs to, and holds the last checkpoint. The record
is replaced before the first byte that it speaks of is written, and synced only with a checkpoint:
an SD card is not worn, and what a power cut leaves either fits the checkpoint or is dropped.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from updater.atomic import fsync_folder, write_atomically
from updater.errors import BusyError, StorageError
from updater.fetch import record, resume
from updater.fetch.record import NOTHING, Record
from updater.fetch.resume import Checkpoint, Version

PART_SUFFIX = ".part"
WHOLE_SUFFIX = ".zip"
RECORD_SUFFIX = ".json"
CHUNK_BYTES = 64 * 1024
CHECKPOINT_EVERY_BYTES = 8 * 1024 * 1024
"""After a power cut at most this much is fetched again; a bundle of 30 MB is synced four times."""

CLOSING_CHECKPOINT_BYTES = 1024 * 1024
"""When a run ends early, less than this is not worth a sync."""

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Part:
    """One download, new or left by an earlier run; open and locked until it is closed.

    Every method raises StorageError where the disk refuses. Where it is full the download is
    removed: the daemon's alerts need the room more.

    Attributes:
        path: where it lies now.
        version: that what is held belongs to.
        held_bytes: what there is of it.
        resumed: whether an earlier run left it, or part of it.

    Args:
        downloads: folder; made if it is missing.
        key: name of the files in it.
        source: the address, without anything secret.
        boot_id: of this boot; None reads the kernel's.

    Raises:
        BusyError: another process is at work on it.
        StorageError: the disk refuses.
    """

    def __init__(
        self, downloads: Path, key: str, *, source: str, boot_id: str | None = None
    ) -> None:
        self.version = Version()
        self.held_bytes = 0
        self.resumed = False
        self._part = downloads / f"{key}{PART_SUFFIX}"
        self._whole = downloads / f"{key}{WHOLE_SUFFIX}"
        self._record = downloads / f"{key}{RECORD_SUFFIX}"
        self.path = self._part
        self._source = source
        self._boot_id = read_boot_id() if boot_id is None else boot_id
        self._hash = hashlib.sha256()
        self._checkpoint = NOTHING
        with self._disk():
            downloads.mkdir(parents=True, exist_ok=True)
            self._file = self._open()
            try:
                self._take_up()
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def sha256(self) -> str:
        """Of what is held."""
        return self._hash.hexdigest()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing, as far as the server told the size."""
        return self.held_bytes > 0 and self.held_bytes == self.version.size_bytes

    def begin(self, version: Version) -> None:
        """Drops what is held, for another version."""
        with self._disk():
            if self.path == self._whole:
                self.path = self._whole.replace(self._part)
            self._file.seek(0)
            self._file.truncate()
            self._forget()
            self.version = version
            self._write_record(durable=False)

    def write(self, chunk: bytes) -> None:
        """Appends what was received."""
        with self._disk():
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._hash.update(chunk)
            self.held_bytes += len(chunk)
            if self.held_bytes - self._checkpoint.length_bytes >= CHECKPOINT_EVERY_BYTES:
                self._sync()

    def finish(self) -> Path:
        """Gives the whole file its name, surely on the disk; returns its path."""
        with self._disk():
            if self.path != self._whole:
                self.version = Version(self.version.etag, self.version.sha256, self.held_bytes)
                self._sync()
                self.path = self.path.replace(self._whole)
                fsync_folder(self.path.parent)
        return self.path

    def discard(self) -> None:
        """Removes it from the disk."""
        with self._disk():
            self._unlink()

    def close(self) -> None:
        """Closes it; what was received stays for the next run, an empty file does not."""
        with self._disk():
            try:
                if self.held_bytes - self._checkpoint.length_bytes >= CLOSING_CHECKPOINT_BYTES:
                    self._sync()
                elif not self.held_bytes:
                    self._unlink()
            finally:
                self._file.close()

    def _unlink(self) -> None:
        self._record.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        self.held_bytes = 0
        self.resumed = False
        self.version = Version()
        self._hash = hashlib.sha256()
        self._checkpoint = NOTHING

    def _open(self) -> BinaryIO:
        """Opens what is there, or makes it, and locks it.

        Unbuffered: what was received is with the kernel, where a kill cannot reach it.
        """
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._whole, flags)
            self.path = self._whole
        except FileNotFoundError:
            descriptor = os.open(self._part, flags | os.O_CREAT, 0o644)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                raise BlockingIOError  # renamed, since it was opened, by one that has just finished
        except (BlockingIOError, FileNotFoundError) as error:
            file.close()
            raise BusyError("another process is downloading this", where=str(self._part)) from error
        return file

    def _take_up(self) -> None:
        """Reads what an earlier run left; takes nothing that cannot be trusted."""
        try:
            found = record.read(self._record)
        except (FileNotFoundError, StorageError):
            # Never written, or damaged by a power cut: without it the file means nothing.
            return
        usable = resume.usable_bytes(
            found.checkpoint,
            found.version,
            length_bytes=os.fstat(self._file.fileno()).st_size,
            same_boot=bool(self._boot_id) and found.boot_id == self._boot_id,
        )
        if usable == 0:
            return
        self._hash_up_to(found.checkpoint.length_bytes)
        if self.sha256 != found.checkpoint.sha256:
            self._forget()
            return
        self._hash_up_to(usable)
        if usable != os.fstat(self._file.fileno()).st_size:
            self._file.truncate(usable)
        self.held_bytes = usable
        self.resumed = True
        self.version = found.version
        self._checkpoint = found.checkpoint

    def _hash_up_to(self, length: int) -> None:
        """Hashes on from where the file stands."""
        missing = length - self._file.tell()
        while missing > 0 and (chunk := self._file.read(min(missing, CHUNK_BYTES))):
            self._hash.update(chunk)
            missing -= len(chunk)

    def _sync(self) -> None:
        """A checkpoint: what is held is on the disk for certain."""
        os.fdatasync(self._file.fileno())
        self._checkpoint = Checkpoint(self.held_bytes, self.sha256)
        self._write_record(durable=True)

    def _write_record(self, *, durable: bool) -> None:
        found = Record(self._source, self.version, self._checkpoint, self._boot_id)
        write_atomically(self._record, record.to_json(found), durable=durable)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Says what the disk refuses, and makes room where it is full."""
        try:
            yield
        except (OSError, StorageError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            number = cause.errno if isinstance(cause, OSError) else None
            if number in _FULL:
                self._unlink()
                raise StorageError(
                    "the disk is full, so the download was removed",
                    where=str(self.path),
                    hint="Free space, then fetch again",
                ) from error
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"the download cannot be kept: {error.strerror or error}",
                where=str(self.path),
                hint="Check the disk, the folder and its owner",
            ) from error


def read_boot_id(path: Path = BOOT_ID_FILE) -> str:
    """The kernel's id of this boot; "" where it does not tell, which counts as another boot."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
