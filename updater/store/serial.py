"""The journal as JSON: the same journal, the same bytes; what is read is checked field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from updater.errors import StateError
from updater.fields import FieldReader
from updater.manifest import SHA256_PATTERN, VERSION_PATTERN
from updater.store.journal import (
    FORMAT,
    JOURNAL_NAME,
    Candidate,
    Event,
    Failure,
    Journal,
    Origin,
    Outcome,
    Release,
    release_name,
)
from updater.store.layout import release_path
from updater.store.states import State

JOURNAL_MAX_BYTES = 1 << 20
ENTRIES_MAX = 200
"""Of each list; the moves keep them far shorter."""

COUNT_MAX = 2**53
TIME_MAX_S = 1e12
ABSOLUTE_PATTERN = re.compile(r"/[^\x00]*")
HINT = "'sitewatch-update recover' builds a new one from what lies on the disk"

NEEDS_RELEASE = frozenset(
    {State.STAGED, State.TESTED, State.ACTIVATED, State.ON_PROBATION, State.COMMITTED}
)
"""A candidate in one of these has a folder."""

T = TypeVar("T")


def to_json(journal: Journal) -> bytes:
    """The journal's canonical bytes."""
    text = json.dumps(asdict(journal), indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode(errors="replace") + b"\n"  # a file's name need not be UTF-8


def from_json(data: bytes, *, where: str = JOURNAL_NAME) -> Journal:
    """Reads and checks a journal.

    Args:
        data: the file's bytes.
        where: named in errors.

    Raises:
        StateError: too long, not JSON, an unknown or missing field, a value that cannot be, or a
            newer format.
    """
    try:
        return _journal(data, where)
    except StateError as error:
        if error.hint:
            raise
        raise StateError(error.what, where=error.where, hint=HINT) from error


def _journal(data: bytes, where: str) -> Journal:
    if len(data) > JOURNAL_MAX_BYTES:
        raise StateError(f"more than the {JOURNAL_MAX_BYTES} bytes allowed", where=where)
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StateError(f"not JSON: {error}", where=where) from error
    reader = FieldReader(raw, where=where, error=StateError)
    if (found := reader.integer("format", 1, 2**31)) != FORMAT:
        raise StateError(
            f"format {found}, and this version reads format {FORMAT}", where=f"{where}: format"
        )
    journal = Journal(
        committed=_optional(reader, "committed", _release),
        previous=_optional(reader, "previous", _release),
        candidate=_optional(reader, "candidate", _candidate),
        releases=tuple(_release(entry) for entry in reader.subs("releases", at_most=ENTRIES_MAX)),
        failures=tuple(_failure(entry) for entry in reader.subs("failures", at_most=ENTRIES_MAX)),
        history=tuple(_event(entry) for entry in reader.subs("history", at_most=ENTRIES_MAX)),
        format=FORMAT,
    )
    reader.finish()
    return journal


def _optional(reader: FieldReader, name: str, read: Callable[[FieldReader], T]) -> T | None:
    found = reader.optional_sub(name)
    return None if found is None else read(found)


def _release(reader: FieldReader) -> Release:
    version = reader.text("version", pattern=VERSION_PATTERN)
    digest = reader.text("digest", pattern=SHA256_PATTERN)
    origin = Origin(reader.text("origin", choices=tuple(Origin)))
    # A path from a damaged journal may be deleted later: only the one that must be is taken.
    path = (
        reader.text("path", pattern=ABSOLUTE_PATTERN)
        if origin is Origin.FLOOR
        else reader.text("path", choices=(release_path(release_name(version, digest)),))
    )
    release = Release(
        version=version,
        digest=digest,
        origin=origin,
        path=path,
        size_bytes=reader.integer("size_bytes", 0, COUNT_MAX),
        installed_unix_s=reader.number("installed_unix_s", 0.0, TIME_MAX_S),
    )
    reader.finish()
    return release


def _candidate(reader: FieldReader) -> Candidate:
    candidate = Candidate(
        version=reader.optional_text("version"),
        digest=reader.optional_text("digest"),
        state=State(reader.text("state", choices=tuple(State))),
        source=reader.optional_text("source"),
        archive_sha256=reader.optional_text("archive_sha256"),
        release=_optional(reader, "release", _release),
        starts=reader.integer("starts", 0, COUNT_MAX),
        began_unix_s=reader.number("began_unix_s", 0.0, TIME_MAX_S),
        reason=reader.optional_text("reason"),
    )
    reader.finish()
    if candidate.release is None and candidate.state in NEEDS_RELEASE:
        raise StateError(f"'{candidate.state}' without a release", where=reader.where)
    if candidate.release is not None and candidate.release.digest != candidate.digest:
        raise StateError("its release has another digest", where=reader.where)
    return candidate


def _failure(reader: FieldReader) -> Failure:
    failure = Failure(
        digest=reader.optional_text("digest"),
        archive_sha256=reader.optional_text("archive_sha256"),
        version=reader.optional_text("version"),
        reason=reader.optional_text("reason"),
        at_unix_s=reader.number("at_unix_s", 0.0, TIME_MAX_S),
    )
    reader.finish()
    return failure


def _event(reader: FieldReader) -> Event:
    event = Event(
        action=reader.text("action"),
        outcome=Outcome(reader.text("outcome", choices=tuple(Outcome))),
        version=reader.optional_text("version"),
        digest=reader.optional_text("digest"),
        reason=reader.optional_text("reason"),
        exit_code=reader.integer("exit_code", 0, 255),
        at_unix_s=reader.number("at_unix_s", 0.0, TIME_MAX_S),
    )
    reader.finish()
    return event
