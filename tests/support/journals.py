"""Releases and journals made by hand, for the pure rules of the store."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from updater.store.journal import Candidate, Failure, Journal, Origin, Release, release_name
from updater.store.states import State

FETCHED_STATES = frozenset({State.FETCHED, State.VERIFIED})


def release(version: str, *, size_bytes: int = 10) -> Release:
    digest = hashlib.sha256(version.encode()).hexdigest()
    path = f"releases/{release_name(version, digest)}"
    return Release(version, digest, Origin.BUNDLE, path, size_bytes, 5.0)


def floor(version: str = "0.9") -> Release:
    found = release(version)
    return replace(found, origin=Origin.FLOOR, path="/usr/share/sitewatch/model")


FLOOR, OLD, GOOD, NEW = floor(), release("1.0"), release("2.0"), release("3.0")


def candidate(state: State, *, of: Release = NEW, starts: int = 0) -> Candidate:
    read = state is not State.FETCHED
    return Candidate(
        version=of.version if read else "",
        digest=of.digest if read else "",
        state=state,
        source="https://example.org/model.zip",
        archive_sha256="a" * 64,
        release=None if state in FETCHED_STATES else of,
        starts=starts,
        began_unix_s=7.0,
        reason="",
    )


def journal(state: State | None = None, *, starts: int = 0) -> Journal:
    """OLD and GOOD were installed over the floor, and NEW is in a state."""
    found = Journal(committed=GOOD, previous=OLD, releases=(FLOOR, OLD, GOOD))
    if state is None:
        return found
    found = replace(found, candidate=candidate(state, starts=starts))
    if state is State.COMMITTED:
        return replace(found, committed=NEW, previous=GOOD, releases=(FLOOR, OLD, GOOD, NEW))
    if state in {State.ROLLED_BACK, State.FAILED}:
        failure = Failure(NEW.digest, "a" * 64, NEW.version, "blind", 8.0)
        return replace(found, failures=(failure,))
    return found
