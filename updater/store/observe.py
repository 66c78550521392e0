"""Looks at what lies in the store, and changes nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from updater import bundle
from updater import manifest as manifests
from updater.errors import BundleError, StorageError
from updater.manifest import MANIFEST_MAX_BYTES, MANIFEST_NAME, Manifest
from updater.store.journal import JOURNAL_NAME, Origin, Release, release_name
from updater.store.layout import NEW_LINK_NAME, Layout, release_path
from updater.store.recovery import Observed

DAMAGE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EIO,
        errno.EUCLEAN,
        errno.EBADMSG,
        errno.ENODATA,
    }
)
"""Errors that say that a file is not, or no longer, what it was. Any other (no rights, no memory)
says nothing about the release, and must not be the end of it."""

LOOKS = 2
"""What is damaged is given up for good, so a second look must agree: a card or a bus may fail one
read and not the next."""


def look(layout: Layout, floor: Path | None, *, thorough: bool = False) -> Observed:
    """What lies in the store.

    Args:
        layout: of the store; it need not exist.
        floor: the software's own model.
        thorough: reads every file and checks its hash, instead of its size.

    Raises:
        StorageError: something cannot be read for a reason that is not its own damage.
    """
    folders = [release_path(name) for name in names(layout.releases)]
    found = [_bundle(layout.root, path, thorough) for path in folders]
    return Observed(
        link=link_text(layout.current),
        whole=tuple(release for release in found if release is not None),
        folders=tuple(folders),
        floor=None if floor is None else _floor(floor, thorough),
        litter=_litter(layout),
    )


def link_text(link: Path) -> str | None:
    """What a link says; None if it is not there or no link.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return str(link.readlink())
    except OSError as error:
        if error.errno in DAMAGE or error.errno == errno.EINVAL:
            return None
        raise _unreadable(error, link) from error


def names(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where there is no folder.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(error, folder) from error


def read_release(folder: Path, *, path: str, origin: Origin, thorough: bool = False) -> Release:
    """A release by its folder.

    Args:
        folder: where it lies.
        path: how the journal names that.
        origin: where it came from.
        thorough: checks the hashes, not only that every file is there with its size.

    Raises:
        BundleError: it is not whole.
        StorageError: it cannot be read for a reason that is not its own damage.
    """
    data, written_unix_s = _read_manifest(folder / MANIFEST_NAME)
    manifest = manifests.from_json(data, where=str(folder / MANIFEST_NAME))
    size_bytes = len(data) + _check_sizes(folder, manifest)
    if thorough:
        bundle.verify_folder(folder)
    return Release(
        version=manifest.version,
        digest=hashlib.sha256(data).hexdigest(),
        origin=origin,
        path=path,
        size_bytes=size_bytes,
        installed_unix_s=max(0.0, written_unix_s),
    )


def _bundle(root: Path, path: str, thorough: bool) -> Release | None:
    release = _whole(root / path, path=path, origin=Origin.BUNDLE, thorough=thorough)
    if release is None or release_path(release_name(release.version, release.digest)) != path:
        return None
    return release


def _floor(floor: Path, thorough: bool) -> Release | None:
    absolute = floor.absolute()
    return _whole(absolute, path=str(absolute), origin=Origin.FLOOR, thorough=thorough)


def _whole(folder: Path, *, path: str, origin: Origin, thorough: bool) -> Release | None:
    for _ in range(LOOKS):
        try:
            return read_release(folder, path=path, origin=origin, thorough=thorough)
        except BundleError:
            continue
    return None


def _read_manifest(path: Path) -> tuple[bytes, float]:
    """A manifest's bytes and when they were written."""
    try:
        with path.open("rb") as file:
            return file.read(MANIFEST_MAX_BYTES + 1), os.fstat(file.fileno()).st_mtime
    except OSError as error:
        if error.errno in DAMAGE:
            raise BundleError(f"cannot be read: {error.strerror}", where=str(path)) from error
        raise _unreadable(error, path) from error


def _check_sizes(folder: Path, manifest: Manifest) -> int:
    """Checks that every file is there with its size; gives the sum."""
    for entry in manifest.files:
        path = folder / entry.path
        try:
            found = path.lstat()
        except OSError as error:
            if error.errno in DAMAGE:
                raise BundleError(f"cannot be read: {error.strerror}", where=str(path)) from error
            raise _unreadable(error, path) from error
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size_bytes:
            raise BundleError(
                f"is not the file of {entry.size_bytes} bytes that the manifest lists",
                where=str(path),
            )
    return sum(entry.size_bytes for entry in manifest.files)


def _litter(layout: Layout) -> tuple[str, ...]:
    """What writes that did not end left behind; harmless under the lock, since no other writes."""
    staged = [f"{layout.staging.name}/{name}" for name in names(layout.staging)]
    reports = layout.reports.name
    halves = [f"{reports}/{name}" for name in names(layout.reports) if name.startswith(".")]
    temporary = (f".{JOURNAL_NAME}.", NEW_LINK_NAME)
    return (
        *(name for name in names(layout.root) if name.startswith(temporary)),
        *halves,
        *staged,
    )


def _unreadable(error: OSError, path: Path) -> StorageError:
    return StorageError(
        f"cannot be read: {error.strerror}",
        where=str(path),
        hint="Check the folder, its owner and who runs this",
    )
