"""Strikes a command at one point after another, and checks what is left each time."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.crash import check
from tests.crash.check import BadError
from tests.crash.place import Answer, Common, Place, failing, killing
from tests.crash.points import Point, is_at, points
from tests.crash.scenarios import BUNDLES, SCENARIOS, Scenario, place_for
from tests.support.nginx import Nginx
from updater.errors import StorageError

KILL = "kill"
ERRORS = ("EIO", "ENOSPC", "EROFS")
DOCUMENTED = frozenset({0, StorageError.exit_code})
"""Exit codes that a command may have after an error of the disk."""

TRIES = 3
"""A run that went otherwise than the one whose calls were counted is repeated."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One point, and what happens there.

    Attributes:
        scenario: its name.
        point: the system call.
        kind: :data:`KILL`, or an error's name.
    """

    scenario: str
    point: Point
    kind: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a strike.

    Attributes:
        strike: which.
        code: exit code of the command; negative for a signal.
        bad: what does not hold; "" where all does.
    """

    strike: Strike
    code: int
    bad: str


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder that every account may enter, as ``/var`` is; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sitewatch-crash-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


class Sweep:
    """Scenarios made ready in a folder, to be struck again and again.

    Args:
        folder: empty.
        jobs: processes that strike at the same time.
    """

    def __init__(self, folder: Path, *, jobs: int = 2) -> None:
        self._folder = folder
        # Not forked: a copy of a test runner has threads, and root's rights are only given up by a
        # process that has one.
        self._pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
        common = folder / "common"
        common.mkdir()
        made = self._pool.submit(Common.make, common, BUNDLES).result()
        self._server = Nginx(folder / "nginx")
        for version in BUNDLES:
            shutil.copy(made.bundle(version), self._server.root)
        self._common = replace(made, url=self._server.url)

    def __enter__(self) -> Sweep:
        self._server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._server.stop()

    def find(self, scenarios: Sequence[Scenario]) -> dict[str, list[Point]]:
        """Makes scenarios ready and runs each once undisturbed; their points, by their names."""
        make = partial(_find, self._common, self._folder)
        names = [scenario.name for scenario in scenarios]
        return dict(zip(names, self._pool.map(make, names), strict=True))

    def prepared(self, scenario: Scenario) -> Place:
        """Where a scenario that was looked at is ready to be run; only to be copied."""
        return place_for(self._common, self._folder, scenario)

    def strike(self, strikes: Sequence[Strike]) -> Iterator[Outcome]:
        """Strikes, in parallel; the outcomes in order."""
        return self._pool.map(partial(_strike, self._common, self._folder), strikes)


def _scenario(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def _find(common: Common, folder: Path, name: str) -> list[Point]:
    """Prepares a scenario, runs it once and checks that undisturbed."""
    scenario = _scenario(name)
    place = place_for(common, folder, scenario)
    place.folder.mkdir()
    scenario.prepare(place)
    run = place.copy(folder / f"{place.folder.name}-undisturbed")
    answer, calls = run.traced(*scenario.command)
    check.check_answer(answer, name)
    check.check_done(run, scenario)
    shutil.rmtree(run.folder)
    return points(calls, [str(run.store)])


def _strike(common: Common, folder: Path, strike: Strike) -> Outcome:
    scenario = _scenario(strike.scenario)
    prepared = place_for(common, folder, scenario)
    for _ in range(TRIES):
        place = prepared.copy(folder / f"struck-{os.getpid()}")
        answer, arrived = struck(place, scenario.command, strike, [str(place.store)])
        if arrived:
            break
    else:
        return Outcome(strike, answer.code, "the run never came there")
    if strike.kind == KILL:
        return Outcome(strike, answer.code, bad_of(lambda: check.check(place, scenario)))
    return Outcome(strike, answer.code, bad_of(lambda: _check_error(place, strike, answer)))


def struck(
    place: Place, command: Sequence[str], strike: Strike, roots: Sequence[str]
) -> tuple[Answer, bool]:
    """Runs a command and strikes it; whether that was at the very call that was meant.

    Args:
        place: in which it runs.
        command: its arguments.
        strike: the call, and what happens there.
        roots: folders that the call must be about.
    """
    point = strike.point
    options = (
        killing(point.call, point.number)
        if strike.kind == KILL
        else failing(point.call, point.number, strike.kind)
    )
    answer, calls = place.traced(*command, options=options)
    arrived = is_at(calls, point, roots)
    if strike.kind == KILL:
        return answer, arrived and answer.code < 0
    return answer, arrived and any(call.injected for call in calls)


def _check_error(place: Place, strike: Strike, answer: Answer) -> None:
    scenario = _scenario(strike.scenario)
    check.check_error(answer, DOCUMENTED)
    if answer.code == 0 and (running := check.check_current(place.store)) != scenario.after:
        raise BadError(f"exit code 0, and {running} is current")
    check.check(place, scenario)


def bad_of(checked: Callable[[], None]) -> str:
    """What a check found; "" for nothing."""
    try:
        checked()
    except BadError as error:
        return str(error)
    return ""
