"""``sitewatch-update install`` from a file, with the real self-test: no daemon runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator

import pytest

from tests.support.models import SCENE, write_bundle
from tests.support.rights import public_folder
from tests.support.updating import Device
from updater.bundle import verify_folder
from updater.process_lock import ProcessLock


@pytest.fixture
def device() -> Iterator[Device]:
    with public_folder() as folder:
        yield Device(folder)


def current_version(device: Device) -> str:
    """Of the whole release that ``current`` names."""
    return verify_folder(device.current).version


def test_a_bundle_is_proven_and_committed(device: Device) -> None:
    answer = device.run("install", device.tiny("1.0"), "--offline")
    assert (answer.code, answer.last_line) == (0, "1.0 is committed")
    assert current_version(device) == "1.0"
    status = device.status()
    digest = hashlib.sha256((device.current / "manifest.json").read_bytes()).hexdigest()
    found = status["current"]
    assert (found["version"], found["digest"], found["state"]) == ("1.0", digest, "committed")
    assert status["previous"] is None
    assert status["last"]["action"] == "install"
    assert status["last"]["outcome"] == "success"
    (report,) = (device.store / "reports").iterdir()
    assert json.loads(report.read_text())["passed"] is True
    assert not list((device.store / "staging").iterdir())


def test_the_next_one_replaces_it_and_the_same_again_is_success_at_once(device: Device) -> None:
    device.run("install", device.tiny("1.0"), "--offline")
    second = device.tiny("1.1")
    answer = device.run("install", second, "--offline")
    assert (answer.code, answer.last_line) == (0, "1.1 is committed; it replaces 1.0")
    before = device.status()
    again = device.run("install", second, "--offline")
    assert (again.code, again.last_line) == (0, "1.1 is active already")
    assert "selftest" not in again.err
    sha256 = hashlib.sha256(second.read_bytes()).hexdigest()
    unread = device.run("install", second, "--offline", "--sha256", sha256)
    assert (unread.code, unread.last_line) == (0, "1.1 is active already")
    assert device.status() == before
    assert before["previous"]["version"] == "1.0"
    assert current_version(device) == "1.1"


def test_without_a_daemon_it_stays_on_probation_for_the_next_start(device: Device) -> None:
    device.run("install", device.tiny("1.0"), "--offline")
    second = device.tiny("1.1")
    answer = device.run("install", second)
    assert (answer.code, answer.last_line) == (
        0,
        "1.1 is on probation; the verdict comes when a daemon has run it",
    )
    status = device.status()
    assert (status["current"]["version"], status["current"]["state"]) == ("1.1", "on_probation")
    assert status["previous"]["version"] == "1.0"
    assert status["last"]["outcome"] == "pending"

    other = device.run("install", device.tiny("1.2"))
    assert other.code == 12
    assert "1.1 is on probation" in other.last_line
    assert device.run("install", second).code == 0
    assert device.status()["current"]["state"] == "on_probation"

    late = device.run("wait", "--timeout", "0.5")
    assert late.code == 13
    assert late.last_line == (
        "sitewatch-update: 1.1 is still on probation after 0.5 s. Ask again, or roll it back"
    )
    assert device.run("confirm").code == 0
    committed = device.run("wait", "--timeout", "5")
    assert (committed.code, committed.last_line) == (0, "1.1 is committed; it replaces 1.0")


def test_three_starts_without_a_verdict_are_enough(device: Device) -> None:
    device.run("install", device.tiny("1.0"), "--offline")
    device.run("install", device.tiny("1.1"))
    for _ in range(2):
        assert device.run("recover", "--daemon-start").code == 0
        assert current_version(device) == "1.1"
    assert device.run("recover", "--daemon-start").code == 0
    assert current_version(device) == "1.0"
    answer = device.run("wait")
    assert answer.code == 13
    assert "1.1: rolled back to 1.0: no verdict in 3 starts of the daemon" in answer.last_line
    refused = device.run("install", device.folder / "1.1.zip")
    assert refused.code == 10
    assert "failed here before: no verdict in 3 starts" in refused.last_line


def test_a_bundle_that_fails_its_self_test_is_not_tried_again(device: Device) -> None:
    device.run("install", device.tiny("1.0"), "--offline")
    blind = device.tiny("1.1", shown=())
    answer = device.run("install", blind, "--offline")
    assert answer.code == 9
    assert "no red is found" in answer.last_line
    assert current_version(device) == "1.0"
    assert device.status()["candidate"]["state"] == "failed"
    again = device.run("install", blind, "--offline")
    assert again.code == 10
    assert "version 1.1 failed here before" in again.last_line
    assert "no red is found" in again.last_line
    retried = device.run("install", blind, "--offline", "--retry")
    assert retried.code == 9
    assert [path.name[:4] for path in (device.store / "releases").iterdir()] == ["1.0-"]


def test_a_model_that_no_runtime_can_run(device: Device) -> None:
    folder = write_bundle(device.folder / "work")
    (folder / "model.tflite").write_bytes(bytes(1000))
    answer = device.run("install", device.packed(folder, "1.0"), "--offline")
    assert answer.code == 5
    assert not device.current.exists()
    assert device.status()["current"] is None


def test_an_older_version_is_refused_unless_wanted(device: Device) -> None:
    device.run("install", device.tiny("2.0"), "--offline")
    old = device.tiny("1.9")
    refused = device.run("install", old, "--offline")
    assert refused.code == 10
    assert "version 1.9 is older than the installed 2.0" in refused.last_line
    assert device.status()["last"]["exit_code"] == 10
    assert device.run("install", old, "--offline", "--allow-downgrade").code == 0
    assert current_version(device) == "1.9"


def test_an_unsigned_bundle_is_refused_unless_configured(device: Device) -> None:
    folder = write_bundle(device.folder / "work")
    unsigned = device.folder / "unsigned.zip"
    made = device.run("bundle", "create", folder, unsigned, "--version", "1.0", "--unsigned")
    assert made.code == 0, made.err
    refused = device.run("install", unsigned, "--offline")
    assert refused.code == 10
    assert "the bundle is not signed" in refused.last_line
    device.sections[""]["require_signature"] = False
    accepted = device.run("install", unsigned, "--offline")
    assert accepted.code == 0, accepted.err
    assert "NOT SIGNED" in accepted.err


def test_a_key_of_somebody_else_is_refused(device: Device) -> None:
    (device.folder / "other").mkdir()
    other = Device(device.folder / "other")
    answer = device.run("install", other.tiny("1.0"), "--offline")
    assert answer.code == 10
    assert "which this device does not know" in answer.last_line
    assert not device.current.exists()


def test_the_checksum_asked_for_is_the_one_that_counts(device: Device) -> None:
    bundle = device.tiny("1.0")
    answer = device.run("install", bundle, "--offline", "--sha256", "0" * 64)
    assert answer.code == 11
    assert "was asked for" in answer.last_line
    wrong = device.run("install", bundle, "--sha256", "xyz")
    assert wrong.code == 2


@pytest.mark.parametrize("name", ["absent.zip", "."])
def test_a_file_that_is_none(device: Device, name: str) -> None:
    answer = device.run("install", device.folder / name, "--offline")
    assert answer.code == 2
    assert str(device.folder / name) in answer.last_line


def test_two_runs_at_once(device: Device) -> None:
    device.run("install", device.tiny("1.0"), "--offline")
    lock = ProcessLock(device.store / "lock")
    try:
        answer = device.run("install", device.tiny("1.1"), "--offline")
        assert answer.code == 12
        assert str(os.getpid()) in answer.last_line
        assert device.status()["current"]["version"] == "1.0"
    finally:
        lock.release()
    assert device.run("install", device.folder / "1.1.zip", "--offline").code == 0


def test_roll_back_by_hand(device: Device) -> None:
    device.run("install", device.tiny("1.0"), "--offline")
    second = device.tiny("1.1")
    device.run("install", second, "--offline")
    assert device.run("rollback", "--unproven").code == 0
    assert current_version(device) == "1.1", "a proven one stays"
    answer = device.run("rollback")
    assert (answer.code, answer.last_line) == (0, "rolled back from 1.1 to 1.0")
    assert current_version(device) == "1.0"
    assert device.run("install", second, "--offline").code == 10
    assert device.run("install", second, "--offline", "--retry").code == 0
    assert current_version(device) == "1.1"


def test_the_floor_is_what_is_left(device: Device) -> None:
    floor = write_bundle(device.folder / "floor")
    assert device.run("recover", "--floor", floor).code == 0
    assert current_version(device) == "2026.11.22"
    newer = device.tiny("2026.12.1", golden=SCENE)
    assert device.run("install", newer, "--offline", "--floor", floor).code == 0
    assert device.run("rollback", "--floor", floor).code == 0
    assert current_version(device) == "2026.11.22"
    assert device.run("gc", "--floor", floor).code == 0
    assert floor.is_dir()


def test_the_process_that_parses_is_not_root(device: Device) -> None:
    """As root started, everything in the store belongs to somebody without rights."""
    answer = device.run("install", device.tiny("1.0"), "--offline")
    assert answer.code == 0, answer.err
    owners = {path.lstat().st_uid for path in (device.store, *device.store.rglob("*"))}
    assert len(owners) == 1
    assert (owners == {os.geteuid()}) == (os.geteuid() != 0)
