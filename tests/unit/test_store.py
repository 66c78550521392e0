"""The store on real files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults import FaultyDisk
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
from updater.errors import BundleError, BusyError, StateError, StorageError
from updater.store import moves, observe
from updater.store.disk import Disk, Effect
from updater.store.journal import Journal, Origin, Outcome
from updater.store.layout import DAMAGED_MAX
from updater.store.states import State
from updater.store.store import Store, open_recovered

HOLD = """
import pathlib, sys
from updater.store.store import Store
with Store(pathlib.Path(sys.argv[1]), None).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def floor(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "usr" / "model", "0.9")


@pytest.fixture
def store(tmp_path: Path, floor: Bundle) -> Store:
    return Store(tmp_path / "models", floor.folder, now=lambda: NOW)


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Bundle]:
    return {each: make_bundle(tmp_path / each, each) for each in ("1.0", "2.0", "3.0")}


def running(store: Store) -> str:
    """The version that current leads to, by the files."""
    return bundles.verify_folder(store.layout.current.resolve(strict=True)).version


def recover(store: Store, *, thorough: bool = False) -> Journal:
    with store.locked():
        return store.recover(thorough=thorough).journal


def test_a_new_store_runs_the_floor(store: Store, floor: Bundle) -> None:
    before = store.current
    assert before is None
    found = recover(store)
    assert running(store) == "0.9"
    assert store.current == found.committed
    assert found.committed is not None
    assert found.committed.origin is Origin.FLOOR
    assert store.layout.current.readlink() == floor.folder


def test_a_new_store_without_a_floor_is_empty(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "models", None)
    assert recover(store) == Journal()
    assert not store.layout.current.is_symlink()
    assert store.current is None


def test_an_installation(store: Store, made: dict[str, Bundle]) -> None:
    install(store, made["1.0"], until=State.ON_PROBATION)
    assert running(store) == "1.0"
    assert store.layout.current.readlink() == Path("releases") / made["1.0"].name
    found = store.journal
    assert found.committed is not None
    assert found.committed.version == "0.9"
    commit(store)
    found = store.journal
    assert found.committed == store.current
    assert [each.version for each in found.releases] == ["0.9", "1.0"]
    release = found.releases[-1]
    folder = store.release_folder(release)
    assert release.size_bytes == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert list(store.layout.staging.iterdir()) == []


def test_everybody_may_read_what_was_adopted(store: Store, made: dict[str, Bundle]) -> None:
    before = os.umask(0o077)
    try:
        install(store, made["1.0"])
    finally:
        os.umask(before)
    assert store.current is not None
    folder = store.release_folder(store.current)
    for path in (folder, *folder.rglob("*"), store.layout.releases, store.layout.root):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    assert store.layout.journal.stat().st_mode & 0o777 == 0o644


def test_everything_is_synced_before_it_has_its_name(
    tmp_path: Path, floor: Bundle, made: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "models", floor.folder)
    calls: list[tuple[str, str]] = []
    real_sync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        calls.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        real_sync(descriptor)

    def rename(source: Path, target: Path) -> None:
        calls.append(("rename", Path(target).name))
        real_rename(source, target)

    with open_recovered(store):
        folder = store.stage_folder(made["1.0"].name)
        folder.rmdir()
        made["1.0"].folder.rename(folder)
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "rename", rename)
        release = store.adopt(folder, made["1.0"].manifest)
    at = calls.index(("rename", release.name))
    synced = [name for what, name in calls[:at] if what == "sync"]
    assert sorted(synced) == sorted(
        [release.name, "golden", "MODEL_CARD.md", "manifest.json", "model.tflite", "one.jpg"]
    )
    assert calls[at + 1 :] == [("sync", "releases"), ("sync", "staging")]


