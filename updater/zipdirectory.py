"""Which zip files are bundles: the rules about a directory. Pure, no input or output.

Zip says most things twice (local header and directory), allows gaps, overlaps, comments and foreign
data anywhere, and has four ways to give a size; readers differ in what they believe, and that is
where attacks live. So a bundle is a narrow kind of zip, in which nothing can be read in two ways:
the entries lie one after the other from the first byte, the directory follows the last one, the end
record closes the file, and every header agrees with the directory.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from updater.errors import BundleError
from updater.manifest import (
    ARCHIVE_MAX_BYTES,
    MANIFEST_MAX_BYTES,
    MANIFEST_NAME,
    PATH_PATTERN,
    SIGNATURE_NAME,
)
from updater.zipformat import (
    CENTRAL_HEADER,
    CENTRAL_MAGIC,
    DEFLATED,
    END_MAGIC,
    END_RECORD,
    LOCAL_HEADER,
    LOCAL_MAGIC,
    STORED,
    Central,
    End,
    Entry,
)

MIB = 1 << 20

ENCRYPTED_FLAGS = 1 << 0 | 1 << 6 | 1 << 13
DESCRIPTOR_FLAG = 1 << 3
ALLOWED_FLAGS = 1 << 1 | 1 << 2 | 1 << 11
"""How hard the compressor tried, and that the name is UTF-8: neither changes what is read."""

VERSION_MAX = 20
"""Deflate needs version 2.0 of the format; 4.5 is zip64, and beyond lie encryption and patches."""

DOS_FOLDER = 0x10
DOS_VOLUME = 0x08
SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
HINT = "Make it with 'sitewatch-update bundle create'"
SHOWN_CHARACTERS = 80
"""Of a foreign name in a message."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What of a ``model.zip`` is read at all; a device's memory and card are small.

    Attributes:
        archive_bytes: of the file.
        entries: in the archive: the 200 files that a manifest may list, itself and its signature.
        name_bytes: of an entry's name. A release's folder comes before it and a path has 4096 at
            most, a part of it 255; the longest name in use has 26.
        file_bytes: of one file, unpacked: no more than an archive that is not compressed could
            hold.
        total_bytes: of all files, unpacked, for the same reason: a bundle never needs more room
            than ``archive_bytes`` for its download and as much again for its files.
        ratio: unpacked over compressed size of one file. Weights reach 3, text 10; deflate ends at
            1032, and only a bomb comes near.
        ratio_exempt_bytes: files up to this size may have any ratio; a short file of one repeated
            line is no bomb.
        manifest_bytes: of ``manifest.json``, which is held in memory before anybody vouches for
            it.
        signature_bytes: of ``manifest.sig``, which has about 170.
    """

    archive_bytes: int = ARCHIVE_MAX_BYTES
    entries: int = 202
    name_bytes: int = 200
    file_bytes: int = ARCHIVE_MAX_BYTES
    total_bytes: int = ARCHIVE_MAX_BYTES
    ratio: int = 100
    ratio_exempt_bytes: int = MIB
    manifest_bytes: int = MANIFEST_MAX_BYTES
    signature_bytes: int = 1024


DEFAULT_LIMITS = ArchiveLimits()


def check_size(size_bytes: int, limits: ArchiveLimits, where: str) -> None:
    """The first rule: the file's size.

    Raises:
        BundleError: too large to be looked at, or too small to be an archive.
    """
    if size_bytes > limits.archive_bytes:
        raise BundleError(
            f"{size_bytes} bytes are more than the {limits.archive_bytes} allowed", where=where
        )
    if size_bytes < END_RECORD.size:
        raise BundleError(f"{size_bytes} bytes are no zip archive", where=where, hint=HINT)


def parse_end(tail: bytes, size_bytes: int, limits: ArchiveLimits, where: str) -> End:
    """Reads the end record.

    Args:
        tail: the file's last bytes, as many as it has up to an end record with a longest comment;
            only its last 22 count, the rest tells a comment from foreign data.
        size_bytes: of the whole file.
        limits: on what is read.
        where: named in errors.

    Raises:
        BundleError: there is none at the very end, it speaks of several disks or zip64, or the
            directory does not lie right before it.
    """
    record = tail[-END_RECORD.size :]
    if not record.startswith(END_MAGIC):
        raise BundleError(_why_no_end(tail), where=where, hint=HINT)
    _, disk, first_disk, count_here, count, length, offset, comment = END_RECORD.unpack(record)
    if comment:
        raise BundleError("is cut off within its comment", where=where, hint=HINT)
    if 0xFFFF in (disk, first_disk, count_here, count) or 0xFFFFFFFF in (length, offset):
        raise BundleError("is a zip64 archive", where=where, hint=HINT)
    if disk or first_disk or count_here != count:
        raise BundleError("is a part of an archive of several disks", where=where, hint=HINT)
    if count > limits.entries:
        raise BundleError(
            f"{count} entries are more than the {limits.entries} allowed", where=where
        )
    between = size_bytes - END_RECORD.size - (offset + length)
    if between > 0:
        raise BundleError(
            f"{between} bytes that belong to nothing lie before it or after its directory",
            where=where,
            hint=HINT,
        )
    if between < 0:
        raise BundleError("its directory does not lie where its end says", where=where, hint=HINT)
    if length > limits.entries * (CENTRAL_HEADER.size + limits.name_bytes):
        raise BundleError(f"a directory of {length} bytes is too large", where=where, hint=HINT)
    return End(count, length, offset)


def parse_directory(data: bytes, end: End, limits: ArchiveLimits, where: str) -> tuple[Entry, ...]:
    """Reads the directory; every rule that needs no look at the entries' content.

    Args:
        data: the directory's bytes.
        end: the end record.
        limits: on what is read.
        where: named in errors.

    Returns:
        The entries in the order in which they lie in the archive, ``manifest.json`` among them.

    Raises:
        BundleError: any rule is broken.
    """
    entries: list[Entry] = []
    position = 0
    while position < len(data):
        entry, position = _parse_record(data, position, limits, where)
        entries.append(entry)
    if len(entries) != end.count:
        raise BundleError(
            f"its directory has {len(entries)} entries, and its end says {end.count}",
            where=where,
            hint=HINT,
        )
    check_names([entry.name for entry in entries], where)
    ordered = tuple(sorted(entries, key=lambda entry: entry.header_offset))
    check_layout(ordered, end.directory_offset, where)
    check_sizes(ordered, limits, where)
    return ordered


def check_local(header: bytes, entry: Entry, where: str) -> None:
    """A local header, with its name, must say what the directory says.

    Args:
        header: the bytes from ``entry.header_offset`` to ``entry.data_offset``.
        entry: as the directory has it.
        where: named in errors.

    Raises:
        BundleError: it differs in any field.
    """
    where = f"{where}: {entry.name}"
    if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL_MAGIC):
        raise BundleError("has no local header where the directory says", where=where, hint=HINT)
    _, version, flags, method, time, date, crc, compressed, size, name_bytes, extra_bytes = (
        LOCAL_HEADER.unpack_from(header)
    )
    if extra_bytes:
        raise BundleError("has an extra field in its local header", where=where, hint=HINT)
    if name_bytes != len(entry.name) or header[LOCAL_HEADER.size :] != entry.name.encode():
        raise BundleError("has another name in its local header", where=where, hint=HINT)
    if (version, flags, method, time, date, crc, compressed, size) != (
        entry.version,
        entry.flags,
        entry.method,
        entry.time,
        entry.date,
        entry.crc,
        entry.compressed_bytes,
        entry.size_bytes,
    ):
        raise BundleError(
            "its local header and the directory contradict each other", where=where, hint=HINT
        )


def check_names(names: Sequence[str], where: str) -> None:
    """No file twice, not even for a card formatted as FAT, and no file where a folder must be.

    Raises:
        BundleError: two names would meet.
    """
    seen: dict[str, str] = {}
    for name in names:
        folded = name.casefold()
        if folded in seen:
            other = seen[folded]
            what = "is there twice" if other == name else f"differs from {other} only in case"
            raise BundleError(what, where=f"{where}: {name}", hint=HINT)
        seen[folded] = name
    for folded, name in seen.items():
        parts = folded.split("/")
        for length in range(1, len(parts)):
            if (holder := seen.get("/".join(parts[:length]))) is not None:
                raise BundleError(
                    f"lies in {holder}, which is a file", where=f"{where}: {name}", hint=HINT
                )


def check_layout(ordered: Sequence[Entry], directory_offset: int, where: str) -> None:
    """The entries fill the file up to the directory: no gap, no overlap.

    Raises:
        BundleError: they do not.
    """
    expected = 0
    for entry in ordered:
        if entry.header_offset < expected:
            raise BundleError("overlaps another entry", where=f"{where}: {entry.name}", hint=HINT)
        if entry.header_offset > expected:
            raise BundleError(
                f"{entry.header_offset - expected} bytes that belong to nothing lie before it",
                where=f"{where}: {entry.name}",
                hint=HINT,
            )
        expected = entry.end_offset
    if expected > directory_offset:
        raise BundleError("overlaps the directory", where=f"{where}: {ordered[-1].name}", hint=HINT)
    if expected < directory_offset:
        raise BundleError(
            f"{directory_offset - expected} bytes that belong to nothing lie before its directory",
            where=where,
            hint=HINT,
        )


def check_sizes(entries: Sequence[Entry], limits: ArchiveLimits, where: str) -> None:
    """Each file's size and ratio, all together, and the two that are read before they are trusted.

    Raises:
        BundleError: one is too large, or ``manifest.json`` is not there.
    """
    own = {MANIFEST_NAME: limits.manifest_bytes, SIGNATURE_NAME: limits.signature_bytes}
    for entry in entries:
        allowed = own.get(entry.name, limits.file_bytes)
        if entry.size_bytes > allowed:
            raise BundleError(
                f"{entry.size_bytes} bytes are more than the {allowed} allowed",
                where=f"{where}: {entry.name}",
            )
        if entry.method == STORED and entry.size_bytes != entry.compressed_bytes:
            raise BundleError(
                f"is stored in {entry.compressed_bytes} bytes and said to have {entry.size_bytes}",
                where=f"{where}: {entry.name}",
                hint=HINT,
            )
        if (
            entry.size_bytes > limits.ratio_exempt_bytes
            and entry.size_bytes > limits.ratio * entry.compressed_bytes
        ):
            raise BundleError(
                f"{entry.compressed_bytes} bytes that unpack to {entry.size_bytes} are a "
                f"compression bomb (the limit is {limits.ratio} to 1)",
                where=f"{where}: {entry.name}",
                hint=HINT,
            )
    total = sum(entry.size_bytes for entry in entries)
    if total > limits.total_bytes:
        raise BundleError(
            f"its files have {total} bytes, more than the {limits.total_bytes} allowed",
            where=where,
        )
    if not any(entry.name == MANIFEST_NAME for entry in entries):
        raise BundleError(f"has no {MANIFEST_NAME}", where=where, hint=HINT)


def check_name(raw: bytes, limits: ArchiveLimits, where: str) -> str:
    """An entry's name, if it can name a file of a bundle and nothing else.

    Raises:
        BundleError: it is of any other form.
    """
    if not 0 < len(raw) <= limits.name_bytes:
        raise BundleError(
            f"a name of {len(raw)} bytes, and 1 to {limits.name_bytes} are allowed",
            where=where,
            hint=HINT,
        )
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"the name {_shown(raw)} is not UTF-8", where=where, hint=HINT) from error
    parts = name.split("/")
    faults = (
        (any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in name), "holds a control character"),
        ("\\" in name, "holds a backslash"),
        (re.match(r"[A-Za-z]:", name) is not None, "begins with a drive"),
        (name.startswith("/"), "is absolute"),
        (".." in parts, "leads out of the bundle"),
        (name.endswith("/"), "is a folder's, and a bundle lists files only"),
        ("" in parts or "." in parts, "has an empty part"),
        (not PATH_PATTERN.fullmatch(name), "has a form that no file of a bundle has"),
    )
    for wrong, what in faults:
        if wrong:
            raise BundleError(f"the name {_shown(raw)} {what}", where=where, hint=HINT)
    return name


def _parse_record(
    data: bytes, position: int, limits: ArchiveLimits, where: str
) -> tuple[Entry, int]:
    fixed = data[position : position + CENTRAL_HEADER.size]
    if len(fixed) < CENTRAL_HEADER.size or not fixed.startswith(CENTRAL_MAGIC):
        raise BundleError("its directory is damaged", where=where, hint=HINT)
    record = Central(*CENTRAL_HEADER.unpack(fixed))
    position += CENTRAL_HEADER.size
    raw_name = data[position : position + record.name_bytes]
    if len(raw_name) < record.name_bytes:
        raise BundleError("its directory is cut off within a name", where=where, hint=HINT)
    name = check_name(raw_name, limits, where)
    _check_record(record, f"{where}: {name}")
    entry = Entry(
        name=name,
        method=record.method,
        crc=record.crc,
        compressed_bytes=record.compressed_bytes,
        size_bytes=record.size_bytes,
        header_offset=record.header_offset,
        version=record.version,
        flags=record.flags,
        time=record.time,
        date=record.date,
    )
    return entry, position + record.name_bytes


def _check_record(record: Central, where: str) -> None:
    mode = record.external_attributes >> 16
    kind = stat.S_IFMT(mode)
    zip64 = (record.compressed_bytes, record.size_bytes, record.header_offset)
    faults = (
        (record.flags & ENCRYPTED_FLAGS != 0, "is encrypted"),
        (record.flags & DESCRIPTOR_FLAG != 0, "has its size after its content (data descriptor)"),
        (record.flags & ~ALLOWED_FLAGS != 0, f"has unknown flags {record.flags:#06x}"),
        (
            record.method not in (STORED, DEFLATED),
            f"is compressed by method {record.method}; 0 (stored) and 8 (deflate) are read",
        ),
        (0xFFFFFFFF in zip64 or record.disk == 0xFFFF, "is a zip64 entry"),
        (record.disk != 0, "lies on another disk"),
        (record.version > VERSION_MAX, f"needs version {record.version / 10:g} of the zip format"),
        (record.extra_bytes != 0, "has an extra field"),
        (record.comment_bytes != 0, "has a comment"),
        (stat.S_ISLNK(mode), "is a link"),
        (kind == stat.S_IFDIR or record.external_attributes & DOS_FOLDER != 0, "is a folder"),
        (
            kind not in (0, stat.S_IFREG) or record.external_attributes & DOS_VOLUME != 0,
            "is a special file",
        ),
        (mode & SPECIAL_BITS != 0, "has set-user, set-group or sticky permission"),
    )
    for wrong, what in faults:
        if wrong:
            raise BundleError(what, where=where, hint=HINT)


def _why_no_end(tail: bytes) -> str:
    found = tail.rfind(END_MAGIC)
    if found < 0 or len(tail) - found < END_RECORD.size:
        return "is no zip archive, or its end is missing"
    *_, comment = END_RECORD.unpack_from(tail, found)
    after = len(tail) - found - END_RECORD.size
    if comment == after:
        return f"has a comment of {comment} bytes"
    return f"{after} bytes that belong to nothing lie after its end"


def _shown(raw: bytes) -> str:
    """A foreign name, safe on a terminal and in a log."""
    return ascii(raw.decode(errors="backslashreplace")[:SHOWN_CHARACTERS])
