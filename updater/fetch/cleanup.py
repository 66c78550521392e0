"""Removes old downloads: the newest of each source stay, within a number and a size."""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from updater.errors import StorageError
from updater.fetch import record
from updater.fetch.part import PART_SUFFIX, RECORD_SUFFIX, WHOLE_SUFFIX

DEFAULT_MAX_BYTES = 512 * 1024 * 1024

_NAME = re.compile(r"([0-9a-f]{24})\.(?:part|zip|json)|\.([0-9a-f]{24})\.json\..+")
"""The last is what a kill leaves of a record that was being replaced (``updater.atomic``)."""


@dataclass(frozen=True, slots=True)
class Download:
    """The files of one download.

    Attributes:
        key: their name.
        source: the address, "" if nothing is known of it: then it cannot be resumed.
        size_bytes: of all its files.
        changed_unix_s: when it was last written, by the device's clock.
    """

    key: str
    source: str
    size_bytes: int
    changed_unix_s: float


def superfluous(
    downloads: Sequence[Download], *, keep: int, max_bytes: int, spare: Collection[str] = ()
) -> tuple[Download, ...]:
    """Which downloads go; a pure function.

    Args:
        downloads: all there are.
        keep: most that stay.
        max_bytes: of all that stay; the newest stays whatever its size.
        spare: keys that stay in any case and count, even if there is nothing of them yet.
    """
    newest_first = sorted(downloads, key=lambda entry: (-entry.changed_unix_s, entry.key))
    sources = {entry.source for entry in downloads if entry.key in spare}
    total_bytes = sum(entry.size_bytes for entry in downloads if entry.key in spare)
    count = len(set(spare))
    going = []
    for entry in newest_first:
        if entry.key in spare:
            continue
        fits = count < keep and (count == 0 or total_bytes + entry.size_bytes <= max_bytes)
        if fits and entry.source and entry.source not in sources:
            sources.add(entry.source)
            count += 1
            total_bytes += entry.size_bytes
        else:
            going.append(entry)
    return tuple(going)


def cleanup(
    downloads: Path,
    keep: int,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    spare: Collection[str] = (),
) -> tuple[str, ...]:
    """Removes superfluous downloads; what another process is at work on stays.

    Args:
        downloads: folder; may be missing.
        keep: most downloads that stay; 0 removes all.
        max_bytes: of all that stay; the newest stays whatever its size.
        spare: keys that stay in any case.

    Returns:
        The keys of what was removed.

    Raises:
        StorageError: the folder cannot be read, or a file not removed.
    """
    removed = []
    try:
        files = _files_by_key(downloads)
        found = [_download(downloads, key, paths) for key, paths in files.items()]
        going = {
            entry.key for entry in superfluous(found, keep=keep, max_bytes=max_bytes, spare=spare)
        }
        for key, paths in files.items():
            useless = paths if key in going else [path for path in paths if path.name[0] == "."]
            if useless and _remove(downloads, key, useless) and key in going:
                removed.append(key)
    except OSError as error:
        raise StorageError(
            f"old downloads cannot be removed: {error.strerror}", where=str(downloads)
        ) from error
    return tuple(removed)


def _files_by_key(downloads: Path) -> dict[str, list[Path]]:
    """Our files in the folder; whatever else somebody put there is left alone."""
    files: dict[str, list[Path]] = {}
    for path in sorted(downloads.iterdir()) if downloads.is_dir() else ():
        if found := _NAME.fullmatch(path.name):
            files.setdefault(found[1] or found[2], []).append(path)
    return files


def _download(downloads: Path, key: str, paths: Sequence[Path]) -> Download:
    size, changed = 0, 0.0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # finished or renamed meanwhile
            status = path.stat()
            size += status.st_size
            changed = max(changed, status.st_mtime)
    try:
        source = record.read(downloads / f"{key}{RECORD_SUFFIX}").source
    except (FileNotFoundError, StorageError):
        source = ""  # nothing can be made of it without its record
    return Download(key, source, size, changed)


def _remove(downloads: Path, key: str, paths: Sequence[Path]) -> bool:
    """Removes files of a download; False where another process is at work on it."""
    with contextlib.ExitStack() as stack:
        for suffix in (PART_SUFFIX, WHOLE_SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                file = stack.enter_context((downloads / f"{key}{suffix}").open("rb"))
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
        for path in paths:
            path.unlink(missing_ok=True)
    return True