def test_there_is_no_moment_without_current(
    installed: Store, made: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    link, real = installed.layout.current, Path.symlink_to
    before = link.readlink()
    made_at: list[Path] = []

    def symlink(path: Path, target: str) -> None:
        assert link.readlink() == before
        real(path, target)
        assert link.readlink() == before
        made_at.append(path)

    monkeypatch.setattr(Path, "symlink_to", symlink)
    install(installed, made["2.0"])
    assert made_at == [installed.layout.root / ".current.new"]
    assert link.readlink() != before


def test_a_new_link_that_was_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".current.new").symlink_to("half")
    Disk().point(tmp_path / "current", "whole")
    assert (tmp_path / "current").readlink() == Path("whole")


def test_a_store_at_rest_is_not_written_to(store: Store, made: dict[str, Bundle]) -> None:
    install(store, made["1.0"])
    disk = FaultyDisk()
    recover(Store(store.layout.root, store._floor, disk=disk))
    assert disk.trace == []


def test_reinstalling_a_kept_release(store: Store, made: dict[str, Bundle]) -> None:
    for version in ("1.0", "2.0"):
        install(store, made[version])
    damage(store.layout.releases / made["1.0"].name)  # the new one is whole
    install(store, made["1.0"])
    assert running(store) == "1.0"
    found = store.journal
    assert [each.version for each in found.releases] == ["0.9", "2.0", "1.0"]
    assert found.previous is not None
    assert found.previous.version == "2.0"


@pytest.mark.parametrize("until", [State.ROLLED_BACK, State.ON_PROBATION])
def test_without_a_floor_a_bad_first_release_makes_way_for_a_better_one(
    tmp_path: Path, made: dict[str, Bundle], until: State
) -> None:
    store = Store(tmp_path / "bare", None)
    install(store, made["1.0"], until=until)
    assert running(store) == "1.0"  # there is nothing else
    install(store, made["2.0"], until=State.FAILED)
    assert running(store) == "1.0"
    install(store, made["2.0"])
    assert running(store) == "2.0"
    assert store.journal.previous is None
    recover(store)
    assert [path.name for path in store.layout.releases.iterdir()] == [made["2.0"].name]


def test_what_is_current_is_neither_replaced_nor_removed(
    store: Store, made: dict[str, Bundle]
) -> None:
    install(store, made["1.0"])
    with open_recovered(store) as found:
        assert found.committed is not None
        with pytest.raises(StateError, match="is current and is not removed"):
            store.remove(found.committed)
        with pytest.raises(StateError, match="is current"):
            store.adopt(made["1.0"].folder, made["1.0"].manifest)
        with pytest.raises(StateError, match="never removed"):
            store.remove(found.releases[0])


def test_nothing_is_changed_without_the_lock(store: Store) -> None:
    with pytest.raises(RuntimeError, match="without its lock"):
        store.write(Journal())
    with pytest.raises(RuntimeError, match="without its lock"):
        store.recover()


def test_a_name_too_long_for_a_folder(store: Store) -> None:
    with store.locked(), pytest.raises(BundleError, match="more than 200 bytes"):
        store.stage_folder("1." * 101)


def test_another_process_is_named(store: Store, made: dict[str, Bundle]) -> None:
    install(store, made["1.0"])
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.layout.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=rf"another run .*\(process {holder.pid}\)"):
            recover(store)
        assert store.current is not None  # reading needs no lock
        holder.kill()
        holder.wait()
    recover(store)


def test_waiting_for_another_run(store: Store) -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with Store(store.layout.root, None).locked():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    threading.Timer(0.05, leave.set).start()
    with store.locked(wait_s=60.0):
        thread.join()


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 4096], ids=["empty", "cut", "zeros"])
def test_a_damaged_journal_is_set_aside_and_built_anew(
    store: Store, made: dict[str, Bundle], content: bytes
) -> None:
    install(store, made["1.0"])
    install(store, made["2.0"])
    store.layout.journal.write_bytes(content)
    with pytest.raises(StateError, match="recover"):
        _ = store.journal
    found = recover(store)
    assert found.committed is not None
    assert found.previous is not None
    assert (found.committed.version, found.previous.version) == ("2.0", "1.0")
    assert found.history[-1].reason.startswith("built anew: ")
    assert store.layout.damaged_journal(1).read_bytes() == content
    assert running(store) == "2.0"


