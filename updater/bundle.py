"""An unpacked model bundle on disk: its files against its manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from updater import manifest as manifests
from updater.errors import BundleError
from updater.manifest import FileEntry, Manifest

CHUNK_BYTES = 1 << 20
SIGNATURE_NAME = "manifest.sig"
NOT_LISTED = frozenset({manifests.MANIFEST_NAME, SIGNATURE_NAME})
"""A manifest cannot hold its own hash, and the signature is made over the manifest."""


def list_files(folder: Path) -> tuple[FileEntry, ...]:
    """Entries for every file that a manifest of this folder must list, by path.

    Raises:
        BundleError: something in the folder is neither a plain file nor a folder, or is unreadable.
    """
    entries = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BundleError("is not a plain file", where=str(path))
        if path.is_file() and name not in NOT_LISTED:
            entries.append(_entry(path, name))
    return tuple(entries)


def verify_folder(folder: Path) -> Manifest:
    """Reads the manifest and checks that the folder holds exactly the files it lists.

    This is integrity, not trust: who signed the manifest is not looked at here.

    Raises:
        BundleError: the manifest is not valid, or a file is missing, damaged or not listed.
    """
    manifest = manifests.read(folder)
    for entry in manifest.files:
        verify_file(folder, entry)
    listed = {entry.path for entry in manifest.files}
    for found in list_files(folder):
        if found.path not in listed:
            raise BundleError(
                "is not listed in the manifest",
                where=str(folder / found.path),
                hint="Remove it, or make the bundle again",
            )
    return manifest


def verify_file(folder: Path, entry: FileEntry) -> None:
    """Checks one file's size and hash against its entry.

    Raises:
        BundleError: it is missing, unreadable, or differs.
    """
    path = folder / entry.path
    found = _entry(path, entry.path)
    if found.size_bytes != entry.size_bytes:
        raise BundleError(
            f"{found.size_bytes} bytes, and the manifest says {entry.size_bytes}", where=str(path)
        )
    if found.sha256 != entry.sha256:
        raise BundleError("its sha256 is not the manifest's: the file is damaged", where=str(path))


def _entry(path: Path, name: str) -> FileEntry:
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return FileEntry(path=name, size_bytes=size_bytes, sha256=digest.hexdigest())
