"""The daemon's view of the store, without its lock."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.support.small_releases import Bundle, commit, give_up, install, make_bundle
from updater.commands.rollback import roll_back
from updater.errors import BundleError
from updater.store import reader
from updater.store.journal import Journal
from updater.store.reader import Active, active
from updater.store.states import State
from updater.store.store import Store, open_recovered


@pytest.fixture
def floor(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "floor", "0.9")


@pytest.fixture
def store(tmp_path: Path, floor: Bundle) -> Store:
    return Store(tmp_path / "models", floor.folder)


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Bundle]:
    return {each: make_bundle(tmp_path / each, each) for each in ("1.0", "2.0")}


def seen(store: Store) -> Active:
    return active(store.layout.current)


def folder(store: Store, bundle: Bundle) -> Path:
    return (store.layout.releases / bundle.name).resolve()


def test_the_floor(store: Store, floor: Bundle) -> None:
    with open_recovered(store):
        pass
    assert seen(store) == Active(floor.folder.resolve(), floor.digest, False, None)


def test_a_release_on_trial_and_its_predecessor(
    store: Store, floor: Bundle, made: dict[str, Bundle]
) -> None:
    one, two = made["1.0"], made["2.0"]
    install(store, one, until=State.ON_PROBATION)
    assert seen(store) == Active(folder(store, one), one.digest, True, floor.folder.resolve())
    commit(store)
    assert seen(store) == Active(folder(store, one), one.digest, False, None)
    install(store, two, until=State.ACTIVATED)
    assert seen(store).digest == one.digest
    assert not seen(store).on_trial
    install(store, two, until=State.ON_PROBATION)
    assert seen(store) == Active(folder(store, two), two.digest, True, folder(store, one))
    give_up(store)
    assert seen(store) == Active(folder(store, one), one.digest, False, None)


def test_activated_and_switched_is_on_trial_already(store: Store, made: dict[str, Bundle]) -> None:
    # The daemon may be quicker than the journal's next state.
    install(store, made["1.0"], until=State.ACTIVATED)
    store.layout.current.unlink()
    store.layout.current.symlink_to(f"releases/{made['1.0'].name}")
    assert seen(store).on_trial


def test_without_a_usable_predecessor(store: Store, made: dict[str, Bundle]) -> None:
    install(store, made["1.0"])
    install(store, made["2.0"], until=State.ON_PROBATION)
    shutil.rmtree(folder(store, made["1.0"]))
    assert seen(store).on_trial
    assert seen(store).predecessor is None


def test_a_plain_folder_is_on_no_trial(tmp_path: Path, made: dict[str, Bundle]) -> None:
    one = made["1.0"]
    assert active(one.folder) == Active(one.folder.resolve(), one.digest, False, None)


def test_a_folder_that_happens_to_be_called_current(
    tmp_path: Path, store: Store, made: dict[str, Bundle]
) -> None:
    install(store, made["1.0"], until=State.ON_PROBATION)
    store.layout.current.unlink()
    shutil.copytree(made["1.0"].folder, store.layout.current)
    assert not seen(store).on_trial


def test_a_bare_model_file(tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(b"model")
    assert active(model) == Active(model.resolve(), "", False, None)


@pytest.mark.parametrize("journal", [None, "{", "no journal"])
def test_a_damaged_journal_stops_no_camera(
    store: Store, made: dict[str, Bundle], journal: str | None
) -> None:
    one = made["1.0"]
    install(store, one, until=State.ON_PROBATION)
    store.layout.journal.unlink()
    if journal is not None:
        store.layout.journal.write_text(journal)
    assert seen(store) == Active(folder(store, one), one.digest, False, None)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no model here"):
        active(tmp_path / "current")
    (tmp_path / "current").symlink_to("current")
    with pytest.raises(BundleError, match="there is no model here"):
        active(tmp_path / "current")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match=r"manifest\.json: cannot be read"):
        active(tmp_path / "empty")


@pytest.mark.parametrize("between", ["_digest", "_journal"])
def test_a_switch_between_two_looks(
    store: Store, made: dict[str, Bundle], between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(store, made["1.0"])
    install(store, made["2.0"], until=State.ON_PROBATION)
    real = getattr(reader, between)
    looks = 0

    def look(path: Path) -> object:
        nonlocal looks
        looks += 1
        if looks == 1:
            give_up(store)  # and its folder is gone
        return real(path)

    monkeypatch.setattr(reader, between, look)
    one = made["1.0"]
    assert seen(store) == Active(folder(store, one), one.digest, False, None)
    assert looks == 2


def test_a_link_that_never_rests(
    store: Store, made: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(store, made["1.0"])
    install(store, made["2.0"])
    real = reader._journal

    def look(path: Path) -> Journal:
        journal = real(path)
        with open_recovered(store) as found:
            two = found.committed is not None and found.committed.version == "2.0"
            roll_back(store, found, to="1.0" if two else "2.0", unproven=False)
        return journal

    monkeypatch.setattr(reader, "_journal", look)
    with pytest.raises(BundleError, match="again and again"):
        seen(store)


def test_a_reader_beside_a_busy_updater_always_sees_one_release(
    store: Store, floor: Bundle, made: dict[str, Bundle]
) -> None:
    one = made["1.0"]
    install(store, one)
    known = {one.digest: folder(store, one), made["2.0"].digest: folder(store, made["2.0"])}
    done = threading.Event()
    looks: list[Active] = []
    errors: list[Exception] = []

    def look() -> None:
        while not done.is_set():
            try:
                looks.append(seen(store))
            except BundleError as error:
                errors.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for count in range(1000):  # its folder comes and goes
        install(store, made["2.0"], until=State.ON_PROBATION)
        give_up(store)
        if count >= 10 and {found.digest for found in list(looks)} == set(known):
            break
    done.set()
    thread.join()
    assert errors == []
    for found in looks:
        assert known[found.digest] == found.folder
        assert not found.on_trial or found.digest == made["2.0"].digest
        assert found.predecessor in {None, folder(store, one)}
    assert {found.digest for found in looks} == set(known)
