"""Random sequences of operations, each perhaps killed between two effects, on real files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.faults import Fault, FaultyDisk, KilledError
from tests.support.small_releases import (
    NOW,
    Bundle,
    commit,
    damage,
    give_up,
    install,
    make_bundle,
)
from updater import bundle as bundles
from updater.commands.rollback import roll_back
from updater.errors import BusyError, StateError, StorageError
from updater.store import moves, states
from updater.store.journal import Journal, Origin
from updater.store.layout import DAMAGED_MAX
from updater.store.reader import active
from updater.store.states import State
from updater.store.store import Store, open_recovered

pytestmark = pytest.mark.once

MEMORY = Path("/dev/shm")

faults = st.sampled_from(Fault)
effects = st.one_of(st.just(-1), st.integers(0, 30))
"""The number of the effect that goes wrong; -1, or one that is never come to, for none."""


class StoreMachine(RuleBasedStateMachine):
    """A device whose owner and whose power supply do what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.floor = make_bundle(self.folder / "floor", "0.1")
        self.root = self.folder / "models"
        self.count = 0
        self.recover()

    def teardown(self) -> None:
        """The next command succeeds, whatever was."""
        self._settle_probation()
        bundle = self.new_bundle()
        install(self.open(), bundle)
        current = self.open().current
        assert current is not None
        assert current.digest == bundle.digest
        shutil.rmtree(self.folder)

    def open(self, at: int = -1, fault: Fault = Fault.KILL_BEFORE) -> Store:
        return Store(self.root, self.floor.folder, now=lambda: NOW, disk=FaultyDisk(at, fault))

    def recover(self) -> Journal:
        store = self.open()
        with store.locked():
            return store.recover().journal

    def new_bundle(self) -> Bundle:
        self.count += 1
        return make_bundle(self.folder / str(self.count), f"1.{self.count}")

    def attempt(self, operation: Callable[[Store], object], at: int, fault: Fault) -> None:
        """Does something that may be cut short; then the next start recovers."""
        # What is raised is told to whoever called; what it leaves matters here.
        with suppress(KilledError, StorageError, StateError, BusyError):
            operation(self.open(at, fault))
        if self.root.is_dir():
            bundles.verify_folder((self.root / "current").resolve(strict=True))
        self.recover()

    def _settle_probation(self) -> None:
        candidate = self.recover().candidate
        if candidate is not None and candidate.state in states.CURRENT:
            commit(self.open())

    @rule(until=st.sampled_from(State), at=effects, fault=faults)
    def installs(self, until: State, at: int, fault: Fault) -> None:
        bundle = self.new_bundle()
        self.attempt(lambda store: install(store, bundle, until=until), at, fault)

    @precondition(lambda self: self.count)
    @rule(data=st.data(), at=effects, fault=faults)
    def installs_again(self, data: st.DataObject, at: int, fault: Fault) -> None:
        number = data.draw(st.integers(1, self.count))
        bundle = self.made_again(number)
        current = self.open().current
        if current is None or current.digest != bundle.digest:
            self.attempt(lambda store: install(store, bundle), at, fault)

    def made_again(self, number: int) -> Bundle:
        folder = self.folder / str(number)
        if folder.exists():
            shutil.rmtree(folder)
        return make_bundle(folder, f"1.{number}")

    @rule(at=effects, fault=faults)
    def commits(self, at: int, fault: Fault) -> None:
        self.attempt(commit, at, fault)

    @rule(at=effects, fault=faults)
    def gives_up(self, at: int, fault: Fault) -> None:
        self.attempt(give_up, at, fault)

    @rule(at=effects, fault=faults, data=st.data(), unproven=st.booleans())
    def goes_back(self, at: int, fault: Fault, data: st.DataObject, unproven: bool) -> None:
        names = ["", "7.7", *(each.name for each in self.open().journal.releases)]
        to = data.draw(st.sampled_from(names))

        def operate(store: Store) -> None:
            with open_recovered(store) as journal:
                roll_back(store, journal, to="" if unproven else to, unproven=unproven)

        self.attempt(operate, at, fault)

    @rule(keep=st.integers(1, 5), max_bytes=st.sampled_from([1, 10**9]), at=effects, fault=faults)
    def collects(self, keep: int, max_bytes: int, at: int, fault: Fault) -> None:
        def operate(store: Store) -> None:
            with open_recovered(store):
                store.gc(keep, max_bytes)

        self.attempt(operate, at, fault)

    @rule(at=effects, fault=faults)
    def starts(self, at: int, fault: Fault) -> None:
        def operate(store: Store) -> None:
            with store.locked():
                store.recover(daemon_start=True)

        self.attempt(operate, at, fault)

    @rule(data=st.data())
    def loses_content(self, data: st.DataObject) -> None:
        folders = sorted((self.root / "releases").iterdir())
        if folders:
            damage(data.draw(st.sampled_from(folders)))
            self.recover()

    @rule(content=st.sampled_from([b"", b"{}", b"\x00" * 100, None]))
    def loses_the_journal(self, content: bytes | None) -> None:
        path = self.root / "journal.json"
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        self.recover()

    @rule(text=st.sampled_from([None, "releases/none", "/nowhere", "staging"]))
    def loses_the_link(self, text: str | None) -> None:
        link = self.root / "current"
        link.unlink()
        if text is not None:
            link.symlink_to(text)
        self.recover()

    @rule()
    def updates_the_software(self) -> None:
        self.count += 1
        shutil.rmtree(self.floor.folder)
        self.floor = make_bundle(self.folder / "floor", f"0.{self.count + 1}")
        self.recover()

    @invariant()
    def a_whole_release_runs(self) -> None:
        store = self.open()
        running = active(self.root / "current")
        manifest = bundles.verify_folder(running.folder)
        current = store.current
        assert current is not None
        assert (current.version, current.digest) == (manifest.version, running.digest)
        candidate = store.journal.candidate
        on_trial = candidate is not None and candidate.state is State.ON_PROBATION
        assert running.on_trial == on_trial
        assert on_trial or current == store.journal.committed

    @invariant()
    def what_failed_does_not_run(self) -> None:
        journal = self.open().journal
        failed = {failure.digest for failure in journal.failures}
        assert journal.committed is not None
        assert journal.committed.origin is Origin.FLOOR or journal.committed.digest not in failed

    @invariant()
    def nothing_is_left_over(self) -> None:
        store = self.open()
        journal = store.journal
        assert list(store.layout.staging.iterdir()) == []
        kept = {each.path for each in journal.releases}
        if journal.candidate is not None and journal.candidate.state is State.ON_PROBATION:
            assert journal.candidate.release is not None
            kept.add(journal.candidate.release.path)
        found = {f"releases/{path.name}" for path in store.layout.releases.iterdir()}
        assert found == kept - {str(self.floor.folder)}
        assert len(list(self.root.glob("journal.damaged-*"))) <= DAMAGED_MAX
        assert {path.name for path in self.root.iterdir()} <= {
            "releases", "staging", "downloads", "reports", "current", "journal.json", "lock",
            *(f"journal.damaged-{number}" for number in range(1, DAMAGED_MAX + 1)),
        }  # fmt: skip

    @invariant()
    def the_floor_is_untouched(self) -> None:
        bundles.verify_folder(self.floor.folder)
        assert self.open().journal.releases[0].path == str(self.floor.folder)

    @invariant()
    def it_stays_bounded(self) -> None:
        journal = self.open().journal
        assert len(journal.history) <= moves.HISTORY_MAX
        assert len(journal.failures) <= moves.FAILURES_MAX


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=40,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
