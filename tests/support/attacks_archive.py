"""Attacks on the zip: its end, names, kinds of entries, layout, headers and sizes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from tests.support.attack import (
    GOOD,
    GOOD_BYTES,
    JPEG,
    MANIFEST_DATA,
    MODEL,
    SIGNATURE,
    Attack,
    attack,
)
from tests.support.rawzip import RawFile, RawZip, deflate
from tests.support.signed import FILES, bundle
from updater.archive import DEFAULT_LIMITS, ArchiveLimits
from updater.zipformat import END_RECORD

FORM = "has a form that no file of a bundle has"
CONTRADICTION = "its local header and the directory contradict each other"


def on_the_archive() -> Iterator[Attack]:
    """In the order in which a device asks."""
    yield from _ends()
    yield from _names()
    yield from _kinds()
    yield from _doubles()
    yield from _layouts()
    yield from _local_headers()
    yield from _sizes()


def _ends() -> Iterator[Attack]:
    size = len(GOOD_BYTES)
    count = len(GOOD.files)
    no_zip = "is no zip archive, or its end is missing"
    nowhere = "its directory does not lie where its end says"
    disks = "is a part of an archive of several disks"
    yield attack("empty", b"", "", "0 bytes are no zip archive")
    yield attack(
        "too large",
        GOOD,
        "",
        f"{size} bytes are more than the {size - 1} allowed",
        limits=ArchiveLimits(archive_bytes=size - 1),
    )
    yield attack("another format", b"\x1f\x8b" + bytes(500), "", no_zip)
    yield attack("cut off by a byte", GOOD_BYTES[:-1], "", no_zip)
    yield attack("cut in half", GOOD_BYTES[: size // 2], "", no_zip)
    yield attack("comment", replace(GOOD, comment=b"hello"), "", "has a comment of 5 bytes")
    yield attack(
        "comment that is an end record",
        replace(GOOD, comment=GOOD_BYTES[-END_RECORD.size :]),
        "",
        nowhere_before(22),
    )
    yield attack(
        "comment cut off", GOOD_BYTES[:-2] + b"\x05\x00", "", "is cut off within its comment"
    )
    yield attack(
        "appended data",
        replace(GOOD, after=b"#!/bin/sh\n"),
        "",
        "10 bytes that belong to nothing lie after its end",
    )
    yield attack("prepended data", replace(GOOD, before=b"#!/bin/sh\n"), "", nowhere_before(10))
    yield attack(
        "prepended data, offsets adjusted",
        replace(GOOD, before=b"#!/bin/sh\n", shifted=True),
        "manifest.json",
        "10 bytes that belong to nothing lie before it",
    )
    yield attack("two archives in one file", GOOD_BYTES * 2, "", nowhere_before(size))
    yield attack("second disk", replace(GOOD, disk=1), "", disks)
    yield attack("directory on another disk", replace(GOOD, first_disk=1), "", disks)
    yield attack("entries on another disk", replace(GOOD, count_here=1), "", disks)
    yield attack(
        "more entries than said",
        replace(GOOD, count=count - 1, count_here=count - 1),
        "",
        f"its directory has {count} entries, and its end says {count - 1}",
    )
    yield attack(
        "fewer entries than said",
        replace(GOOD, count=count + 1, count_here=count + 1),
        "",
        f"its directory has {count} entries, and its end says {count + 1}",
    )
    yield attack(
        "too many entries",
        GOOD.add(*(RawFile(f"golden/{n}".encode()) for n in range(200))),
        "",
        "205 entries are more than the 202 allowed",
    )
    yield attack(
        "zip64 end", replace(GOOD, count=0xFFFF, count_here=0xFFFF), "", "is a zip64 archive"
    )
    yield attack(
        "zip64 offset", replace(GOOD, directory_offset=0xFFFFFFFF), "", "is a zip64 archive"
    )
    yield attack("directory beyond the end", replace(GOOD, directory_offset=size), "", nowhere)
    yield attack(
        "directory too large",
        replace(
            GOOD,
            before_directory=bytes(60_000),
            directory_offset=0,
            directory_bytes=len(GOOD_BYTES) + 60_000 - 22,
        ),
        "",
        f"a directory of {len(GOOD_BYTES) + 60_000 - 22} bytes is too large",
    )
    yield attack(
        "directory damaged", GOOD.edit(JPEG, magic=b"PK\x00\x00"), "", "its directory is damaged"
    )
    yield attack(
        "name longer than the directory",
        GOOD.edit(MODEL, name_bytes=200),
        "",
        "its directory is cut off within a name",
    )


def nowhere_before(count: int) -> str:
    return f"{count} bytes that belong to nothing lie before it or after its directory"


def _names() -> Iterator[Attack]:
    def named(kind: str, name: bytes, what: str) -> Attack:
        return attack(kind, GOOD.add(RawFile(name, b"evil")), "", what)

    for kind, name, fault in (
        ("absolute name", b"/etc/cron.d/evil", "is absolute"),
        ("name that leads out", b"../evil", "leads out of the bundle"),
        ("name that leads out further in", b"golden/../../evil", "leads out of the bundle"),
        ("name with a backslash", b"..\\evil", "holds a backslash"),
        ("name with a drive", b"C:evil", "begins with a drive"),
        ("name with a NUL", b"model.tflite\x00.jpg", "holds a control character"),
        ("name with a line break", b"evil\nname", "holds a control character"),
        ("name with a terminal's escape", b"\x1b[2Jevil", "holds a control character"),
        ("name with a C1 control", "\x9b2J".encode(), "holds a control character"),
        ("folder as an entry", b"golden/", "is a folder's, and a bundle lists files only"),
        ("name with an empty part", b"golden//evil", "has an empty part"),
        ("name with a dot part", b"./evil", "has an empty part"),
        ("name like another to the eye", "m\u043edel.tflite".encode(), FORM),
        ("hidden file", b".profile", FORM),
        ("name like an option", b"-rf", FORM),
        ("name with a space", b"a b", FORM),
        ("name too deep", b"a/b/c/d/e", FORM),
    ):
        yield named(kind, name, f"the name {name.decode()!a} {fault}")
    yield named("name that is not UTF-8", b"caf\xe9", "the name 'caf\\\\xe9' is not UTF-8")
    yield named("name overlong in UTF-8", b"\xc0\xaf", "the name '\\\\xc0\\\\xaf' is not UTF-8")
    yield named("no name", b"", "a name of 0 bytes, and 1 to 200 are allowed")
    yield named("name too long", b"a" * 201, "a name of 201 bytes, and 1 to 200 are allowed")


def _kinds() -> Iterator[Attack]:
    for kind, mode in (("fifo", 0o010644), ("socket", 0o140644), ("device", 0o060644)):
        yield attack(
            f"{kind} as an entry", GOOD.edit(JPEG, attributes=mode << 16), JPEG, "is a special file"
        )
    methods = "0 (stored) and 8 (deflate) are read"
    for kind, changes, what in (
        ("link", {"attributes": 0o120777 << 16, "content": b"/etc/shadow"}, "is a link"),
        ("folder by its mode", {"attributes": 0o040755 << 16}, "is a folder"),
        ("folder by its DOS attribute", {"attributes": 0x10, "made_by": 20}, "is a folder"),
        ("volume label", {"attributes": 0x08, "made_by": 20}, "is a special file"),
        (
            "set-user permission",
            {"attributes": 0o104755 << 16},
            "has set-user, set-group or sticky permission",
        ),
        ("encrypted", {"flags": 1}, "is encrypted"),
        ("strongly encrypted", {"flags": 1 << 6}, "is encrypted"),
        ("masked header", {"flags": 1 << 13}, "is encrypted"),
        ("patch of another file", {"flags": 1 << 5}, "has unknown flags 0x0020"),
        (
            "data descriptor",
            {"flags": 1 << 3, "after": b"PK\x07\x08" + bytes(12)},
            "has its size after its content (data descriptor)",
        ),
        ("bzip2", {"method": 12}, f"is compressed by method 12; {methods}"),
        ("lzma", {"method": 14}, f"is compressed by method 14; {methods}"),
        ("deflate64", {"method": 9}, f"is compressed by method 9; {methods}"),
        ("newer format", {"version": 45}, "needs version 4.5 of the zip format"),
        (
            "zip64 entry",
            {"size": 0xFFFFFFFF, "extra": struct.pack("<HHQ", 1, 8, 500)},
            "is a zip64 entry",
        ),
        ("zip64 extra field", {"extra": struct.pack("<HHQ", 1, 8, 500)}, "has an extra field"),
        (
            "second name in an extra field",
            {"extra": struct.pack("<HHBL4s", 0x7075, 9, 1, 0, b"evil")},
            "has an extra field",
        ),
        ("entry's comment", {"comment": b"hello"}, "has a comment"),
        ("entry on another disk", {"disk": 1}, "lies on another disk"),
    ):
        yield attack(kind, GOOD.edit(JPEG, **changes), JPEG, what)


def _doubles() -> Iterator[Attack]:
    yield attack("file twice", GOOD.add(RawFile(MODEL.encode(), b"evil")), MODEL, "is there twice")
    yield attack(
        "manifest twice",
        GOOD.add(RawFile(b"manifest.json", b"{}")),
        "manifest.json",
        "is there twice",
    )
    yield attack(
        "names that differ in case",
        GOOD.add(RawFile(b"Model.TFLITE", b"evil")),
        "Model.TFLITE",
        "differs from model.tflite only in case",
    )
    yield attack(
        "file as a folder",
        GOOD.add(RawFile(b"model.tflite/evil", b"")),
        "model.tflite/evil",
        "lies in model.tflite, which is a file",
    )
    yield attack(
        "file as a folder in another case",
        GOOD.add(RawFile(b"GOLDEN", b"")),
        JPEG,
        "lies in GOLDEN, which is a file",
    )


def _layouts() -> Iterator[Attack]:
    yield attack(
        "gap between entries",
        GOOD.edit(JPEG, before=b"hidden"),
        JPEG,
        "6 bytes that belong to nothing lie before it",
    )
    yield attack(
        "local entry that the directory hides",
        GOOD.add(RawFile(b"hidden", b"evil", is_in_directory=False)),
        "",
        "40 bytes that belong to nothing lie before its directory",
    )
    yield attack(
        "data before the directory",
        replace(GOOD, before_directory=b"hidden"),
        "",
        "6 bytes that belong to nothing lie before its directory",
    )
    yield attack(
        "data after the directory", replace(GOOD, after_directory=b"hidden"), "", nowhere_before(6)
    )
    yield attack(
        "two entries over one content",
        GOOD.add(RawFile(b"evil", offset=0, is_in_data=False)),
        "evil",
        "overlaps another entry",
    )
    quine = RawFile(b"evil", GOOD.files[0].local_header() + GOOD.files[0].packed())
    yield attack(
        "entry within another",
        RawZip((quine, replace(GOOD.files[0], offset=34, is_in_data=False), *GOOD.files[1:])),
        "manifest.json",
        "overlaps another entry",
    )
    yield attack(
        "entry over the directory",
        GOOD.edit(MODEL, compressed=5000, size=6000),
        MODEL,
        "overlaps the directory",
    )


def _local_headers() -> Iterator[Attack]:
    yield attack(
        "no local header",
        GOOD.edit(JPEG, local={"magic": b"PK\x00\x00"}),
        JPEG,
        "has no local header where the directory says",
    )
    yield attack(
        "another name inside",
        GOOD.edit(JPEG, local={"name": b"../../../evil1"}),
        JPEG,
        "has another name in its local header",
    )
    yield attack(
        "extra field inside",
        GOOD.edit(JPEG, local={"name": b"golden/one", "extra": b"\xfe\xca\x00\x00"}),
        JPEG,
        "has an extra field in its local header",
    )
    for name, value in (
        ("size", 5),
        ("compressed", 5),
        ("crc", 5),
        ("method", 8),
        ("flags", 2),
        ("flags", 8),
        ("version", 45),
        ("time", 5),
        ("date", 5),
    ):
        yield attack(
            f"another {name} inside ({value})",
            GOOD.edit(JPEG, local={name: value}),
            JPEG,
            CONTRADICTION,
        )


def _sizes() -> Iterator[Attack]:
    bomb = bytes(2 << 20)
    packed = len(deflate(bomb))
    whole = sum(len(file.content) for file in GOOD.files)
    spaces = MANIFEST_DATA + b" " * DEFAULT_LIMITS.manifest_bytes
    yield attack(
        "manifest too large",
        bundle(spaces),
        "manifest.json",
        f"{len(spaces)} bytes are more than the 262144 allowed",
    )
    yield attack(
        "signature too large",
        bundle(signature=SIGNATURE * 9),
        "manifest.sig",
        f"{len(SIGNATURE) * 9} bytes are more than the 1024 allowed",
    )
    yield attack(
        "file too large",
        GOOD.edit(MODEL, size=1 << 31),
        MODEL,
        f"{1 << 31} bytes are more than the {256 << 20} allowed",
    )
    yield attack(
        "all files together too large",
        GOOD,
        "",
        f"its files have {whole} bytes, more than the {whole - 1} allowed",
        limits=ArchiveLimits(total_bytes=whole - 1),
    )
    yield attack(
        "compression bomb",
        bundle(files={**FILES, MODEL: bomb}),
        MODEL,
        f"{packed} bytes that unpack to {len(bomb)} are a compression bomb (the limit is 100 to 1)",
    )
    yield attack(
        "stored in another size",
        GOOD.edit(JPEG, size=600),
        JPEG,
        "is stored in 500 bytes and said to have 600",
    )
    yield attack("no manifest", GOOD.without("manifest.json"), "", "has no manifest.json")