def test_damaged_journals_do_not_pile_up(store: Store) -> None:
    for number in range(2 * DAMAGED_MAX):
        recover(store)
        store.layout.journal.write_text(f"damage {number}")
    recover(store)
    kept = sorted(store.layout.root.glob("journal.damaged-*"))
    texts = [path.read_text() for path in kept]
    assert texts == ["damage 0", "damage 1", f"damage {2 * DAMAGED_MAX - 1}"]


def test_a_journal_that_is_gone_is_built_from_the_disk(
    store: Store, made: dict[str, Bundle]
) -> None:
    install(store, made["1.0"])
    store.layout.journal.unlink()
    assert store.journal.committed is not None
    found = recover(store)
    assert found.committed is not None
    assert found.committed.version == "1.0"
    assert found.history == ()


def test_damage_that_keeps_the_size_is_found_by_a_thorough_look(
    store: Store, made: dict[str, Bundle]
) -> None:
    install(store, made["1.0"])
    install(store, made["2.0"])
    (store.layout.releases / made["2.0"].name / "model.tflite").write_bytes(b"MODEL 2.0")
    assert recover(store).committed == store.current
    assert recover(store, thorough=True).committed == store.current
    assert running(store) == "1.0"
    assert not (store.layout.releases / made["2.0"].name).exists()


def test_a_folder_under_a_wrong_name_is_no_release(store: Store, made: dict[str, Bundle]) -> None:
    install(store, made["1.0"])
    made["2.0"].folder.rename(store.layout.releases / "2.0-000000000000")
    recover(store)
    assert [path.name for path in store.layout.releases.iterdir()] == [made["1.0"].name]


