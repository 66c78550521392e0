"""What must hold after a command on a store was killed or failed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.crash.place import Answer, Place
from tests.crash.scenarios import Scenario
from updater.bundle import verify_folder
from updater.errors import SitewatchError
from updater.manifest import MODEL_NAME
from updater.store import serial

ROOT = Path(__file__).resolve().parents[2]
SELFTEST_TIMEOUT_S = 120.0

SHORTEST_MESSAGE = 40
"""Characters: less cannot say what happened, and where."""


class BadError(Exception):
    """Something that must hold does not."""


def check(place: Place, scenario: Scenario) -> None:
    """After a kill or an error: a good model at once, and the next commands succeed.

    Raises:
        BadError: not so.
    """
    if scenario.readable:
        check_journal(place.store)
    running = check_current(place.store) if scenario.readable else None
    _expect(running, scenario)
    if scenario.readable:
        _check_status(place, running)
    check_answer(place.run("recover"), "recover")
    _expect(check_current(place.store), scenario)
    check_tidy(place.store)
    check_answer(place.run(*scenario.command), "the same again")
    check_done(place, scenario)


def check_done(place: Place, scenario: Scenario) -> None:
    """After a success.

    Raises:
        BadError: not everything is as it should be.
    """
    running = check_current(place.store)
    if running != scenario.after:
        raise BadError(f"{running or 'nothing'} is current at the end, not {scenario.after}")
    state = _check_status(place, running)
    if state != scenario.ends:
        raise BadError(f"{running} is {state} at the end, not {scenario.ends}")
    check_tidy(place.store)


def check_journal(store: Path) -> None:
    """The journal is absent, as before the first command, or can be read.

    Raises:
        BadError: it is damaged.
    """
    path = store / "journal.json"
    if not path.exists():
        return
    try:
        serial.from_json(path.read_bytes())
    except SitewatchError as error:
        raise BadError(f"the journal cannot be read: {error}") from error


def check_current(store: Path) -> str | None:
    """The version of the whole release that ``current`` names; None where there is no link.

    Raises:
        BadError: it names nothing, or something that is not whole or cannot run.
    """
    current = store / "current"
    if not current.is_symlink():
        return None
    try:
        manifest = verify_folder(current)
    except SitewatchError as error:
        raise BadError(f"current: {error}") from error
    if not _runs(current.resolve()):
        raise BadError("the model of current does not run")
    return manifest.version


def check_tidy(store: Path) -> None:
    """Nothing half-made is left.

    Raises:
        BadError: something is.
    """
    found = [
        *(store / "staging").glob("*"),
        *store.glob(".*"),
        *(store / "reports").glob(".*"),
    ]
    if found:
        raise BadError(f"left behind: {', '.join(str(path.relative_to(store)) for path in found)}")


def check_answer(answer: Answer, name: str) -> None:
    """A command succeeded.

    Raises:
        BadError: it did not.
    """
    if answer.code != 0:
        raise BadError(f"{name}: exit code {answer.code}: {answer.err.strip()[-600:]}")


def check_error(answer: Answer, documented: frozenset[int]) -> None:
    """A command that failed says so as documented: one clear line, the last, and its exit code.

    Args:
        answer: its end.
        documented: exit codes that such an error may have.

    Raises:
        BadError: a traceback, no message, another exit code.
    """
    lines = answer.err.strip().splitlines()
    if "Traceback" in answer.err or answer.code not in documented:
        raise BadError(f"exit code {answer.code}: {answer.err.strip()[-1500:]}")
    if answer.code == 0:
        return
    said = [line for line in lines if line.startswith("sitewatch-update: ")]
    if not lines or said != lines[-1:] or len(lines[-1]) < SHORTEST_MESSAGE:
        raise BadError(f"exit code {answer.code} without one clear last line: {answer.err[-600:]}")


def _expect(running: str | None, scenario: Scenario) -> None:
    if running is None and (not scenario.before or not scenario.readable):
        return
    if running not in (scenario.before, scenario.after):
        raise BadError(f"{running or 'nothing'} is current")


def _check_status(place: Place, running: str | None) -> str | None:
    """The state of what is current, as told."""
    answer = place.run("status", "--json")
    check_answer(answer, "status")
    found: dict[str, Any] = json.loads(answer.out)["current"] or {}
    if found.get("version") != running:
        raise BadError(f"status says {found}, and current is {running}")
    return found.get("state")


_RUNS: dict[bytes, bool] = {}


def _runs(bundle: Path) -> bool:
    """Whether a model runs here: by the real self-test, once for each."""
    model = (bundle / MODEL_NAME).read_bytes()
    if model not in _RUNS:
        done = subprocess.run(
            [sys.executable, "-m", "daemon", "selftest", "--threads", "1", "--", bundle],
            cwd=ROOT,
            capture_output=True,
            timeout=SELFTEST_TIMEOUT_S,
            check=False,
        )
        _RUNS[model] = done.returncode == 0
    return _RUNS[model]
