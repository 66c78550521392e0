"""The effects: everything that the store does to a disk, each whole or not at all.

They are few and named so that a test can let any one of them fail, or end the process before or
after it. Each leaves what it did on the disk, not in a cache: file, then name, then folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from updater.atomic import fsync_folder, write_atomically
from updater.errors import StorageError
from updater.store.layout import FILE_MODE, FOLDER_MODE, NEW_LINK_NAME

HINT = "Free space, or check the folder and its owner"


class Effect(StrEnum):
    """What is done to a path; its value completes 'cannot be …'."""

    MAKE = "made"
    WRITE = "written"
    POINT = "pointed elsewhere"
    SYNC = "synced"
    MOVE = "moved"
    DELETE = "deleted"


class Disk:
    """The effects on real files.

    Raises:
        StorageError: from every method, when the disk refuses.
    """

    @contextmanager
    def effect(self, effect: Effect, path: Path) -> Iterator[None]:
        """Surrounds each effect; the place for a test to interfere."""
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot be {effect}: {error.strerror}", where=str(path), hint=HINT
            ) from error

    def make_folder(self, path: Path) -> None:
        """Makes a folder, and those above it, that others may look into."""
        with self.effect(Effect.MAKE, path):
            path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            path.chmod(FOLDER_MODE)  # whatever the umask says

    def write(self, path: Path, data: bytes) -> None:
        """Replaces a file."""
        with self.effect(Effect.WRITE, path):
            write_atomically(path, data, mode=FILE_MODE)

    def point(self, link: Path, target: str) -> None:
        """Lets a link name something else; there is no moment without the link."""
        with self.effect(Effect.POINT, link):
            new = link.with_name(NEW_LINK_NAME)
            new.unlink(missing_ok=True)
            new.symlink_to(target)
            new.replace(link)
            fsync_folder(link.parent)

    def sync_tree(self, folder: Path) -> None:
        """Makes a folder readable for all, and everything in it survive a power cut."""
        with self.effect(Effect.SYNC, folder):
            for path, _, files in os.walk(folder, topdown=False, onerror=_raise):
                for name in files:
                    _sync_file(Path(path, name))
                Path(path).chmod(FOLDER_MODE)
                fsync_folder(Path(path))

    def move(self, source: Path, target: Path) -> None:
        """Renames within the store, durably on both sides."""
        with self.effect(Effect.MOVE, source):
            source.rename(target)
            fsync_folder(target.parent)
            if source.parent != target.parent:
                fsync_folder(source.parent)

    def delete(self, path: Path) -> None:
        """Deletes a file, a link or a folder with all in it; what is gone already is no error."""
        with self.effect(Effect.DELETE, path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _raise(error: OSError) -> None:
    raise error


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, FILE_MODE)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
