"""Writes files into one folder and nowhere else, durably, or leaves nothing behind.

Every name is opened relative to the descriptor of its folder, without following links and only if
it is new, so neither a crafted path nor a link put there meanwhile leads out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from updater.descriptor import close_unwritten
from updater.errors import StorageError

FILE_MODE = 0o644
FOLDER_MODE = 0o755
"""The daemon runs as another user than whoever installs; no file of a bundle is secret."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """A context in which files are written; left by an exception, it removes them again.

    Args:
        folder: exists and is empty; it becomes world-readable.

    Raises:
        StorageError: from the constructor and every method: the folder is missing, not empty or
            not writable, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[str] = []
        self._folders: list[str] = []
        with self._storage(""):
            self._root = os.open(folder, _OPEN_FOLDER)
        try:
            with self._storage(""):
                with os.scandir(self._root) as found:
                    if any(found):
                        raise StorageError(
                            "is not empty", where=str(folder), hint="Run 'sitewatch-update recover'"
                        )
                os.fchmod(self._root, FOLDER_MODE)
        except BaseException:
            close_unwritten(self._root)
            raise

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self._remove(error)
        finally:
            close_unwritten(self._root)

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Writes one file and syncs it.

        Args:
            path: ``/``-separated parts, none of them empty or made of dots: whoever calls has
                checked it against ``manifest.PATH_PATTERN``.
            chunks: its content; what the iteration raises ends the file and is passed on.
        """
        *folders, name = path.split("/")
        self._make_folders(folders)
        with self._storage(path), self._folder_descriptor("/".join(folders)) as parent:
            descriptor = os.open(name, _NEW_FILE, FILE_MODE, dir_fd=parent)
            self._files.append(path)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                os.fchmod(descriptor, FILE_MODE)
                for chunk in chunks:
                    _write_all(file.fileno(), chunk)
                os.fsync(descriptor)

    def finish(self) -> None:
        """Syncs the folders, the deepest first: the names survive a power cut as the files do."""
        for path in sorted(self._folders, key=lambda name: -name.count("/")):
            with self._storage(path), self._folder_descriptor(path) as descriptor:
                os.fsync(descriptor)
        with self._storage(""):
            os.fsync(self._root)

    def _make_folders(self, parts: list[str]) -> None:
        for length in range(1, len(parts) + 1):
            path = "/".join(parts[:length])
            if path in self._folders:
                continue
            with (
                self._storage(path),
                self._folder_descriptor("/".join(parts[: length - 1])) as parent,
            ):
                os.mkdir(parts[length - 1], FOLDER_MODE, dir_fd=parent)
                self._folders.append(path)
                with self._folder_descriptor(path) as made:
                    os.fchmod(made, FOLDER_MODE)

    @contextmanager
    def _folder_descriptor(self, path: str) -> Iterator[int]:
        """A folder below the root, reached part by part without following a link."""
        descriptor = os.dup(self._root)
        try:
            for part in path.split("/") if path else ():
                inner = os.open(part, _OPEN_FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _storage(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = self._folder / path if path else self._folder
            raise StorageError(
                f"cannot be written: {error.strerror}",
                where=str(where),
                hint="Free space, or check the folder and its owner",
            ) from error

    def _remove(self, cause: BaseException) -> None:
        """Takes back what was written; what cannot be is named beside the error that matters."""
        for path, remove in (
            *((path, os.unlink) for path in reversed(self._files)),
            *((path, os.rmdir) for path in reversed(self._folders)),
        ):
            parent_path, _, name = path.rpartition("/")
            try:
                with self._folder_descriptor(parent_path) as parent:
                    remove(name, dir_fd=parent)
            except OSError as error:
                cause.add_note(f"{self._folder / path} stays: {error.strerror}")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
