"""Where everything lies in the store.

==============================  =================================================================
``releases/VERSION-DIGEST/``    unpacked bundles, each whole
``current``                     a link to one of them, or to the floor outside
``staging/``                    what is not whole: being unpacked, or about to be deleted
``downloads/``                  archives, complete or to be gone on with
``reports/RELEASE.json``        what the self-test measured
``journal.json``, ``lock``      what the store knows, and who is at work on it
==============================  =================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from updater.store.journal import JOURNAL_NAME, Release

CURRENT_NAME = "current"
RELEASES_NAME = "releases"
STAGING_NAME = "staging"
DOWNLOADS_NAME = "downloads"
REPORTS_NAME = "reports"
LOCK_NAME = "lock"
NEW_LINK_NAME = ".current.new"
"""The link before it is renamed over ``current``."""

DAMAGED_NAME = "journal.damaged"
DAMAGED_MAX = 3
"""Damaged journals kept for whoever wants to know why, ``journal.damaged-1`` and so on; when
there are so many the last one is replaced."""

FOLDER_MODE = 0o755
FILE_MODE = 0o644
"""The daemon and the updater are different users; nothing in a bundle is secret."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths in a store.

    Attributes:
        root: the store's folder.
    """

    root: Path

    @property
    def journal(self) -> Path:
        """What the store knows."""
        return self.root / JOURNAL_NAME

    @property
    def lock(self) -> Path:
        """Locked by whoever changes something."""
        return self.root / LOCK_NAME

    @property
    def current(self) -> Path:
        """The link to the release that runs."""
        return self.root / CURRENT_NAME

    @property
    def releases(self) -> Path:
        """The unpacked bundles."""
        return self.root / RELEASES_NAME

    @property
    def staging(self) -> Path:
        """What is not whole; emptied by every ``recover``."""
        return self.root / STAGING_NAME

    @property
    def downloads(self) -> Path:
        """Archives."""
        return self.root / DOWNLOADS_NAME

    @property
    def reports(self) -> Path:
        """The self-tests' reports."""
        return self.root / REPORTS_NAME

    def folder(self, release: Release) -> Path:
        """A release's folder; the floor's path is absolute and stays so."""
        return self.root / release.path

    def report(self, name: str) -> Path:
        """A release's self-test report, by the release's name."""
        return self.reports / f"{name}.json"

    def damaged_journal(self, number: int) -> Path:
        """A place for a journal that could not be read, 1 to :data:`DAMAGED_MAX`."""
        return self.root / f"{DAMAGED_NAME}-{number}"


def release_path(name: str) -> str:
    """A release's path in the store, by its name; also what ``current`` then says."""
    return f"{RELEASES_NAME}/{name}"
