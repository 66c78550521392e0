"""The records of a zip file, as far as a bundle has them: layout, names, nothing judged.

Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 (records) and 4.4 (fields).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

STORED = 0
DEFLATED = 8

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
CENTRAL_HEADER = struct.Struct("<4s6H3L5H2L")
END_RECORD = struct.Struct("<4s4H2LH")
LOCAL_MAGIC = b"PK\x03\x04"
CENTRAL_MAGIC = b"PK\x01\x02"
END_MAGIC = b"PK\x05\x06"
COMMENT_MAX_BYTES = 0xFFFF


@dataclass(frozen=True, slots=True)
class End:
    """The record at the archive's end.

    Attributes:
        count: entries in the directory.
        directory_bytes: of the directory.
        directory_offset: where it begins.
    """

    count: int
    directory_bytes: int
    directory_offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive.

    Attributes:
        name: its path in the bundle, of the form of ``manifest.PATH_PATTERN``.
        method: :data:`STORED` or :data:`DEFLATED`.
        crc: CRC-32 of the unpacked content.
        compressed_bytes: in the archive.
        size_bytes: unpacked.
        header_offset: where its local header begins.
        version: of the format that it needs.
        flags: general purpose bits.
        time: DOS time; only ever compared.
        date: DOS date; likewise.
    """

    name: str
    method: int
    crc: int
    compressed_bytes: int
    size_bytes: int
    header_offset: int
    version: int
    flags: int
    time: int
    date: int

    @property
    def data_offset(self) -> int:
        """Where its content begins: a name is ASCII, and extra fields are refused."""
        return self.header_offset + LOCAL_HEADER.size + len(self.name)

    @property
    def end_offset(self) -> int:
        """Where the next entry, or the directory, begins."""
        return self.data_offset + self.compressed_bytes


class Central(NamedTuple):
    """A directory record's fields, in their order."""

    magic: bytes
    made_by: int
    version: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    compressed_bytes: int
    size_bytes: int
    name_bytes: int
    extra_bytes: int
    comment_bytes: int
    disk: int
    internal_attributes: int
    external_attributes: int
    header_offset: int
