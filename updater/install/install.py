"""The installation: one candidate through all its states, each written before its effect."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from updater import archive as archives
from updater import fetch
from updater.errors import (
    FetchError,
    ModelError,
    SelfTestError,
    SitewatchError,
    StorageError,
    UsageError,
)
from updater.fetch import Credentials, Fetched
from updater.install.daemon import running_report
from updater.install.verdict import REAL_WORLD, World, await_verdict
from updater.selftest import SelfTestLimits
from updater.settings import UpdateConfig, own_device_class
from updater.store import moves, states
from updater.store.journal import Candidate, Event, Journal, Outcome, release_name
from updater.store.states import State, Step
from updater.store.store import Store, open_recovered
from updater.trust.examination import Examined, examine
from updater.trust.keys import KeyRing
from updater.trust.rules import DeviceFacts, check_installable, check_not_failed

HASH_CHUNK_BYTES = 1 << 20
SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")

REMEMBERED = (SelfTestError, ModelError)
"""What a bundle fails with by its own fault, on this very device; the rest may be the network's,
the disk's or the configuration's, and may be mended."""

_log = logging.getLogger(__name__)


class Result(StrEnum):
    """What an installation came to."""

    COMMITTED = "committed"
    ALREADY_ACTIVE = "already_active"
    ON_PROBATION = "on_probation"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Attributes:
        source: URL or file.
        opened: the file, opened while there was the right to; None for a URL.
        sha256: of the archive, 64 hex digits; "" if nobody says.
        credentials: for a URL.
        offline: commit on the self-test alone.
        wait: wait for the verdict where a daemon runs.
        allow_downgrade: an older version, or other content of the same, is wanted.
        retry: what failed here before is wanted.
    """

    source: str
    opened: BinaryIO | None = None
    sha256: str = ""
    credentials: Credentials | None = None
    offline: bool = False
    wait: bool = True
    allow_downgrade: bool = False
    retry: bool = False

    def __post_init__(self) -> None:
        if self.sha256 and not SHA256_PATTERN.fullmatch(self.sha256):
            raise UsageError("must be 64 hex digits", where="--sha256")


@dataclass(frozen=True, slots=True)
class Installed:
    """How it ended.

    Attributes:
        result: what it came to.
        version: of the bundle.
        digest: of its manifest.
        replaced: version of the release before it; "" if there was none, or nothing was replaced.
        seconds: spent in each step, by name.
    """

    result: Result
    version: str
    digest: str
    replaced: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tools:
    """What the flow calls; a test may put another one in a part's place.

    Attributes:
        ring: the trusted keys.
        prove: runs the self-test of an unpacked bundle within limits, and keeps its report.
        world: clock and daemon, for the probation.
        progress: told of the download.
    """

    ring: KeyRing
    prove: Callable[[Path, SelfTestLimits, Path], None]
    world: World = REAL_WORLD
    progress: fetch.Progress | None = None


