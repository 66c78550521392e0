"""A change of the link or the journal is seen, whoever looks."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from daemon.swap.watcher import LinkWatcher, fingerprint
from tests.support import models
from tests.support.releases import HandStore

PATIENCE_S = 30.0
"""Only a failing test waits so long."""


@pytest.fixture
def store(tmp_path: Path) -> HandStore:
    store = HandStore(tmp_path / "store", models.write_bundle(tmp_path / "bundle"))
    store.install("1.0")
    return store


def test_the_fingerprint_tells_each_step_of_an_update(store: HandStore) -> None:
    release = store.add("2.0")
    seen = [fingerprint(store.current)]
    store.try_out(release)
    seen.append(fingerprint(store.current))
    store.commit()
    seen.append(fingerprint(store.current))
    store.try_out(store.add("3.0"))
    seen.append(fingerprint(store.current))
    store.roll_back()
    seen.append(fingerprint(store.current))
    assert len(set(seen)) == len(seen)
    assert fingerprint(store.current) == seen[-1]


def test_nothing_has_a_fingerprint_too(tmp_path: Path) -> None:
    assert fingerprint(tmp_path / "current") == fingerprint(tmp_path / "none" / "current")


def test_a_switch_wakes_and_reading_does_not(store: HandStore) -> None:
    release = store.add("2.0")
    woken = threading.Event()
    watcher = LinkWatcher(store.current, woken.set)
    watcher.start()
    try:
        assert (store.current / "manifest.json").read_bytes()
        assert store.store.journal.committed is not None
        assert not woken.wait(1.0)  # several times what the observer waits for
        store.try_out(release)
        assert woken.wait(PATIENCE_S)
        woken.clear()
        store.commit()
        assert woken.wait(PATIENCE_S)
    finally:
        watcher.stop()


def test_without_a_folder_to_watch_the_poll_remains(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = LinkWatcher(tmp_path / "none" / "current", lambda: None)
    with caplog.at_level(logging.WARNING):
        watcher.start()
    watcher.stop()
    assert "looking every 2 s" in caplog.text
