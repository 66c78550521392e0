"""Writes a zip whose bytes follow from its content alone: no times, users, or order of a folder.

Deflate's bytes are those of zlib at level 9; another implementation (zlib-ng) may pack a file
otherwise, and then archives differ where bundles do not: a bundle's identity is its manifest's
digest.
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from updater.staging import FILE_MODE
from updater.zipformat import (
    CENTRAL_HEADER,
    CENTRAL_MAGIC,
    DEFLATED,
    END_MAGIC,
    END_RECORD,
    LOCAL_HEADER,
    LOCAL_MAGIC,
    STORED,
    Entry,
)

UNIX_MADE_BY = 3 << 8 | 20
"""By a Unix system, version 2.0 of the format: on every machine."""

VERSION_NEEDED = 20
TIME = 0
DATE = 0x21
"""1980-01-01 00:00, the first moment that a zip can name: when a file was made is in no bundle."""

EXTERNAL_ATTRIBUTES = (stat.S_IFREG | FILE_MODE) << 16
LEVEL = 9
MEMORY_LEVEL = 8
WORTH_IT = 32
"""A file is deflated if that saves more than one part in so many: photographs gain nothing."""

Content = Callable[[], Iterable[bytes]]
"""A file's content from its beginning; called again if deflating was not worth it."""


class ZipWriter:
    """A zip being written, entries in the order in which they are added.

    Args:
        file: new, open for reading and writing, seekable.
        ratio: a file that deflate makes smaller than one part in so many is stored as it is,
            because readers would take it for a bomb.

    Raises:
        OSError: from every method, as the file does.
    """

    def __init__(self, file: BinaryIO, *, ratio: int) -> None:
        self._file = file
        self._ratio = ratio
        self._entries: list[Entry] = []

    def add(self, name: str, content: Content) -> None:
        """Appends one file."""
        offset = self._file.tell()
        self._file.write(bytes(LOCAL_HEADER.size) + name.encode())
        data_offset = self._file.tell()
        size_bytes, crc = self._write(_deflated, content)
        compressed = self._file.tell() - data_offset
        method = DEFLATED
        if not size_bytes / self._ratio < compressed < size_bytes - size_bytes // WORTH_IT:
            method = STORED
            self._file.seek(data_offset)
            self._file.truncate()
            size_bytes, crc = self._write(_as_it_is, content)
            compressed = size_bytes
        entry = Entry(
            name=name,
            method=method,
            crc=crc,
            compressed_bytes=compressed,
            size_bytes=size_bytes,
            header_offset=offset,
            version=VERSION_NEEDED,
            flags=0,
            time=TIME,
            date=DATE,
        )
        end = self._file.tell()
        self._file.seek(offset)
        self._file.write(_local_header(entry))
        self._file.seek(end)
        self._entries.append(entry)

    def finish(self) -> None:
        """Appends directory and end record."""
        offset = self._file.tell()
        for entry in self._entries:
            self._file.write(_central_header(entry) + entry.name.encode())
        length = self._file.tell() - offset
        count = len(self._entries)
        self._file.write(END_RECORD.pack(END_MAGIC, 0, 0, count, count, length, offset, 0))

    def _write(
        self, pack: Callable[[Iterable[bytes]], Iterator[bytes]], content: Content
    ) -> tuple[int, int]:
        """Writes a file's content; its size unpacked and its CRC."""
        size_bytes = 0
        crc = 0

        def counted() -> Iterator[bytes]:
            nonlocal size_bytes, crc
            for chunk in content():
                size_bytes += len(chunk)
                crc = zlib.crc32(chunk, crc)
                yield chunk

        for packed in pack(counted()):
            self._file.write(packed)
        return size_bytes, crc


def _as_it_is(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks


def _deflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, MEMORY_LEVEL)
    for chunk in chunks:
        yield deflater.compress(chunk)
    yield deflater.flush()


def _local_header(entry: Entry) -> bytes:
    return LOCAL_HEADER.pack(
        LOCAL_MAGIC,
        entry.version,
        entry.flags,
        entry.method,
        entry.time,
        entry.date,
        entry.crc,
        entry.compressed_bytes,
        entry.size_bytes,
        len(entry.name),
        0,
    )


def _central_header(entry: Entry) -> bytes:
    return CENTRAL_HEADER.pack(
        CENTRAL_MAGIC,
        UNIX_MADE_BY,
        entry.version,
        entry.flags,
        entry.method,
        entry.time,
        entry.date,
        entry.crc,
        entry.compressed_bytes,
        entry.size_bytes,
        len(entry.name),
        0,
        0,
        0,
        0,
        EXTERNAL_ATTRIBUTES,
        entry.header_offset,
    )
