"""Captures as the command line sees them: read, check, delete; the daemon may be running."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from daemon.captures import elapsed, ledger, pairs
from daemon.clock import Stamp
from updater import captures as stored
from updater.capturelock import locked
from updater.captures import PICTURE_MAX_BYTES, PICTURE_SUFFIX, SIDECAR_SUFFIX, STORED_SUFFIX
from updater.errors import StorageError, UsageError

LOCK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture in the folder.

    Attributes:
        name: of its files, without suffix.
        sidecar: what is known of it; None if the sidecar is damaged.
        problem: why there is no sidecar, empty if there is one.
        size_bytes: picture and sidecar together.
        stored: whether it lies safely elsewhere.
    """

    name: str
    sidecar: stored.Sidecar | None
    problem: str
    size_bytes: int
    stored: bool


def load(folder: Path) -> list[Capture]:
    """All captures, oldest first; one that goes meanwhile is left out.

    Raises:
        StorageError: the folder is not there or cannot be read.
    """
    names = pairs.file_names(folder)
    present = set(names)
    found = (
        _load_one(folder, name, is_stored=f"{name}{STORED_SUFFIX}" in present)
        for name in stored.complete_names(names)
    )
    return [capture for capture in found if capture is not None]


def find(folder: Path, name: str) -> stored.Sidecar:
    """The capture that a person means: by name, the beginning of it, or its number.

    Raises:
        UsageError: none or several are meant.
        StorageError: the folder or the sidecar cannot be read.
    """
    names = stored.complete_names(pairs.file_names(folder))
    by_number = name.isdecimal() and len(name) < stored.SEQUENCE_DIGITS
    meant = [
        known
        for known in names
        if (stored.sequence_of(known) == int(name) if by_number else known.startswith(name))
    ]
    if len(meant) != 1:
        raise UsageError(
            f"{len(meant)} captures are meant by {name!r}" if meant else f"no capture {name!r}",
            where=str(folder),
            hint="'sitewatch captures list' names them",
        )
    return stored.read(folder, meant[0])


def picture(folder: Path, sidecar: stored.Sidecar) -> bytes:
    """The picture's file, checked against its sidecar.

    Raises:
        StorageError: it cannot be read or is damaged.
    """
    path = folder / f"{sidecar.name}{PICTURE_SUFFIX}"
    try:
        with path.open("rb") as file:
            data = file.read(PICTURE_MAX_BYTES + 1)
    except OSError as error:
        raise pairs.failed(path, "read", error) from error
    if len(data) != sidecar.picture.size_bytes or stored.sha256_of(data) != sidecar.picture.sha256:
        raise StorageError(
            "damaged: size or sha256 differ from the sidecar's",
            where=str(path),
            hint="Delete it; a disk that damages files should be replaced",
        )
    return data


def older_than(
    captures: Iterable[Capture], folder: Path, now: Stamp, age_s: float
) -> list[Capture]:
    """The captures whose age is known and greater, on the captures' own count of time.

    Raises:
        StorageError: the limits file, which holds that count, is missing or cannot be read.
    """
    known = ledger.read(folder)
    if known is None:
        raise StorageError(
            "is missing, so no age is known",
            where=str(folder / ledger.LEDGER_NAME),
            hint="Start the daemon once: it makes the file again",
        )
    now_s = elapsed.advance(known.elapsed, now).elapsed_s
    return [
        capture
        for capture in captures
        if capture.sidecar is not None and now_s - capture.sidecar.taken.elapsed_s > age_s
    ]


def purge(folder: Path, captures: Iterable[Capture]) -> int:
    """Deletes captures; the daemon goes on meanwhile.

    Returns:
        How many.

    Raises:
        StorageError: the disk refuses, or the lock is held for too long.
    """
    count = 0
    with locked(folder, LOCK_TIMEOUT_S):
        for capture in captures:
            pairs.remove(folder, capture.name)
            count += 1
    return count


def _load_one(folder: Path, name: str, *, is_stored: bool) -> Capture | None:
    try:
        size_bytes = sum(
            (folder / f"{name}{suffix}").stat().st_size
            for suffix in (PICTURE_SUFFIX, SIDECAR_SUFFIX)
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise pairs.failed(folder / name, "read", error) from error
    try:
        sidecar = stored.read(folder, name)
    except StorageError as error:
        if not (folder / f"{name}{SIDECAR_SUFFIX}").exists():
            return None
        return Capture(name, None, str(error), size_bytes, is_stored)
    return Capture(name, sidecar, "", size_bytes, is_stored)
