"""Reads a ``model.zip``: its directory under every rule, its content in a stream.

Nothing of it is believed: sizes are bounded before a byte is unpacked, the stream is stopped where
it should end, and each file's size and sha256 are those that the manifest promised.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from updater.errors import BundleError, StorageError
from updater.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileEntry
from updater.staging import Staging
from updater.zipdirectory import (
    DEFAULT_LIMITS,
    HINT,
    ArchiveLimits,
    check_local,
    check_size,
    parse_directory,
    parse_end,
)
from updater.zipformat import COMMENT_MAX_BYTES, END_RECORD, STORED, Entry

__all__ = ["DEFAULT_LIMITS", "Archive", "ArchiveLimits", "open_archive"]

CHUNK_BYTES = 256 * 1024
"""Read, inflated and written at a time: large enough for an SD card, small beside 512 MB."""


class Archive:
    """A ``model.zip`` whose directory keeps every rule; made by :func:`open_archive`.

    The manifest and the signature are read once and kept: what was verified is what is unpacked,
    whatever happens to the file meanwhile.

    Attributes:
        where: its name in errors.
        entries: its files in the order in which they lie there.
        limits: under which it was opened.
    """

    def __init__(
        self, file: BinaryIO, entries: tuple[Entry, ...], limits: ArchiveLimits, where: str
    ) -> None:
        self.where = where
        self.entries = entries
        self.limits = limits
        self._file = file
        self._by_name = {entry.name: entry for entry in entries}
        self._kept: dict[str, bytes] = {}

    def read_manifest(self) -> bytes:
        """The exact bytes of ``manifest.json``, at most ``limits.manifest_bytes``.

        Raises:
            BundleError: they cannot be unpacked.
            StorageError: the file cannot be read.
        """
        return self._keep(MANIFEST_NAME)

    def read_signature(self) -> bytes | None:
        """The exact bytes of ``manifest.sig``, or None if the archive has none.

        Raises:
            BundleError: they cannot be unpacked.
            StorageError: the file cannot be read.
        """
        return self._keep(SIGNATURE_NAME) if SIGNATURE_NAME in self._by_name else None

    def check_files(self, files: Sequence[FileEntry]) -> None:
        """The archive holds exactly the files of a manifest, each of the size listed.

        Raises:
            BundleError: one is missing, not listed, or said to have another size.
        """
        unlisted = dict(self._by_name)
        unlisted.pop(MANIFEST_NAME)
        unlisted.pop(SIGNATURE_NAME, None)
        for file in files:
            entry = unlisted.pop(file.path, None)
            if entry is None:
                raise BundleError(
                    "is listed in the manifest and not in the archive",
                    where=f"{self.where}: {file.path}",
                    hint=HINT,
                )
            if entry.size_bytes != file.size_bytes:
                raise BundleError(
                    f"{entry.size_bytes} bytes, and the manifest says {file.size_bytes}",
                    where=f"{self.where}: {file.path}",
                    hint=HINT,
                )
        for name in unlisted:
            raise BundleError(
                "is not listed in the manifest", where=f"{self.where}: {name}", hint=HINT
            )

    def verify(self, files: Sequence[FileEntry]) -> None:
        """Checks every file's size and sha256 without writing anything.

        Raises:
            BundleError: the archive does not hold exactly these files.
            StorageError: the file cannot be read.
        """
        self.check_files(files)
        for file in files:
            for _ in self._checked(file):
                pass

    def unpack(self, files: Sequence[FileEntry], folder: Path) -> None:
        """Writes the bundle into a folder: its files, ``manifest.sig``, ``manifest.json`` last.

        Each file is checked while it is written and synced, then the folders are. If anything goes
        wrong, the folder is empty again.

        Args:
            files: of the manifest that was verified.
            folder: exists and is empty.

        Raises:
            BundleError: the archive does not hold exactly these files.
            StorageError: the folder or the archive cannot be used, or the disk is full.
        """
        self.check_files(files)
        manifest, signature = self.read_manifest(), self.read_signature()
        with Staging(folder) as staging:
            for file in files:
                staging.write(file.path, self._checked(file))
            if signature is not None:
                staging.write(SIGNATURE_NAME, (signature,))
            staging.write(MANIFEST_NAME, (manifest,))
            staging.finish()

    def _keep(self, name: str) -> bytes:
        if name not in self._kept:
            self._kept[name] = b"".join(self._content(self._by_name[name]))
        return self._kept[name]

    def _checked(self, file: FileEntry) -> Iterator[bytes]:
        """A file's content; the last step of the iteration raises if its sha256 is another."""
        digest = hashlib.sha256()
        for chunk in self._content(self._by_name[file.path]):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != file.sha256:
            raise BundleError(
                "its sha256 is not the manifest's: the file is damaged",
                where=f"{self.where}: {file.path}",
            )

    def _content(self, entry: Entry) -> Iterator[bytes]:
        """An entry's unpacked content, in chunks of at most :data:`CHUNK_BYTES`."""
        where = f"{self.where}: {entry.name}"
        produced = 0
        crc = 0
        stream = self._stored(entry) if entry.method == STORED else self._inflated(entry)
        for chunk in stream:
            produced += len(chunk)
            if produced > entry.size_bytes:
                raise BundleError(
                    f"unpacks to more than the {entry.size_bytes} bytes it is said to have",
                    where=where,
                )
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if produced < entry.size_bytes:
            raise BundleError(
                f"unpacks to {produced} bytes, and is said to have {entry.size_bytes}", where=where
            )
        if crc != entry.crc:
            raise BundleError("its CRC is not the directory's: the file is damaged", where=where)

    def _stored(self, entry: Entry) -> Iterator[bytes]:
        offset = entry.data_offset
        while offset < entry.end_offset:
            length = min(CHUNK_BYTES, entry.end_offset - offset)
            yield _read_at(self._file, offset, length, self.where)
            offset += length

    def _inflated(self, entry: Entry) -> Iterator[bytes]:
        where = f"{self.where}: {entry.name}"
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        offset = entry.data_offset
        compressed = b""
        while not inflater.eof:
            if not compressed and offset < entry.end_offset:
                length = min(CHUNK_BYTES, entry.end_offset - offset)
                compressed = _read_at(self._file, offset, length, self.where)
                offset += length
            try:
                chunk = inflater.decompress(compressed, CHUNK_BYTES)
            except zlib.error as error:
                raise BundleError("its compressed data is damaged", where=where) from error
            compressed = inflater.unconsumed_tail
            if chunk:
                yield chunk
            elif not (compressed or inflater.eof or offset < entry.end_offset):
                raise BundleError("its compressed data ends too early", where=where)
        if inflater.unused_data or offset < entry.end_offset:
            raise BundleError("its compressed data goes on after its end", where=where, hint=HINT)


