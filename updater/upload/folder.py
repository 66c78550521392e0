"""What the upload takes out of the folder of captures, checked before it is sent."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from updater.capturelock import check_markable
from updater.captures import (
    PICTURE_SUFFIX,
    SIDECAR_MAX_BYTES,
    SIDECAR_SUFFIX,
    STORED_SUFFIX,
    Sidecar,
    complete_names,
    from_json,
    sha256_of,
)
from updater.descriptor import close_unwritten
from updater.errors import BusyError, StorageError
from updater.upload.names import is_device
from updater.upload.plan import Candidate

RANDOM = "random"


class DamagedError(StorageError):
    """A capture that cannot be what the daemon wrote: it is reported and left out."""


class GoneError(StorageError):
    """A capture that the daemon has deleted meanwhile: nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the folder.

    Attributes:
        candidates: captures that are not stored yet.
        damaged: captures of no use, and why.
    """

    candidates: tuple[Candidate, ...]
    damaged: tuple[DamagedError, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """One capture, checked and open.

    Attributes:
        sidecar: what is known of it.
        sidecar_bytes: its sidecar's file.
        sidecar_sha256: of that, hex.
        picture: its picture's file, at the beginning.
    """

    sidecar: Sidecar
    sidecar_bytes: bytes
    sidecar_sha256: str
    picture: io.BufferedReader

    @property
    def sidecar_file(self) -> BinaryIO:
        """The sidecar as a file of its own, at the beginning."""
        return io.BytesIO(self.sidecar_bytes)

    @property
    def size_bytes(self) -> int:
        """Picture and sidecar together."""
        return self.sidecar.picture.size_bytes + len(self.sidecar_bytes)


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keeps a second upload away; the daemon goes on, its lock is another.

    The lock is on the folder itself: it needs no file, and ends with the process.

    Raises:
        BusyError: another upload is at work.
        StorageError: the folder is not there, or this user may not read and mark captures in it.
    """
    check_markable(folder)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"cannot be opened: {error.strerror}", where=str(folder)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                "another upload is at work", where=str(folder), hint="Wait for it to end"
            ) from None
        yield
    finally:
        close_unwritten(descriptor)


def scan(folder: Path) -> Found:
    """All captures that are not stored yet.

    Raises:
        StorageError: the folder or a file cannot be read.
    """
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(folder)) from error
    stored = {name.removesuffix(STORED_SUFFIX) for name in names if name.endswith(STORED_SUFFIX)}
    candidates: list[Candidate] = []
    damaged: list[DamagedError] = []
    for name in complete_names(names):
        if name in stored:
            continue
        try:
            data, sidecar = _read_sidecar(folder, name)
        except GoneError:
            continue
        except DamagedError as error:
            damaged.append(error)
            continue
        candidates.append(
            Candidate(
                name=name,
                value=sidecar.value,
                random=any(found.reason == RANDOM for found in sidecar.reasons),
                size_bytes=sidecar.picture.size_bytes + len(data),
            )
        )
    return Found(tuple(candidates), tuple(damaged))


@contextlib.contextmanager
def checked(folder: Path, name: str) -> Iterator[Checked]:
    """A capture, open, after its picture was held against its sidecar.

    It stays open, so that it can be sent whole though the daemon deletes it meanwhile.

    Raises:
        DamagedError: size or sha256 differ.
        GoneError: the daemon has deleted it.
        StorageError: it cannot be read.
    """
    data, sidecar = _read_sidecar(folder, name)
    path = folder / f"{name}{PICTURE_SUFFIX}"
    with _open(path) as picture:
        try:
            size_bytes = os.fstat(picture.fileno()).st_size
            whole = size_bytes == sidecar.picture.size_bytes and (
                hashlib.file_digest(picture, "sha256").hexdigest() == sidecar.picture.sha256
            )
            picture.seek(0)
        except OSError as error:
            raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error
        if not whole:
            raise DamagedError("damaged: size or sha256 differ from the sidecar's", where=str(path))
        yield Checked(sidecar, data, sha256_of(data), picture)


def _read_sidecar(folder: Path, name: str) -> tuple[bytes, Sidecar]:
    path = folder / f"{name}{SIDECAR_SUFFIX}"
    with _open(path) as file:
        try:
            data = file.read(SIDECAR_MAX_BYTES + 1)
        except OSError as error:
            raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    try:
        sidecar = from_json(data, where=str(path))
    except StorageError as error:
        raise DamagedError(error.what, where=error.where, hint=error.hint) from error
    if sidecar.name != name:
        raise DamagedError(f"describes {sidecar.name}", where=str(path))
    if not is_device(sidecar.device):
        raise DamagedError(f"{sidecar.device!r} is not the name of a device", where=str(path))
    return data, sidecar


@contextlib.contextmanager
def _open(path: Path) -> Iterator[io.BufferedReader]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise GoneError("has gone", where=str(path)) from error
    except OSError as error:
        raise StorageError(
            f"cannot be opened: {error.strerror}",
            where=str(path),
            hint="Check that the user's own group is the folder's",
        ) from error
    try:
        yield os.fdopen(descriptor, "rb", closefd=False)
    finally:
        close_unwritten(descriptor)
