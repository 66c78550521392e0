"""The updater's real commands, killed and refused by the disk at a part of their system calls.

All of them are for ``scripts/crash-sweep``. The power cuts are complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.points import Point, spread
from tests.crash.powercut import Recording, cut, record
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.sweep import ERRORS, KILL, Outcome, Strike, Sweep, workplace
from tests.crash.upload import NAME as UPLOAD
from tests.crash.upload import UploadSweep
from tests.support.mosquitto import find_program
from tests.support.s3_server import S3Server

pytestmark = pytest.mark.once

KILLS = 30
REFUSALS = 18
UPLOADS = 6


@dataclass(frozen=True)
class Ready:
    """The scenarios, ready to be struck.

    Attributes:
        folder: of all.
        sweep: strikes.
        points: of each scenario.
    """

    folder: Path
    sweep: Sweep
    points: dict[str, list[Point]]

    def strikes(self, kinds: Sequence[str], count: int) -> list[Strike]:
        """Some points of all scenarios, each kind of call among them, with these kinds in turn."""
        every = [(name, point) for name, points in self.points.items() for point in points]
        chosen = spread(every, count, kind=lambda each: each[1].call)
        return [
            Strike(name, point, kinds[place % len(kinds)])
            for place, (name, point) in enumerate(chosen)
        ]


@pytest.fixture(scope="module")
def ready() -> Iterator[Ready]:
    find_program("strace")
    with workplace() as folder, Sweep(folder) as sweep:
        yield Ready(folder, sweep, sweep.find(SCENARIOS))


def bad(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.bad]


def test_killed(ready: Ready) -> None:
    outcomes = list(ready.sweep.strike(ready.strikes([KILL], KILLS)))
    assert not bad(outcomes)
    assert len(outcomes) >= KILLS
    assert {outcome.strike.scenario for outcome in outcomes} == set(ready.points)


def test_refused_by_the_disk(ready: Ready) -> None:
    outcomes = list(ready.sweep.strike(ready.strikes(ERRORS, REFUSALS)))
    assert not bad(outcomes)
    codes = [outcome.code for outcome in outcomes]
    assert codes.count(8) > len(codes) / 2, "most of them cannot be passed over"


def test_one_failed_read_is_no_damage(ready: Ready) -> None:
    """What is damaged is given up for good; that takes more than one error of a card or a bus."""
    reads = [
        Strike("gc", point, "EIO")
        for point in ready.points["gc"]
        if point.call == "openat" and point.paths[0].endswith(("/manifest.json", "/journal.json"))
    ]
    outcomes = list(ready.sweep.strike(reads))
    assert not bad(outcomes)
    assert [outcome.code for outcome in outcomes].count(0) > len(outcomes) / 2


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_power_cut_at_every_moment(ready: Ready, scenario: Scenario) -> None:
    cuts = cut(record(ready.sweep.prepared(scenario), scenario), ready.folder)
    assert not cuts.bad
    assert cuts.images > 1


@pytest.fixture(scope="module")
def recording(ready: Ready) -> Recording:
    scenario = next(each for each in SCENARIOS if each.name == "install, second")
    return record(ready.sweep.prepared(scenario), scenario)


@pytest.mark.parametrize("is_folder", [True, False], ids=["folders", "files"])
def test_power_cuts_find_what_is_not_synced(
    ready: Ready, recording: Recording, is_folder: bool
) -> None:
    """The check itself: told nothing of one kind of fsync, it finds fault."""
    folders = {
        call.paths[0]
        for call in recording.calls
        if call.name == "openat" and "O_DIRECTORY" in call.arguments[2]
    }
    cuts = cut(
        recording,
        ready.folder,
        told=lambda call: call.name != "fsync" or (call.paths[0] in folders) != is_folder,
    )
    assert cuts.bad


def test_upload_struck(tmp_path: Path) -> None:
    find_program("strace")
    server = S3Server(tmp_path / "moto.log")
    try:
        with workplace() as folder:
            uploads = UploadSweep.make(folder, server)
            chosen = spread(uploads.find(), UPLOADS, kind=lambda point: point.call)
            kinds = (KILL, *ERRORS)
            strikes = [
                Strike(UPLOAD, point, kinds[place % len(kinds)])
                for place, point in enumerate(chosen)
            ]
            assert not bad(list(uploads.strike(strikes)))
    finally:
        server.stop()
