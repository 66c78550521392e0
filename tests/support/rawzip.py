"""Writes zip files field by field, right or wrong: every field can be made to lie."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import Any

from updater.zipformat import (
    CENTRAL_HEADER,
    CENTRAL_MAGIC,
    DEFLATED,
    END_MAGIC,
    END_RECORD,
    LOCAL_HEADER,
    LOCAL_MAGIC,
    STORED,
)

PLAIN_FILE = 0o100644 << 16


def deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@dataclass(frozen=True)
class RawFile:
    """One entry. None means: what is true.

    Attributes:
        name: in directory and local header.
        content: unpacked.
        method: of compression; the data is deflated only for 8.
        data: as it lies in the archive.
        before: bytes that belong to nothing, before the local header.
        after: bytes after the data, such as a data descriptor.
        local: fields of the local header that differ: ``name``, ``extra``, ``magic``, ``version``,
            ``flags``, ``method``, ``time``, ``date``, ``crc``, ``compressed``, ``size``.
    """

    name: bytes
    content: bytes = b""
    method: int = STORED
    data: bytes | None = None
    flags: int = 0
    version: int = 20
    made_by: int = 3 << 8 | 20
    time: int = 0
    date: int = 0x21
    crc: int | None = None
    compressed: int | None = None
    size: int | None = None
    extra: bytes = b""
    comment: bytes = b""
    disk: int = 0
    attributes: int = PLAIN_FILE
    offset: int | None = None
    name_bytes: int | None = None
    magic: bytes = CENTRAL_MAGIC
    before: bytes = b""
    after: bytes = b""
    local: dict[str, Any] = field(default_factory=dict)
    is_in_data: bool = True
    is_in_directory: bool = True

    def packed(self) -> bytes:
        if self.data is not None:
            return self.data
        return deflate(self.content) if self.method == DEFLATED else self.content

    def _shared(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "flags": self.flags,
            "method": self.method,
            "time": self.time,
            "date": self.date,
            "crc": zlib.crc32(self.content) if self.crc is None else self.crc,
            "compressed": len(self.packed()) if self.compressed is None else self.compressed,
            "size": len(self.content) if self.size is None else self.size,
        }

    def local_header(self) -> bytes:
        told = {
            "magic": LOCAL_MAGIC,
            **self._shared(),
            "name": self.name,
            "extra": b"",
            **self.local,
        }
        name: bytes = told["name"]
        extra: bytes = told["extra"]
        numbers = [value for key, value in told.items() if key not in ("magic", "name", "extra")]
        return LOCAL_HEADER.pack(told["magic"], *numbers, len(name), len(extra)) + name + extra

    def central_header(self, offset: int) -> bytes:
        told = self._shared()
        fixed = CENTRAL_HEADER.pack(
            self.magic,
            self.made_by,
            *told.values(),
            len(self.name) if self.name_bytes is None else self.name_bytes,
            len(self.extra),
            len(self.comment),
            self.disk,
            0,
            self.attributes,
            offset if self.offset is None else self.offset,
        )
        return fixed + self.name + self.extra + self.comment


@dataclass(frozen=True)
class RawZip:
    """An archive. None means: what is true.

    Attributes:
        files: in their order.
        before: bytes before everything.
        shifted: whether the offsets count ``before``.
        before_directory: bytes that belong to nothing.
        after_directory: likewise.
        after: bytes after the end record.
        comment: of the archive.
    """

    files: tuple[RawFile, ...]
    before: bytes = b""
    shifted: bool = False
    before_directory: bytes = b""
    after_directory: bytes = b""
    after: bytes = b""
    comment: bytes = b""
    disk: int = 0
    first_disk: int = 0
    count_here: int | None = None
    count: int | None = None
    directory_bytes: int | None = None
    directory_offset: int | None = None

    def edit(self, entry: str, **changes: Any) -> RawZip:
        """The same with other fields in one file."""
        assert any(file.name == entry.encode() for file in self.files)
        return replace(
            self,
            files=tuple(
                replace(file, **changes) if file.name == entry.encode() else file
                for file in self.files
            ),
        )

    def add(self, *files: RawFile) -> RawZip:
        return replace(self, files=self.files + files)

    def without(self, entry: str) -> RawZip:
        kept = tuple(file for file in self.files if file.name != entry.encode())
        return replace(self, files=kept)

    def to_bytes(self) -> bytes:
        body = bytearray(self.before)
        unshifted = 0 if self.shifted else len(self.before)
        offsets = []
        for file in self.files:
            body += file.before
            offsets.append(len(body) - unshifted)
            if file.is_in_data:
                body += file.local_header() + file.packed() + file.after
        body += self.before_directory
        directory_offset = len(body) - unshifted
        directory = b"".join(
            file.central_header(offset)
            for file, offset in zip(self.files, offsets, strict=True)
            if file.is_in_directory
        )
        count = sum(file.is_in_directory for file in self.files)
        end = END_RECORD.pack(
            END_MAGIC,
            self.disk,
            self.first_disk,
            count if self.count_here is None else self.count_here,
            count if self.count is None else self.count,
            len(directory) if self.directory_bytes is None else self.directory_bytes,
            directory_offset if self.directory_offset is None else self.directory_offset,
            len(self.comment),
        )
        return bytes(body) + directory + self.after_directory + end + self.comment + self.after