class Installation:
    """One run of ``install``.

    Args:
        request: what is asked.
        config: the device's.
        store: not locked.
        tools: what is called.
    """

    def __init__(self, request: Request, config: UpdateConfig, store: Store, tools: Tools) -> None:
        self._request = request
        self._config = config
        self._store = store
        self._tools = tools
        self._seconds: dict[str, float] = {}
        self._examined: Examined | None = None
        self._has_begun = False

    def run(self) -> Installed:
        """Installs.

        Raises:
            SitewatchError: it was not installed; the store is as before, or mended by the next
                command. ``ProbationError``: it was, and rolled back.
        """
        with open_recovered(self._store) as journal, self._noting():
            found = self._shortcut(journal) or self._with_archive(journal)
        if found.result is not Result.ON_PROBATION or self._request.offline:
            return found
        return self._probation(found)

    def _shortcut(self, journal: Journal) -> Installed | None:
        """The answer where the archive's hash alone tells that it is there already."""
        sha256, last = self._request.sha256, journal.candidate
        if not sha256:
            return None
        check_not_failed("", sha256, journal.failures, retry=self._request.retry)
        if last is None or last.archive_sha256 != sha256:
            return None
        return self._there_already(journal, last.digest)

    def _there_already(self, journal: Journal, digest: str) -> Installed | None:
        """The answer where this very bundle is committed and current, or on probation.

        It has passed its self-test then, which for ``--offline`` is the verdict.
        """
        last, good = journal.candidate, journal.committed
        if last is not None and last.state is State.ON_PROBATION and last.digest == digest:
            _log.info("%s is on probation already", last.version)
            return self._decide()
        current = self._store.current
        if good is not None and good.digest == digest and current == good:
            return Installed(Result.ALREADY_ACTIVE, good.version, good.digest)
        return None

    def _with_archive(self, journal: Journal) -> Installed:
        if self._request.opened is not None:
            with self._timed("fetch"):
                sha256 = self._hashed(self._request.opened)
            return self._from_archive(journal, self._request.opened, sha256)
        fetched = self._fetch()
        try:
            file = fetched.path.open("rb", buffering=0)
        except OSError as error:
            raise StorageError(
                f"cannot be opened: {error.strerror}", where=str(fetched.path)
            ) from error
        with file:
            return self._from_archive(journal, file, fetched.sha256)

    def _fetch(self) -> Fetched:
        with self._timed("fetch"):
            return fetch.fetch(
                self._request.source,
                self._store.layout.downloads,
                self._config.fetch,
                sha256=self._request.sha256 or None,
                credentials=self._request.credentials,
                progress=self._tools.progress,
            )

    def _hashed(self, file: BinaryIO) -> str:
        """The sha256 of a local archive; as for a download, it must be the one asked for."""
        digest = hashlib.sha256()
        try:
            file.seek(0)
            while chunk := file.read(HASH_CHUNK_BYTES):
                digest.update(chunk)
        except OSError as error:
            raise StorageError(
                f"cannot be read: {error.strerror}", where=self._request.source
            ) from error
        sha256 = digest.hexdigest()
        if self._request.sha256 not in ("", sha256):
            raise FetchError(
                f"its sha256 is {sha256}, and {self._request.sha256} was asked for",
                where=self._request.source,
                hint="Fetch it again",
            )
        return sha256

    def _from_archive(self, journal: Journal, file: BinaryIO, sha256: str) -> Installed:
        source = fetch.shown(self._request.source)
        with self._timed("verify"):
            archive = archives.open_archive(file, where=source)
            examined = examine(
                archive, self._tools.ring, require_signature=self._config.require_signature
            )
        if examined.signer is None:
            _log.warning("%s: NOT SIGNED, and this device's configuration allows it", source)
        found = self._there_already(journal, examined.digest)
        if found is not None:
            return found
        self._examined = examined
        journal = moves.begin(journal, source=source, archive_sha256=sha256, now=self._store.now())
        self._store.write(journal)
        self._has_begun = True
        check_installable(examined.manifest, examined.digest, sha256, self._facts(journal))
        self._verified(examined)
        self._staged(archive, examined)
        self._tested(examined)
        self._activate()
        return self._decide()

    def _verified(self, examined: Examined) -> None:
        self._store.write(
            moves.verify(
                self._store.journal, version=examined.manifest.version, digest=examined.digest
            )
        )

    def _staged(self, archive: archives.Archive, examined: Examined) -> None:
        with self._timed("stage"):
            folder = self._store.stage_folder(
                release_name(examined.manifest.version, examined.digest)
            )
            archive.unpack(examined.manifest.files, folder)
            release = self._store.adopt(folder, examined.manifest)
            self._store.write(moves.stage(self._store.journal, release))

    def _tested(self, examined: Examined) -> None:
        candidate = _candidate(self._store.journal)
        if candidate.release is None:
            raise AssertionError("staged without a release")
        with self._timed("selftest"):
            self._tools.prove(
                self._store.release_folder(candidate.release),
                self._config.selftest,
                self._store.layout.report(candidate.release.name),
            )
        self._store.write(moves.advance(self._store.journal, Step.TEST))

    def _activate(self) -> None:
        """From TESTED to ON_PROBATION."""
        activated = moves.advance(self._store.journal, Step.ACTIVATE)
        release = _candidate(activated).release
        if release is None:
            raise AssertionError("tested without a release")
        self._store.write(activated)
        self._store.switch(release)
        self._store.write(moves.advance(activated, Step.SWITCH))

    def _decide(self) -> Installed:
        """What follows the switch: a verdict at once, later, or when a daemon has started."""
        journal = self._store.journal
        candidate = _candidate(journal)
        if not self._request.offline:
            return self._installed(Result.ON_PROBATION, candidate)
        committed = moves.commit(journal, now=self._store.now(), reason="proven by self-test alone")
        self._store.settle(committed)
        self._store.gc(self._config.keep_releases, self._config.store_max_bytes)
        return self._installed(Result.COMMITTED, candidate, before=journal)

    def _probation(self, found: Installed) -> Installed:
        """The verdict, where it is waited for and there is a daemon to bring it about."""
        if not self._request.wait or running_report(self._config.status_file) is None:
            self._note_pending()
            return found
        before = self._store.journal
        with self._timed("probation"):
            await_verdict(self._store, self._config, world=self._tools.world)
        return self._installed(Result.COMMITTED, _candidate(before), before=before)

    def _note_pending(self) -> None:
        with open_recovered(self._store) as journal:
            self._store.write(moves.record(journal, self._event(Outcome.PENDING)))

    def _installed(
        self, result: Result, candidate: Candidate, *, before: Journal | None = None
    ) -> Installed:
        replaced = before.committed.version if before is not None and before.committed else ""
        return Installed(result, candidate.version, candidate.digest, replaced, dict(self._seconds))

    def _facts(self, journal: Journal) -> DeviceFacts:
        good = journal.committed
        return DeviceFacts(
            committed_version=good.version if good is not None else "",
            committed_digest=good.digest if good is not None else "",
            device_class=own_device_class(self._config),
            failures=journal.failures,
            allow_downgrade=self._request.allow_downgrade,
            retry=self._request.retry,
        )

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Notes why it failed; what cannot be noted now, ``recover`` finds."""
        try:
            yield
        except SitewatchError as error:
            try:
                self._note(error)
            except SitewatchError as second:
                _log.warning("not noted in the journal: %s", second)
            raise

    def _note(self, error: SitewatchError) -> None:
        """Gives our own candidate up, if there is one yet, and appends to the history."""
        journal = self._store.journal
        reason = " ".join(str(error).split())
        own = journal.candidate if self._has_begun else None
        # Where nothing was ever committed it stays on probation: there is nothing to go back to,
        # and the disk that failed says nothing against it.
        stays = own is not None and own.state in states.CURRENT and journal.committed is None
        if own is None or stays or own.state in states.FINAL:
            event = self._event(Outcome.FAILED, reason=reason, exit_code=error.exit_code)
            self._store.settle(moves.record(journal, event))
            return
        give_up = moves.roll_back if own.state in states.CURRENT else moves.fail
        self._store.settle(
            give_up(
                journal,
                reason=reason,
                exit_code=error.exit_code,
                now=self._store.now(),
                outcome=Outcome.FAILED,
                remember=isinstance(error, REMEMBERED),
            )
        )

    def _event(self, outcome: Outcome, *, reason: str = "", exit_code: int = 0) -> Event:
        examined = self._examined
        return Event(
            action="install",
            outcome=outcome,
            version=examined.manifest.version if examined is not None else "",
            digest=examined.digest if examined is not None else "",
            reason=reason,
            exit_code=exit_code,
            at_unix_s=self._store.now(),
        )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began_s = time.monotonic()
        _log.info("%s …", name)
        try:
            yield
        finally:
            self._seconds[name] = round(time.monotonic() - began_s, 3)


def _candidate(journal: Journal) -> Candidate:
    if journal.candidate is None:
        raise AssertionError("no candidate in the middle of an installation")
    return journal.candidate
