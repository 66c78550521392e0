"""What is known of a download, as it is kept beside it: ``KEY.json``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from updater.errors import StorageError
from updater.fetch.resume import Checkpoint, Version
from updater.fields import FieldReader

FORMAT = 1
RECORD_MAX_BYTES = 64 * 1024
SIZE_MAX_BYTES = 2**53
SIZE_UNKNOWN = -1
NOTHING = Checkpoint(0, hashlib.sha256().hexdigest())


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a download.

    Attributes:
        source: the address, without anything secret.
        version: of the file on the server.
        checkpoint: what is on the disk for certain.
        boot_id: of the boot in which the file was written; "" where the kernel does not tell.
    """

    source: str
    version: Version
    checkpoint: Checkpoint
    boot_id: str


def to_json(record: Record) -> bytes:
    """The record as one line of JSON."""
    size = record.version.size_bytes
    fields = {
        "format": FORMAT,
        "source": record.source,
        "etag": record.version.etag,
        "sha256": record.version.sha256,
        "size_bytes": SIZE_UNKNOWN if size is None else size,
        "checkpoint_bytes": record.checkpoint.length_bytes,
        "checkpoint_sha256": record.checkpoint.sha256,
        "boot_id": record.boot_id,
    }
    return json.dumps(fields, sort_keys=True).encode() + b"\n"


def from_json(data: bytes, *, where: str) -> Record:
    """Reads and checks a record.

    Raises:
        StorageError: it is damaged, or of another format.
    """
    if len(data) > RECORD_MAX_BYTES:
        raise StorageError(f"larger than {RECORD_MAX_BYTES} bytes", where=where)
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"not JSON: {error}", where=where) from error
    reader = FieldReader(raw, where=where, error=StorageError)
    reader.integer("format", FORMAT, FORMAT)
    size = reader.integer("size_bytes", SIZE_UNKNOWN, SIZE_MAX_BYTES)
    record = Record(
        source=reader.optional_text("source"),
        version=Version(
            etag=reader.optional_text("etag"),
            sha256=reader.optional_text("sha256"),
            size_bytes=None if size == SIZE_UNKNOWN else size,
        ),
        checkpoint=Checkpoint(
            reader.integer("checkpoint_bytes", 0, SIZE_MAX_BYTES),
            reader.optional_text("checkpoint_sha256"),
        ),
        boot_id=reader.optional_text("boot_id"),
    )
    reader.finish()
    return record


def read(path: Path) -> Record:
    """Reads a record from its file.

    Raises:
        StorageError: it cannot be read, or is damaged.
        FileNotFoundError: there is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(RECORD_MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return from_json(data, where=str(path))
