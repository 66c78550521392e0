"""The commands on the store, as the command line calls them."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.small_releases import Bundle, damage, install, make_bundle
from updater.commands import common, confirm, gc, history, recover, rollback, status, verify
from updater.commands.context import Context
from updater.errors import BundleError, BusyError, ProbationError, StateError
from updater.settings import UpdateConfig
from updater.store import moves
from updater.store.states import State
from updater.store.store import Store, open_recovered


@dataclass
class Device:
    """A store and its command line."""

    store: Store
    floor: Path
    made: dict[str, Bundle]
    output: Callable[[], str]

    def call(self, *words: str) -> int:
        parser = argparse.ArgumentParser()
        subparsers = parser.add_subparsers(required=True)
        for module in (status, history, rollback, confirm, verify, gc, recover):
            module.add_parser(subparsers)
        arguments = parser.parse_args(words)
        settings = replace(UpdateConfig(), store=self.store.layout.root)
        context = Context(settings=settings, floor=self.floor, as_json=arguments.json)
        code: int = arguments.run(arguments, context)
        return code

    def say(self, *words: str) -> str:
        assert self.call(*words) == 0
        return self.output()

    def read(self, *words: str) -> Any:
        return json.loads(self.say(*words, "--json"))

    def install(self, version: str, until: State = State.COMMITTED) -> None:
        install(self.store, self.made[version], until=until, keep=9)


@pytest.fixture
def device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Device]:
    floor = make_bundle(tmp_path / "floor", "0.9").folder
    made = {each: make_bundle(tmp_path / each, each) for each in ("1.0", "2.0", "3.0")}
    store = Store(tmp_path / "models", floor)
    yield Device(store, floor, made, lambda: capsys.readouterr().out)


def version(entry: Any) -> tuple[str, str] | None:
    return None if entry is None else (entry["version"], entry["state"])


def places(device: Device) -> tuple[object, object, object]:
    found = device.read("status")
    return version(found["current"]), version(found["previous"]), version(found["candidate"])


def test_status_of_a_store_that_nobody_used(device: Device) -> None:
    found = device.read("status")
    assert found == {"current": None, "previous": None, "candidate": None, "last": None}
    assert not device.store.layout.root.exists()
    assert "nothing was done yet" in device.say("status")


def test_status_on_the_way(device: Device) -> None:
    device.call("recover")
    device.output()
    assert places(device) == (("0.9", "committed"), None, None)
    device.install("1.0", State.ON_PROBATION)
    probation = ("1.0", "on_probation")
    assert places(device) == (probation, ("0.9", "committed"), probation)
    device.call("confirm")
    device.output()
    committed = ("1.0", "committed")
    assert places(device) == (committed, ("0.9", "committed"), committed)
    device.install("2.0", State.ROLLED_BACK)
    assert places(device) == (committed, ("0.9", "committed"), ("2.0", "rolled_back"))
    assert device.read("status")["last"]["reason"] == "blind"


def test_status_has_the_digest_of_each(device: Device) -> None:
    device.install("1.0")
    assert device.read("status")["current"]["digest"] == device.made["1.0"].digest


def test_status_in_the_middle_of_a_rollback(device: Device) -> None:
    device.install("1.0", State.ON_PROBATION)
    with device.store.locked():
        journal = device.store.journal
        device.store.write(moves.roll_back(journal, reason="blind", exit_code=13, now=1.0))
    assert places(device) == (
        ("1.0", "rolled_back"), None, ("1.0", "rolled_back"),
    )  # fmt: skip


def test_status_while_another_run_is_at_work(device: Device) -> None:
    device.install("1.0")
    with device.store.locked():
        assert "1.0" in device.say("status")


def test_foreign_text_does_not_command_the_terminal(device: Device) -> None:
    install(device.store, device.made["1.0"], until=State.STAGED)
    with device.store.locked():
        journal = moves.fail(device.store.journal, reason="a\x1b[2Jb\nc", exit_code=9, now=1.0)
        device.store.settle(journal)
    for command in ("status", "history"):
        assert "a\ufffd[2Jb\ufffdc" in device.say(command)


def test_list(device: Device) -> None:
    device.install("1.0")
    device.install("2.0", State.ON_PROBATION)
    rows = device.read("list")["releases"]
    assert [(row["version"], row["state"], row["place"]) for row in rows] == [
        ("0.9", "committed", ""),
        ("1.0", "committed", "previous"),
        ("2.0", "on_probation", "current"),
    ]
    assert device.made["2.0"].name in device.say("list")


def test_list_of_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = replace(UpdateConfig(), store=tmp_path / "empty")
    context = Context(settings=settings, floor=None, as_json=False)
    assert history.list_releases(argparse.Namespace(), context) == 0
    assert capsys.readouterr().out == "no release\n"


def test_history_tells_what_happened_and_what_is_refused(device: Device) -> None:
    assert device.say("history") == "nothing was done yet\n"
    device.install("1.0")
    device.install("2.0", State.FAILED)
    text = device.say("history")
    assert "install 1.0: success" in text
    assert "install 2.0: failed: too slow" in text
    assert text.endswith("refused until --retry: 2.0: too slow\n")
    found = device.read("history")
    assert [each["outcome"] for each in found["history"]] == ["success", "failed"]
    assert found["failures"][0]["digest"] == device.made["2.0"].digest


def test_rollback_of_a_committed_release(device: Device) -> None:
    device.install("1.0")
    device.install("2.0")
    assert device.say("rollback") == "rolled back from 2.0 to 1.0\n"
    assert places(device) == (
        ("1.0", "committed"), ("0.9", "committed"), ("2.0", "rolled_back"),
    )  # fmt: skip
    assert device.store.journal.failures[-1].reason == "rolled back by hand"


def test_rollback_said_twice_goes_one_back(device: Device) -> None:
    device.install("1.0")
    device.install("2.0")
    device.say("rollback")
    assert device.say("rollback") == "2.0 was rolled back already: 1.0 is current\n"
    assert places(device)[0] == ("1.0", "committed")


def test_rollback_on_probation_is_a_verdict(device: Device) -> None:
    device.install("1.0")
    device.install("2.0", State.ON_PROBATION)
    assert device.say("rollback", "--unproven") == "rolled back from 2.0 to 1.0\n"
    assert device.say("rollback", "--unproven") == "nothing to roll back: 1.0 is current\n"
    assert places(device)[0] == ("1.0", "committed")


@pytest.mark.parametrize("until", [State.COMMITTED, State.ON_PROBATION])
def test_rollback_to(device: Device, until: State) -> None:
    device.install("1.0")
    device.install("2.0")
    device.install("3.0", until)
    assert device.say("rollback", "--to", "1.0") == "rolled back from 3.0 to 1.0\n"
    assert device.say("rollback", "--to", "1.0") == "nothing to roll back: 1.0 is current\n"
    assert [each.version for each in device.store.journal.failures] == ["3.0"]
    device.say("rollback", "--to", device.made["2.0"].name)
    assert places(device)[0] == ("2.0", "committed")


def test_rollback_to_the_floor_and_back(device: Device) -> None:
    device.install("1.0")
    device.say("rollback", "--to", "0.9")
    assert places(device)[0] == ("0.9", "committed")
    device.say("rollback", "--to", "1.0")
    assert device.store.journal.failures == ()
    assert places(device)[0] == ("1.0", "committed")


def test_rollback_to_what_is_not_there(device: Device) -> None:
    device.install("1.0")
    with pytest.raises(StateError, match=r"no release '7' is kept here"):
        device.call("rollback", "--to", "7")


def test_rollback_with_nowhere_to_go(device: Device) -> None:
    device.call("recover")
    with pytest.raises(StateError, match="no other release"):
        device.call("rollback")
    assert device.call("rollback", "--unproven") == 0


def test_rollback_prints_the_status_as_json(device: Device) -> None:
    device.install("1.0")
    assert device.read("rollback")["current"]["version"] == "0.9"


def test_rollback_of_an_empty_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "empty", None)
    with open_recovered(store) as journal:
        said = rollback.roll_back(store, journal, to="", unproven=True)
    assert said == "nothing to roll back: there is no release"


def test_confirm(device: Device) -> None:
    device.install("1.0", State.ON_PROBATION)
    assert device.say("confirm") == "1.0 is committed\n"
    assert device.say("confirm") == "1.0 is committed already\n"
    assert device.store.journal.history[-1].action == "confirm"


def test_confirm_of_what_was_given_up(device: Device) -> None:
    device.install("1.0", State.ROLLED_BACK)
    with pytest.raises(ProbationError, match=r"1\.0 was rolled back: blind"):
        device.call("confirm")
    device.install("2.0", State.FAILED)
    with pytest.raises(StateError, match="no release is on probation"):
        device.call("confirm")


def test_confirm_lets_go_of_what_is_superfluous(device: Device) -> None:
    for number in range(1, 5):
        bundle = make_bundle(device.floor.parent / f"8.{number}", f"8.{number}")
        install(device.store, bundle, until=State.ON_PROBATION)
        device.call("confirm")
    versions = [each.version for each in device.store.journal.releases]
    assert versions == ["0.9", "8.2", "8.3", "8.4"]


def test_verify(device: Device) -> None:
    device.install("1.0")
    device.install("2.0")
    assert device.say("verify") == f"{device.made['2.0'].name}: whole\n"
    (device.store.layout.releases / device.made["1.0"].name / "golden/one.jpg").write_bytes(
        b"PICTURE"
    )
    device.call("verify")
    device.output()
    with pytest.raises(BundleError, match=rf"damaged: {device.made['1.0'].name}.*--thorough"):
        device.call("verify", "--all")
    text = device.output()
    assert "one.jpg: its sha256 is not the manifest's" in text
    assert text.count("whole") == 2


def test_verify_then_recover_thoroughly(device: Device) -> None:
    device.install("1.0")
    device.install("2.0")
    (device.store.layout.releases / device.made["2.0"].name / "model.tflite").write_bytes(
        b"MODEL 2.0"
    )
    with pytest.raises(BundleError):
        device.call("verify")
    device.output()
    text = device.say("recover", "--thorough")
    assert text.endswith(f"{device.made['1.0'].name} is current\n")
    assert "is damaged or gone; back to 1.0" in text
    device.call("verify", "--all")


def test_verify_of_another_manifest_under_its_name(device: Device) -> None:
    device.install("1.0")
    folder = device.store.layout.releases / device.made["1.0"].name
    data = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(BundleError):
        device.call("verify")
    assert "its manifest is another one" in device.output()


def test_verify_without_a_release(device: Device) -> None:
    with pytest.raises(StateError, match=r"names no release.*recover"):
        device.call("verify")


def test_gc_command(device: Device) -> None:
    assert device.say("gc") == "no release was superfluous\n"
    for number in range(1, 6):
        bundle = make_bundle(device.floor.parent / f"8.{number}", f"8.{number}")
        install(device.store, bundle, keep=99)
    found = device.read("gc")
    assert [name.split("-")[0] for name in found["removed"]] == ["8.1", "8.2"]
    assert found["freed_bytes"] > 0


def test_recover_tells_what_it_did(device: Device) -> None:
    device.install("1.0")
    assert device.say("recover") == f"{device.made['1.0'].name} is current\n"
    device.install("2.0", State.TESTED)
    text = device.say("recover")
    assert "recover 2.0: interrupted: interrupted while it was tested" in text
    damage(device.store.layout.releases / device.made["1.0"].name)
    assert device.read("recover")["current"]["version"] == "0.9"


def test_recover_of_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = Context(
        settings=replace(UpdateConfig(), store=tmp_path / "empty"), floor=None, as_json=False
    )
    arguments = argparse.Namespace(daemon_start=False, thorough=False)
    assert recover.run(arguments, context) == 0
    assert capsys.readouterr().out == "there is no release yet\n"


def test_three_starts_of_the_daemon(device: Device) -> None:
    device.install("1.0")
    device.install("2.0", State.ON_PROBATION)
    for _ in range(2):
        assert device.say("recover", "--daemon-start") == f"{device.made['2.0'].name} is current\n"
        device.say("recover")  # counts nothing
    text = device.say("recover", "--daemon-start")
    assert "no verdict in 3 starts of the daemon" in text
    assert places(device)[0] == ("1.0", "committed")


def test_a_live_run_is_not_disturbed(
    device: Device, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "DAEMON_WAIT_S", 0.01)
    device.install("1.0")
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with device.store.locked():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    try:
        before = device.store.layout.journal.read_bytes()
        for command in ("recover", "gc", "confirm", "rollback"):
            with pytest.raises(BusyError, match="another run is at work"):
                device.call(command)
        assert device.call("recover", "--daemon-start") == 0
        assert "nothing is recovered" in capsys.readouterr().err
        assert device.store.layout.journal.read_bytes() == before
    finally:
        leave.set()
        thread.join()


def test_a_time_that_no_calendar_has() -> None:
    assert common.utc(1e12) == "9999-12-31 23:59:59Z"
    assert common.utc(-1.0) == "1970-01-01 00:00:00Z"
