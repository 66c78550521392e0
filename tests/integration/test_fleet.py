"""A small simulated fleet: broker restarted, devices killed and cut off, and a roll-out meanwhile.

``python -m tests.benchmarks fleet`` is the same with 1,000 devices; docs/fleet.md has its figures.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.connect_agents import Desk, UnknownDeviceError
from tests.support.connect_server import Step
from tests.support.fleet.fleet import CANARY, REST, Fleet
from tests.support.fleet.host import is_bad
from tests.support.fleet.tally import Arrivals, account

DEVICES = 20
BEFORE, ALL = 3, 9
"""Events of a device before its troubles begin, and in all."""


def test_no_event_is_lost_and_every_device_reports(tmp_path: Path) -> None:
    with Fleet(tmp_path, DEVICES, hosts=3, poll_s=0.5, state_s=1.0, eager=True) as fleet:
        fleet.start_devices()
        fleet.raise_events(BEFORE, 0.3)
        fleet.wait_delivered()
        finish = fleet.start_rollout(0.2)
        fleet.raise_events(ALL, 1.5)
        fleet.broker_relay.cut()
        fleet.connect_relay.cut()
        fleet.stop_broker()
        fleet.restart_host(1, ALL, 0.5)
        fleet.broker.start()
        fleet.broker_relay.mend()
        fleet.connect_relay.mend()
        rollout = finish()
        fleet.wait_delivered()
        fleet.wait_online()
        connections = fleet.status()["connections"]
        found = fleet.account()
    assert connections > DEVICES, "nobody was cut off, so this has shown nothing"
    assert found.holds, found
    assert found.promised == DEVICES * ALL
    assert rollout.code == 0, rollout.said
    assert rollout.statuses == {
        name: "failed" if is_bad(name) else "success"
        for group in (CANARY, REST)
        for name in fleet.groups[group]
    }
    assert len(rollout.statuses) == DEVICES


def test_an_agent_that_was_cut_off_gets_what_is_left() -> None:
    desk = Desk(["cam-1"])
    assert desk.work("cam-1") is None
    desk.assign(
        "dp-1", ["cam-1"], [Step("command_step", run=f"step-{n}") for n in range(3)], "back"
    )
    assert desk.report("cam-1", "dp-1", 0, 0) == "in_progress"
    left = desk.work("cam-1")
    assert left is not None
    assert (left["first"], [step["run"] for step in left["steps"]]) == (1, ["step-1", "step-2"])
    assert desk.report("cam-1", "dp-1", 0, 13) == ""
    assert desk.report("cam-1", "dp-1", 1, 0) == "in_progress"
    assert desk.report("cam-1", "dp-1", 2, 0) == "success"
    assert desk.report("cam-1", "dp-1", 2, 13) == ""
    assert desk.work("cam-1") is None
    with pytest.raises(UnknownDeviceError):
        desk.work("cam-2")


START, END = (1, "a", "start", "77"), (2, "a", "end", "")


def alert(event: tuple[int, str, str, str]) -> bytes:
    picture = f'{{"sha256": "{event[3]}"}}' if event[3] else "null"
    text = f'"sequence": {event[0]}, "id": "{event[1]}", "type": "{event[2]}"'
    return f'{{{text}, "snapshot": {picture}}}'.encode()


@pytest.mark.parametrize(
    ("came", "pictures", "wrong"),
    [
        ([START, END], {"77"}, ""),
        ([START, END, START], {"77"}, ""),
        ([START], {"77"}, "lost"),
        ([], {"77"}, "lost"),
        ([START, END], {"78"}, "lost_pictures"),
        ([END, START], {"77"}, "disordered"),
        ([START, END, (1, "b", "start", "77")], {"77"}, "changed"),
        ([(1, "b", "start", "77"), END], {"77"}, "lost"),
    ],
)
def test_the_check_finds_what_is_wrong(
    came: list[tuple[int, str, str, str]], pictures: set[str], wrong: str
) -> None:
    arrived = Arrivals(pictures=pictures)
    for event in came:
        arrived.take("cam-1", alert(event))
    found = account({"cam-1": [START, END]}, arrived)
    assert found.holds == (wrong == "")
    names = ("lost", "lost_pictures", "disordered", "changed")
    assert [name for name in names if getattr(found, name)] == ([wrong] if wrong else [])
