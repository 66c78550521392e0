"""What the store knows: one immutable document, replaced whole at each step.

``current`` itself is a link beside it; where the two disagree after a kill,
``updater.store.recovery`` says what is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from updater.store.states import State

FORMAT = 1
JOURNAL_NAME = "journal.json"
SHORT_DIGEST_CHARACTERS = 12


class Origin(StrEnum):
    """Where a release came from."""

    BUNDLE = "bundle"
    """Installed from a ``model.zip``; lies in ``releases/``."""
    FLOOR = "floor"
    """Part of the software package; lies outside the store and is never removed."""


class Outcome(StrEnum):
    """How a command ended."""

    SUCCESS = "success"
    PENDING = "pending"
    """Installed and proven by self-test; the verdict waits for a daemon."""
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """A kill or a power cut; found and mended by ``recover``."""


@dataclass(frozen=True, slots=True)
class Release:
    """An unpacked bundle.

    Attributes:
        version: of its manifest.
        digest: sha256 of the bytes of ``manifest.json``, 64 hex digits. The manifest holds every
            file's hash, so this names the whole content.
        origin: bundle or floor.
        path: its folder, relative to the store; absolute for the floor.
        size_bytes: its files together.
        installed_unix_s: when, by the device's clock.
    """

    version: str
    digest: str
    origin: Origin
    path: str
    size_bytes: int
    installed_unix_s: float

    @property
    def name(self) -> str:
        """``<version>-<first digits of the digest>``: its folder's name, and people's."""
        return release_name(self.version, self.digest)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is being installed, or was last.

    Attributes:
        version: "" until the manifest has been read.
        digest: of the manifest, "" until it has been read.
        state: how far it has come.
        source: file or URL, without credentials.
        archive_sha256: of the ``model.zip``; "" for a rollback to a release that is there.
        release: its folder, from STAGED on.
        starts: starts of a daemon with it since it was activated without a verdict.
        began_unix_s: when, by the device's clock.
        reason: why it failed or was rolled back.
    """

    version: str
    digest: str
    state: State
    source: str
    archive_sha256: str
    release: Release | None
    starts: int
    began_unix_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A bundle that failed here and is refused until somebody says ``--retry``.

    Attributes:
        digest: of the manifest.
        archive_sha256: of the archive, so that a repeated download can be refused unread; may be
            "".
        version: of the manifest.
        reason: what went wrong.
        at_unix_s: when.
    """

    digest: str
    archive_sha256: str
    version: str
    reason: str
    at_unix_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history, and of ``status``'s last result.

    Attributes:
        action: ``install``, ``rollback``, ``confirm``, ``recover``, ``gc``.
        outcome: how it ended.
        version: of the bundle it was about; "" if that was not known.
        digest: likewise.
        reason: one clause; "" for a success.
        exit_code: of the command.
        at_unix_s: when.
    """

    action: str
    outcome: Outcome
    version: str
    digest: str
    reason: str
    exit_code: int
    at_unix_s: float


@dataclass(frozen=True, slots=True)
class Journal:
    """Everything the store knows.

    Attributes:
        committed: the release last found good: where a rollback goes.
        previous: the good one before it.
        candidate: what is under way, or the last one in a final state.
        releases: those kept, the floor included, oldest first.
        failures: bundles refused, oldest first, bounded.
        history: what happened, oldest first, bounded.
        format: of the document.
    """

    committed: Release | None = None
    previous: Release | None = None
    candidate: Candidate | None = None
    releases: tuple[Release, ...] = ()
    failures: tuple[Failure, ...] = ()
    history: tuple[Event, ...] = ()
    format: int = FORMAT


def release_name(version: str, digest: str) -> str:
    """A release folder's name, ``<version>-<12 hex digits>``."""
    return f"{version}-{digest[:SHORT_DIGEST_CHARACTERS]}"
