"""What the daemon needs to know of the store, read without its lock and without its rights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from updater.errors import BundleError, StateError
from updater.manifest import MANIFEST_MAX_BYTES, MANIFEST_NAME
from updater.store import serial, states
from updater.store.journal import JOURNAL_NAME, Journal
from updater.store.layout import CURRENT_NAME, Layout

TRIES = 5
"""A switch may come between two looks; that it comes five times means that something is wrong."""


@dataclass(frozen=True, slots=True)
class Active:
    """The model to run.

    Attributes:
        folder: where it lies, every link resolved: it stays the same whatever ``current`` says
            next. A bare model file stands for itself.
        digest: sha256 of its ``manifest.json``; "" for a model without one.
        on_trial: whether it is on probation, so its figures are reported.
        predecessor: the release it is compared with; None unless it is on probation and there is
            another one.
    """

    folder: Path
    digest: str
    on_trial: bool
    predecessor: Path | None


def active(bundle_path: Path) -> Active:
    """The model behind the configured path, which may be the store's ``current``, and its state.

    The link is read before the journal: the journal is written first, so it already knows what
    the link said. A journal that is missing or damaged says nothing about trials, and stops no
    camera.

    Args:
        bundle_path: ``current`` of a store, a plain folder, or a model file.

    Raises:
        BundleError: there is nothing, or its manifest cannot be read.
    """
    for _ in range(TRIES - 1):
        try:
            return _look(bundle_path)
        except (BundleError, _SwitchedError):
            continue  # what was seen may have been removed since: the link is another by now
    try:
        return _look(bundle_path)
    except _SwitchedError as error:
        raise BundleError("is being replaced again and again", where=str(bundle_path)) from error


class _SwitchedError(Exception):
    """The link changed between two looks."""


def _look(bundle_path: Path) -> Active:
    folder = _resolved(bundle_path)
    digest = _digest(folder)
    journal = _journal(bundle_path)
    if _resolved(bundle_path) != folder:
        raise _SwitchedError
    return _told(folder, digest, journal, bundle_path.parent)


def _told(folder: Path, digest: str, journal: Journal, root: Path) -> Active:
    candidate = journal.candidate
    on_trial = (
        candidate is not None
        and candidate.state in states.CURRENT
        and bool(digest)
        and candidate.digest == digest
    )
    if not on_trial or journal.committed is None:
        return Active(folder, digest, on_trial, None)
    predecessor = Layout(root).folder(journal.committed).resolve()
    usable = predecessor != folder and predecessor.is_dir()
    return Active(folder, digest, on_trial, predecessor if usable else None)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, until Python 3.13
        raise BundleError(
            "there is no model here",
            where=str(path),
            hint="Name the folder of a bundle or a .tflite file, or run 'sitewatch-update recover'",
        ) from error


def _digest(folder: Path) -> str:
    """The manifest's, "" where there is a model without one."""
    if folder.is_file():
        return ""
    path = folder / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(MANIFEST_MAX_BYTES + 1)).hexdigest()
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _journal(bundle_path: Path) -> Journal:
    """The journal beside ``current``; an empty one where ``bundle_path`` is no store's link."""
    if bundle_path.name != CURRENT_NAME or not bundle_path.is_symlink():
        return Journal()
    path = bundle_path.parent / JOURNAL_NAME
    try:
        with path.open("rb") as file:
            return serial.from_json(file.read(serial.JOURNAL_MAX_BYTES + 1), where=str(path))
    except (OSError, StateError):
        return Journal()