def open_archive(file: BinaryIO, limits: ArchiveLimits = DEFAULT_LIMITS, *, where: str) -> Archive:
    """Reads an archive's directory and checks every rule about it.

    Args:
        file: open for reading and seekable; stays open for as long as the archive is used.
        limits: on what is read.
        where: the archive's name in errors.

    Raises:
        BundleError: it is no archive of a bundle.
        StorageError: the file cannot be read.
    """
    try:
        size_bytes = file.seek(0, io.SEEK_END)
    except OSError as error:
        raise _unreadable(error, where) from error
    check_size(size_bytes, limits, where)
    tail_bytes = min(size_bytes, END_RECORD.size + COMMENT_MAX_BYTES)
    tail = _read_at(file, size_bytes - tail_bytes, tail_bytes, where)
    end = parse_end(tail, size_bytes, limits, where)
    directory = _read_at(file, end.directory_offset, end.directory_bytes, where)
    entries = parse_directory(directory, end, limits, where)
    for entry in entries:
        header_bytes = entry.data_offset - entry.header_offset
        check_local(_read_at(file, entry.header_offset, header_bytes, where), entry, where)
    return Archive(file, entries, limits, where)


def _read_at(file: BinaryIO, offset: int, length: int, where: str) -> bytes:
    """Exactly ``length`` bytes from ``offset`` on."""
    parts = []
    try:
        file.seek(offset)
        while length:
            part = file.read(length)
            if not part:
                raise BundleError("is shorter than its directory says", where=where)
            parts.append(part)
            length -= len(part)
    except OSError as error:
        raise _unreadable(error, where) from error
    return b"".join(parts)


def _unreadable(error: OSError, where: str) -> StorageError:
    return StorageError(
        f"cannot be read: {error.strerror}", where=where, hint="Check the disk, or fetch it again"
    )
