"""States by (error, kill) of whole commands: what a fault in the step after each state comes to.

The store's effects, one by one, have a matrix of their own (``docs/updates-states.md``). Here the
real command runs as a process; the error is a full disk, the kill is a SIGKILL.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from tests.support.struck_update import Fault
from tests.support.updating import Device
from updater.bundle import verify_folder
from updater.store import states
from updater.store.states import State

pytestmark = pytest.mark.once

INSTALL = ("install", "{3.0}", "--offline")
BLIND = ("install", "{3.1}", "--offline")
"""A bundle that does not find what it promises."""

ROLL_BACK = ("rollback",)

COMMANDS = {
    State.FETCHED: INSTALL,
    State.VERIFIED: INSTALL,
    State.STAGED: INSTALL,
    State.TESTED: INSTALL,
    State.ACTIVATED: INSTALL,
    State.ON_PROBATION: INSTALL,
    State.COMMITTED: INSTALL,
    State.ROLLED_BACK: ROLL_BACK,
    State.FAILED: BLIND,
}
"""The command that comes through a state; before it, 1.0 was replaced by 2.0."""

KILL = -signal.SIGKILL
DISK = 8


@dataclass(frozen=True)
class Row:
    """What a fault comes to.

    Attributes:
        code: how the command ends.
        current: version that is current then.
        recovered: version that is current after ``recover``.
        state: of the candidate after it.
        again: exit code of the same command once more.
        ends: version that is current then.
    """

    code: int
    current: str
    recovered: str
    state: State
    again: int
    ends: str


MATRIX = {
    (State.FETCHED, Fault.ERROR): Row(DISK, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.FETCHED, Fault.KILL_BEFORE): Row(KILL, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.FETCHED, Fault.KILL_AFTER): Row(KILL, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.VERIFIED, Fault.ERROR): Row(DISK, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.VERIFIED, Fault.KILL_BEFORE): Row(KILL, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.VERIFIED, Fault.KILL_AFTER): Row(KILL, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.STAGED, Fault.ERROR): Row(DISK, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.STAGED, Fault.KILL_BEFORE): Row(KILL, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.STAGED, Fault.KILL_AFTER): Row(KILL, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.TESTED, Fault.ERROR): Row(DISK, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.TESTED, Fault.KILL_BEFORE): Row(KILL, "2.0", "2.0", State.FAILED, 0, "3.0"),
    (State.TESTED, Fault.KILL_AFTER): Row(KILL, "2.0", "2.0", State.ROLLED_BACK, 0, "3.0"),
    (State.ACTIVATED, Fault.ERROR): Row(DISK, "2.0", "2.0", State.ROLLED_BACK, 0, "3.0"),
    (State.ACTIVATED, Fault.KILL_BEFORE): Row(KILL, "2.0", "2.0", State.ROLLED_BACK, 0, "3.0"),
    (State.ACTIVATED, Fault.KILL_AFTER): Row(KILL, "3.0", "3.0", State.ON_PROBATION, 0, "3.0"),
    (State.ON_PROBATION, Fault.ERROR): Row(DISK, "2.0", "2.0", State.ROLLED_BACK, 0, "3.0"),
    (State.ON_PROBATION, Fault.KILL_BEFORE): Row(KILL, "3.0", "3.0", State.ON_PROBATION, 0, "3.0"),
    (State.ON_PROBATION, Fault.KILL_AFTER): Row(KILL, "3.0", "3.0", State.COMMITTED, 0, "3.0"),
    (State.COMMITTED, Fault.ERROR): Row(DISK, "3.0", "3.0", State.COMMITTED, 0, "3.0"),
    (State.COMMITTED, Fault.KILL_BEFORE): Row(KILL, "3.0", "3.0", State.COMMITTED, 0, "3.0"),
    (State.COMMITTED, Fault.KILL_AFTER): Row(KILL, "3.0", "3.0", State.COMMITTED, 0, "3.0"),
    (State.ROLLED_BACK, Fault.ERROR): Row(DISK, "2.0", "1.0", State.ROLLED_BACK, 0, "1.0"),
    (State.ROLLED_BACK, Fault.KILL_BEFORE): Row(KILL, "2.0", "1.0", State.ROLLED_BACK, 0, "1.0"),
    (State.ROLLED_BACK, Fault.KILL_AFTER): Row(KILL, "1.0", "1.0", State.ROLLED_BACK, 0, "1.0"),
    (State.FAILED, Fault.ERROR): Row(9, "2.0", "2.0", State.FAILED, 10, "2.0"),
    (State.FAILED, Fault.KILL_BEFORE): Row(KILL, "2.0", "2.0", State.FAILED, 10, "2.0"),
    (State.FAILED, Fault.KILL_AFTER): Row(KILL, "2.0", "2.0", State.FAILED, 10, "2.0"),
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """A device with the bundles, 1.0 replaced by 2.0, and a copy of its store."""
    found = Device(tmp_path_factory.mktemp("matrix"))
    found.sections[""]["keep_releases"] = 2  # so that there is something to do after a commit
    for version in ("1.0", "2.0", "3.0"):
        found.tiny(version)
    found.tiny("3.1", shown=())
    for version in ("1.0", "2.0"):
        assert found.run("install", found.folder / f"{version}.zip", "--offline").code == 0
    subprocess.run(["cp", "-a", found.store, found.folder / "before"], check=True)
    return found


@pytest.fixture
def device(prepared: Device) -> Iterator[Device]:
    shutil.rmtree(prepared.store)
    subprocess.run(["cp", "-a", prepared.folder / "before", prepared.store], check=True)
    yield prepared


def current(device: Device) -> str:
    """The version of the whole release that is current."""
    return verify_folder(device.current).version


def named(device: Device, command: tuple[str, ...]) -> tuple[str | Path, ...]:
    return tuple(
        device.folder / f"{text[1:-1]}.zip" if text.startswith("{") else text for text in command
    )


def test_no_state_and_no_fault_is_left_out() -> None:
    assert set(COMMANDS) == set(State)
    assert set(MATRIX) == set(product(State, Fault))


@pytest.mark.parametrize(("state", "fault"), list(product(State, Fault)))
def test_a_fault_in_the_step_after_a_state(device: Device, state: State, fault: Fault) -> None:
    command = named(device, COMMANDS[state])
    program = ("-m", "tests.support.struck_update", state, fault)
    answer = device.run(*command, program=program)
    struck_at = current(device)
    assert device.run("recover").code == 0
    recovered, candidate = current(device), device.opened().journal.candidate
    assert candidate is not None
    assert not list((device.store / "staging").iterdir())
    again = device.run(*command)

    found = Row(answer.code, struck_at, recovered, candidate.state, again.code, current(device))
    assert found == MATRIX[state, fault]
    assert "Traceback" not in answer.err + again.err
    if fault is Fault.ERROR:
        assert answer.last_line.startswith("sitewatch-update: ")
    assert device.opened().current == device.opened().journal.committed


@pytest.mark.parametrize(("state", "fault"), list(product(sorted(states.CURRENT), Fault)))
def test_a_fault_with_nothing_to_go_back_to(device: Device, state: State, fault: Fault) -> None:
    """The first installation of all is done by the same command once more."""
    shutil.rmtree(device.store)
    command = named(device, INSTALL)
    answer = device.run(*command, program=("-m", "tests.support.struck_update", state, fault))
    assert answer.code == (DISK if fault is Fault.ERROR else KILL)
    assert device.run(*command).code == 0
    assert current(device) == "3.0"
    assert device.opened().current == device.opened().journal.committed
