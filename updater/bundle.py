"""A model bundle on disk: a folder against its manifest, and the ``model.zip`` made of one.

Who may be trusted is not asked here (``updater.trust``), and what that needs is not imported: the
daemon reads bundles too.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from updater import manifest as manifests
from updater.archive import DEFAULT_LIMITS, ArchiveLimits, open_archive
from updater.atomic import fsync_folder
from updater.errors import BundleError, StorageError, UsageError
from updater.manifest import MANIFEST_NAME, NOT_LISTED, SIGNATURE_NAME, FileEntry, Manifest
from updater.trust.signature import Signature, encode
from updater.zipwriter import ZipWriter

if TYPE_CHECKING:
    from updater.trust.key import SigningKey

CHUNK_BYTES = 1 << 20
ARCHIVE_MODE = 0o644


@dataclass(frozen=True, slots=True)
class CreatedBundle:
    """A ``model.zip`` that was made.

    Attributes:
        path: the file.
        manifest: as it lies in there.
        digest: sha256 of the manifest's bytes, 64 hex digits: the bundle's identity.
        sha256: of the file, 64 hex digits: what ``install --sha256`` takes.
        size_bytes: of the file.
        key_id: of the key that signed it; None if none did.
    """

    path: Path
    manifest: Manifest
    digest: str
    sha256: str
    size_bytes: int
    key_id: str | None


def create(
    folder: Path,
    out: Path,
    *,
    version: str,
    key: SigningKey | None,
    limits: ArchiveLimits = DEFAULT_LIMITS,
) -> CreatedBundle:
    """Makes a ``model.zip``: the same folder, version and key give the same bytes.

    Args:
        folder: model, golden pictures, card, and a ``manifest.json`` that serves as template: its
            version and its list of files are made anew. Nothing in it is changed.
        out: replaced if it is there; not in ``folder``.
        version: of the bundle.
        key: signs the manifest, and may be far away; None leaves the bundle unsigned.
        limits: of the devices; what they would refuse is not made.

    Raises:
        UsageError: ``out`` lies in ``folder``.
        BundleError: the folder makes no valid bundle, or it changed meanwhile.
        StorageError: ``out`` cannot be written; it is as it was before.
        SitewatchError: what ``key`` raises where it cannot sign.
    """
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            "would become a file of the bundle itself", where=str(out), hint="Put it elsewhere"
        )
    manifest = _from_template(folder, version)
    data = manifests.to_json(manifest)
    with _replacing(out) as file:
        writer = ZipWriter(file, ratio=limits.ratio)
        writer.add(MANIFEST_NAME, lambda: (data,))
        if key is not None:
            signature = encode(Signature(key.key_id, key.sign(data)))
            writer.add(SIGNATURE_NAME, lambda: (signature,))
        for entry in manifest.files:
            writer.add(entry.path, partial(_unchanged, folder / entry.path, entry))
        writer.finish()
        file.flush()
        open_archive(file, limits, where=str(out)).verify(manifest.files)
        file.seek(0)
        sha256, size_bytes = _hashed(iter(partial(file.read, CHUNK_BYTES), b""))
    return CreatedBundle(
        path=out,
        manifest=manifest,
        digest=hashlib.sha256(data).hexdigest(),
        sha256=sha256,
        size_bytes=size_bytes,
        key_id=None if key is None else key.key_id,
    )


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


def verify_folder(folder: Path, data: bytes | None = None) -> Manifest:
    """Reads the manifest and checks that the folder holds exactly the files it lists.

    This is integrity, not trust: who signed the manifest is not looked at here.

    Args:
        folder: of the bundle.
        data: the manifest's bytes where they were read, and vouched for, before.

    Raises:
        BundleError: the manifest is not valid, or a file is missing, damaged or not listed.
    """
    if data is None:
        data = manifests.read_bytes(folder)
    manifest = manifests.from_json(data, where=str(folder / MANIFEST_NAME))
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
    sha256, size_bytes = _hashed(_chunks(path))
    return FileEntry(path=name, size_bytes=size_bytes, sha256=sha256)


def _from_template(folder: Path, version: str) -> Manifest:
    where = str(folder / MANIFEST_NAME)
    raw = manifests.parse_json(manifests.read_bytes(folder), where=where)
    files = list_files(folder)
    manifest = {**raw, "version": version, "files": [asdict(entry) for entry in files]}
    # By way of the reader: only what devices will understand is written.
    return manifests.from_json(json.dumps(manifest).encode(), where=where)


def _unchanged(path: Path, entry: FileEntry) -> Iterator[bytes]:
    """A file's content; raises at its end if it is not what was listed."""
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != entry.sha256:
        raise BundleError("changed while the bundle was made", where=str(path), hint="Try again")


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _hashed(chunks: Iterable[bytes]) -> tuple[str, int]:
    """The sha256 (hex digits) and the length of all chunks together."""
    digest = hashlib.sha256()
    size_bytes = 0
    for chunk in chunks:
        digest.update(chunk)
        size_bytes += len(chunk)
    return digest.hexdigest(), size_bytes


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` if all goes well, and is gone otherwise."""
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w+b") as file:
            os.fchmod(descriptor, ARCHIVE_MODE)
            yield file
            os.fsync(descriptor)
        Path(temporary).replace(path)
        temporary = ""
        fsync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"cannot be written: {error.strerror}",
            where=str(path),
            hint="Free space, or check the folder and its owner",
        ) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