def test_what_cannot_be_read_for_other_reasons_than_damage_stops_recovery(
    store: Store, made: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(store, made["1.0"])
    real = Path.lstat

    def refused(path: Path) -> os.stat_result:
        if path.name == "model.tflite":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(Path, "lstat", refused)
    with pytest.raises(StorageError, match=r"model\.tflite: cannot be read: Permission denied"):
        recover(store)
    monkeypatch.undo()
    assert running(store) == "1.0"


def test_half_written_files_are_cleared_away(store: Store, made: dict[str, Bundle]) -> None:
    install(store, made["1.0"])
    layout = store.layout
    litter = [
        layout.root / ".journal.json.x2",
        layout.root / ".current.new",
        layout.reports / ".a.json.x3",
        layout.staging / "file",
    ]
    for path in litter:
        path.write_text("half")
    (layout.staging / "folder").mkdir()
    (layout.downloads / "model.zip").write_text("whole")
    recover(store)
    assert not [path for path in litter if path.exists()]
    assert list(layout.staging.iterdir()) == []
    assert (layout.downloads / "model.zip").exists()


def test_current_that_is_a_folder_is_somebody_elses(store: Store) -> None:
    recover(store)
    store.layout.current.unlink()
    store.layout.current.mkdir()
    with pytest.raises(StorageError, match="current: cannot be pointed elsewhere"):
        recover(store)


def test_gc(store: Store, made: dict[str, Bundle]) -> None:
    for version in ("1.0", "2.0", "3.0"):
        install(store, made[version], keep=9)
    layout = store.layout
    layout.report("0.1-000000000000").write_text("{}")
    (layout.downloads / "model.zip").write_text("archive")
    with open_recovered(store):
        assert [each.version for each in store.gc(2, 10**9)] == ["1.0"]
        assert store.gc(2, 10**9) == ()
    assert {path.name for path in layout.releases.iterdir()} == {
        made["2.0"].name, made["3.0"].name,
    }  # fmt: skip
    assert {path.stem for path in layout.reports.iterdir()} == {
        made["2.0"].name, made["3.0"].name,
    }  # fmt: skip
    assert list(layout.downloads.iterdir()) == []
    event = store.journal.history[-1]
    assert (event.action, event.outcome) == ("gc", Outcome.SUCCESS)
    assert made["1.0"].name in event.reason


def test_the_report_of_a_failed_bundle_is_kept(store: Store, made: dict[str, Bundle]) -> None:
    install(store, made["1.0"], until=State.ROLLED_BACK)
    install(store, made["2.0"])
    with open_recovered(store):
        store.gc(2, 10**9)
    assert store.layout.report(made["1.0"].name).exists()
    assert not (store.layout.releases / made["1.0"].name).exists()


def test_a_new_floor_is_taken_over(store: Store, tmp_path: Path) -> None:
    recover(store)
    newer = make_bundle(tmp_path / "newer", "0.95")
    floor_folder = store.layout.current.readlink()
    floor_folder.rename(tmp_path / "gone")
    newer.folder.rename(floor_folder)
    found = recover(store)
    assert found.committed is not None
    assert found.committed.version == "0.95"
    assert running(store) == "0.95"


def test_a_store_in_the_working_directory(
    tmp_path: Path, floor: Bundle, made: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where rights were given up the store is only known as ".".
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path / "models")
    store = Store(Path(), floor.folder)
    install(store, made["1.0"])
    assert running(store) == "1.0"
    install(store, made["2.0"], until=State.ON_PROBATION)
    give_up(store)
    assert running(store) == "1.0"


def test_a_wrong_clock_is_no_error(tmp_path: Path, floor: Bundle, made: dict[str, Bundle]) -> None:
    store = Store(tmp_path / "models", floor.folder, now=lambda: -1e10)
    install(store, made["1.0"])
    later = Store(tmp_path / "models", floor.folder, now=lambda: 0.5)
    install(later, made["2.0"])
    assert running(later) == "2.0"
    assert later.journal.history[-1].at_unix_s == 0.5


def test_an_installation_syncs_little(
    tmp_path: Path, floor: Bundle, made: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "models", floor.folder)
    install(store, made["1.0"])
    count = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal count
        count += 1
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    install(store, made["2.0"])
    journals = 7  # fetched, verified, staged, tested, activated, on probation, committed
    files, folders, report, move, switch = 4, 2, 2, 2, 1
    assert count == 2 * journals + files + folders + report + move + switch


@pytest.fixture
def installed(store: Store, made: dict[str, Bundle]) -> Iterator[Store]:
    install(store, made["1.0"])
    yield store


@pytest.mark.parametrize("effect", list(Effect))
def test_every_effect_tells_what_the_disk_refused(tmp_path: Path, effect: Effect) -> None:
    # Nothing may be done in a folder that is not there.
    absent, disk = tmp_path / "absent" / "path", Disk()
    (tmp_path / "file").write_text("no folder")
    calls = {
        Effect.MAKE: lambda: disk.make_folder(tmp_path / "file" / "path"),
        Effect.WRITE: lambda: disk.write(absent, b""),
        Effect.POINT: lambda: disk.point(absent, "target"),
        Effect.SYNC: lambda: disk.sync_tree(absent),
        Effect.MOVE: lambda: disk.move(absent, tmp_path / "elsewhere"),
        Effect.DELETE: lambda: disk.delete(tmp_path / "file" / "path"),
    }
    with pytest.raises(StorageError, match=r"path: cannot be .*: (No such file|Not a dir)"):
        calls[effect]()


def test_a_link_in_a_bundle_is_not_followed_when_synced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("/etc/passwd")
    with pytest.raises(StorageError, match="synced"):
        Disk().sync_tree(tmp_path / "folder")


def test_looking_changes_nothing(installed: Store) -> None:
    before = {p: p.lstat().st_mtime_ns for p in installed.layout.root.rglob("*")}
    observe.look(installed.layout, None, thorough=True)
    assert {p: p.lstat().st_mtime_ns for p in installed.layout.root.rglob("*")} == before


def test_a_candidate_dropped_between_two_commands(installed: Store, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "4.0", "4.0")
    install(installed, bundle, until=State.TESTED)
    with open_recovered(installed) as found:
        assert found.candidate is not None
        assert found.candidate.state is State.FAILED
        assert found.history[-1].outcome is Outcome.INTERRUPTED
    assert not (installed.layout.releases / bundle.name).exists()
    assert moves.rollback_target(found).version == "0.9"
