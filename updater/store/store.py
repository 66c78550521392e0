"""The store on a disk: it carries out what the pure modules beside it decide."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from updater.errors import DISK_ERRORS, BundleError, StateError, StorageError
from updater.manifest import MANIFEST_NAME, Manifest
from updater.store import lock, moves, observe, recovery, retention, serial
from updater.store.disk import Disk
from updater.store.journal import Event, Journal, Origin, Outcome, Release, release_name
from updater.store.layout import DAMAGED_MAX, Layout, release_path
from updater.store.recovery import Plan

NAME_MAX_BYTES = 200
"""Of a release's folder; file systems end at 255, and names are made of it."""


class Store:
    """The releases, ``current`` and the journal.

    Reading needs no lock. Everything else is done within :meth:`locked`, and first of all there
    comes :meth:`recover`: :func:`open_recovered` does both.

    Args:
        root: the store's folder; made when it is first locked.
        floor: the software's own model; None if there is none.
        now: seconds since 1970; may be wrong, nothing depends on it but what people read.
        disk: the effects.
    """

    def __init__(
        self,
        root: Path,
        floor: Path | None,
        *,
        now: Callable[[], float] = time.time,
        disk: Disk | None = None,
    ) -> None:
        self.layout = Layout(root)
        self.now = now
        self._floor = floor
        self._disk = disk or Disk()
        self._is_locked = False

    @contextmanager
    def locked(self, *, wait_s: float = 0.0) -> Iterator[None]:
        """Keeps other runs out for the length of a ``with``; folders that are missing are made.

        Args:
            wait_s: how long to wait for another run to end.

        Raises:
            BusyError: another run is at work; its process id is named.
            StorageError: the disk refuses.
        """
        if not self.layout.root.is_dir():
            self._disk.make_folder(self.layout.root)
        with lock.held(self.layout.lock, wait_s=wait_s):
            self._is_locked = True
            try:
                for folder in self._folders():
                    if not folder.is_dir():
                        self._disk.make_folder(folder)
                yield
            finally:
                self._is_locked = False

    @property
    def journal(self) -> Journal:
        """The journal as it is on the disk now; where there is none, what the disk tells.

        Raises:
            StateError: it cannot be understood.
            StorageError: it cannot be read.
        """
        found = self._read_journal()
        return recovery.rebuild(self._look(), reason="", now=0.0) if found is None else found

    @property
    def current(self) -> Release | None:
        """The release that ``current`` names; None if that is none the journal knows.

        Raises:
            StateError: the journal cannot be understood.
            StorageError: it cannot be read.
        """
        link = observe.link_text(self.layout.current)
        journal = self.journal
        candidate = None if journal.candidate is None else journal.candidate.release
        known = (candidate, journal.committed, journal.previous, *journal.releases)
        return next((each for each in known if each is not None and each.path == link), None)

    def release_folder(self, release: Release) -> Path:
        """Where a release lies."""
        return self.layout.folder(release)

    def write(self, journal: Journal) -> None:
        """Replaces the journal; when this returns, a power cut does not take it back.

        Raises:
            StorageError: the disk refuses; the old journal holds.
        """
        self._require_lock()
        self._disk.write(self.layout.journal, serial.to_json(journal))

    def switch(self, release: Release) -> None:
        """Lets ``current`` be this release; the journal has said so before.

        Raises:
            StorageError: the disk refuses, or ``current`` is no link but a folder.
        """
        self._require_lock()
        self._disk.point(self.layout.current, release.path)

    def stage_folder(self, name: str) -> Path:
        """An empty folder to unpack into.

        Args:
            name: the release's, from :func:`updater.store.journal.release_name`.

        Raises:
            BundleError: the name is too long for a folder.
            StorageError: the disk refuses.
        """
        self._require_lock()
        if len(name.encode()) > NAME_MAX_BYTES:
            raise BundleError(
                f"its version makes a name of more than {NAME_MAX_BYTES} bytes", where=name[:80]
            )
        folder = self.layout.staging / name
        if folder.is_dir():
            self._disk.delete(folder)
        self._disk.make_folder(folder)
        return folder

    def adopt(self, folder: Path, manifest: Manifest) -> Release:
        """Takes an unpacked, verified folder among the releases: sync all of it, then rename.

        The journal does not know it yet; a kill before it does makes it litter.

        Args:
            folder: from :meth:`stage_folder`, with everything in it.
            manifest: its own.

        Raises:
            BundleError: the folder has no manifest.
            StateError: ``current`` is this very release.
            StorageError: the disk refuses.
        """
        self._require_lock()
        release = self._describe(folder, manifest)
        target = self.layout.folder(release)
        if observe.link_text(self.layout.current) == release.path:
            raise StateError(
                f"{release.name} is current",
                where=str(target),
                hint="If it is damaged, 'sitewatch-update recover --thorough' leaves it",
            )
        self._disk.sync_tree(folder)
        if target.exists():  # kept from an earlier time; what was verified just now is better
            self.remove(release)
        self._disk.move(folder, target)
        return release

    def remove(self, release: Release) -> None:
        """Deletes a release; a kill in the middle leaves none that looks whole.

        Raises:
            StateError: it is the floor, or ``current``.
            StorageError: the disk refuses.
        """
        if release.origin is Origin.FLOOR:
            raise StateError(f"{release.name} is part of the software and is never removed")
        if observe.link_text(self.layout.current) == release.path:
            raise StateError(f"{release.name} is current and is not removed")
        self._remove(release.path)

    def write_report(self, name: str, report: bytes) -> Path:
        """Keeps a self-test's report.

        Args:
            name: the release's.
            report: JSON.

        Raises:
            StorageError: the disk refuses.
        """
        self._require_lock()
        path = self.layout.report(name)
        self._disk.write(path, report)
        return path

    def recover(self, *, daemon_start: bool = False, thorough: bool = False) -> Plan:
        """Brings whatever a kill, a power cut or damage left to a good state.

        Also what carries out a verdict: write the journal of a roll-back, then recover. Where all
        is well nothing is written.

        Args:
            daemon_start: counts a start of the daemon with a release on probation.
            thorough: checks every release's hashes.

        Returns:
            What was done.

        Raises:
            StorageError: the disk refuses; tried again, it goes on where it ended.
        """
        self._require_lock()
        observed = self._look(thorough=thorough)
        journal, written = self._journal_or_rebuilt(observed)
        plan = recovery.plan(
            journal, observed, now=self.now(), daemon_start=daemon_start, written=written
        )
        for effect in plan.effects:
            self._carry_out(effect, plan.journal)
        if written:
            return plan
        return replace(plan, events=plan.journal.history)

    def settle(self, journal: Journal) -> Journal:
        """Writes a journal with a verdict in it and does what follows: the switch, the removal.

        Raises:
            StorageError: the disk refuses; ``recover`` goes on where it ended.
        """
        self.write(journal)
        return self.recover().journal

    def gc(self, keep: int, max_bytes: int) -> tuple[Release, ...]:
        """Gives up releases, archives and reports that nobody needs any more.

        What goes without a word in the journal goes first, so that a full disk has room for it.

        Args:
            keep: good releases kept besides the floor.
            max_bytes: of those kept.

        Returns:
            The releases that went.

        Raises:
            StateError: the journal cannot be understood.
            StorageError: the disk refuses.
        """
        self._require_lock()
        journal = self.journal
        self.clear_downloads()
        link = observe.link_text(self.layout.current)
        gone = retention.superfluous(journal, keep, max_bytes, current=link)
        left = tuple(each for each in journal.releases if each not in gone)
        if gone:
            self.write(replace(moves.record(journal, self._gc_event(gone)), releases=left))
        for release in gone:
            self.remove(release)
        self._delete_reports(replace(journal, releases=left))
        return gone

    def clear_downloads(self) -> None:
        """Deletes the archives.

        Raises:
            StorageError: the disk refuses.
        """
        self._require_lock()
        for name in observe.names(self.layout.downloads):
            self._disk.delete(self.layout.downloads / name)

    def _folders(self) -> tuple[Path, ...]:
        layout = self.layout
        return layout.releases, layout.staging, layout.downloads, layout.reports

    def _look(self, *, thorough: bool = False) -> recovery.Observed:
        return observe.look(self.layout, self._floor, thorough=thorough)

    def _read_journal(self) -> Journal | None:
        try:
            return self._read_journal_once()
        except StateError:  # a second look, as at the releases
            return self._read_journal_once()

    def _read_journal_once(self) -> Journal | None:
        path = self.layout.journal
        try:
            with path.open("rb") as file:
                data = file.read(serial.JOURNAL_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in observe.DAMAGE:
                raise StateError(
                    f"cannot be read: {error.strerror}", where=str(path), hint=serial.HINT
                ) from error
            raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error
        return serial.from_json(data, where=str(path))

    def _journal_or_rebuilt(self, observed: recovery.Observed) -> tuple[Journal, bool]:
        """The journal, and whether it is the file's; a damaged one is set aside."""
        reason = ""
        try:
            found = self._read_journal()
        except StateError as error:
            found, reason = None, f"built anew: {error.where}: {error.what}"
            self._set_aside()
        if found is not None:
            return found, True
        return recovery.rebuild(observed, reason=reason, now=self.now()), False

    def _set_aside(self) -> None:
        places = [self.layout.damaged_journal(n) for n in range(1, DAMAGED_MAX + 1)]
        free = [place for place in places if not place.exists()]
        self._disk.move(self.layout.journal, (free or places[-1:])[0])

    def _carry_out(self, effect: recovery.Effect, journal: Journal) -> None:
        match effect:
            case recovery.Delete(path):
                self._disk.delete(self.layout.root / path)
            case recovery.Write():
                self.write(journal)
            case recovery.Switch(release):
                self.switch(release)
            case recovery.Remove(path):
                self._remove(path)
            case _:
                assert_never(effect)

    def _remove(self, path: str) -> None:
        self._require_lock()
        folder = self.layout.root / path
        aside = self.layout.staging / f"{folder.name}.removed"
        self._disk.delete(aside)
        self._disk.move(folder, aside)
        self._disk.delete(aside)

    def _delete_reports(self, journal: Journal) -> None:
        known: set[str] = {each.name for each in journal.releases}
        known |= {release_name(each.version, each.digest) for each in journal.failures}
        if journal.candidate is not None:
            known.add(release_name(journal.candidate.version, journal.candidate.digest))
        for name in observe.names(self.layout.reports):
            if name.endswith(".json") and name.removesuffix(".json") not in known:
                self._disk.delete(self.layout.reports / name)

    def _describe(self, folder: Path, manifest: Manifest) -> Release:
        path = folder / MANIFEST_NAME
        try:
            data = path.read_bytes()
        except OSError as error:
            kind = StorageError if error.errno in DISK_ERRORS else BundleError
            raise kind(f"cannot be read: {error.strerror}", where=str(path)) from error
        digest = hashlib.sha256(data).hexdigest()
        return Release(
            version=manifest.version,
            digest=digest,
            origin=Origin.BUNDLE,
            path=release_path(release_name(manifest.version, digest)),
            size_bytes=len(data) + sum(entry.size_bytes for entry in manifest.files),
            installed_unix_s=max(0.0, self.now()),
        )

    def _gc_event(self, gone: tuple[Release, ...]) -> Event:
        names = ", ".join(release.name for release in gone)
        return Event(
            action="gc",
            outcome=Outcome.SUCCESS,
            version="",
            digest="",
            reason=f"gave up {names}",
            exit_code=0,
            at_unix_s=self.now(),
        )

    def _require_lock(self) -> None:
        if not self._is_locked:
            raise RuntimeError("the store is changed without its lock")


@contextmanager
def open_recovered(store: Store, *, wait_s: float = 0.0) -> Iterator[Journal]:
    """Locks a store and recovers it, as every command does that changes something.

    Args:
        store: the store.
        wait_s: how long to wait for another run to end.

    Yields:
        The journal.

    Raises:
        BusyError: another run is at work; nothing of its is touched.
        StorageError: the disk refuses.
    """
    with store.locked(wait_s=wait_s):
        yield store.recover().journal
