"""States by (error, kill): every effect of every operation fails, or is the last or first undone.

``python -m tests.support.state_matrix`` writes ``docs/updates-states.md`` from what was found.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from tests.support import journals
from tests.support.faults import KILLS, Fault, FaultyDisk, KilledError
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
from updater.commands.rollback import roll_back
from updater.errors import StateError, StorageError
from updater.store import recovery, states
from updater.store.disk import Effect
from updater.store.journal import Journal
from updater.store.recovery import Observed
from updater.store.states import State, Step
from updater.store.store import Store, open_recovered

PAGE = Path(__file__).resolve().parents[2] / "docs" / "updates-states.md"
VERSIONS = ("1.0", "2.0", "3.0", "4.0")
DIGEST = re.compile(r"-[0-9a-f]{12}")
NOTHING = "-"

Bundles = dict[str, Bundle]


@dataclass(frozen=True)
class Scenario:
    """An operation on a store.

    Attributes:
        name: of the operation.
        prepare: what was done before it.
        operate: the operation.
        good: whether a good release is current before it, and so all the time.
    """

    name: str
    prepare: Callable[[Store, Bundles], None]
    operate: Callable[[Store, Bundles], None]
    good: bool = True


@dataclass(frozen=True)
class Point:
    """One effect of an operation.

    Attributes:
        number: from 0.
        state: of the candidate in the journal on the disk, when it begins.
        effect: what is done.
        path: to what, without digests.
    """

    number: int
    state: str
    effect: Effect
    path: str


def two(store: Store, made: Bundles) -> None:
    """2.0 over 1.0 over the floor."""
    install(store, made["1.0"])
    install(store, made["2.0"])


def on_probation(store: Store, made: Bundles) -> None:
    """And 3.0 waits for its verdict."""
    two(store, made)
    install(store, made["3.0"], until=State.ON_PROBATION)


def twice_started(store: Store, made: Bundles) -> None:
    """And the daemon was started twice with it."""
    on_probation(store, made)
    with store.locked():
        store.recover(daemon_start=True)
        store.recover(daemon_start=True)


def damaged(store: Store, made: Bundles) -> None:
    """And 2.0 lost its content."""
    two(store, made)
    damage(store.layout.releases / made["2.0"].name)


def unreadable(store: Store, made: Bundles) -> None:
    """And the journal is no JSON."""
    two(store, made)
    store.layout.journal.write_bytes(b"{")


def three(store: Store, made: Bundles) -> None:
    """Three releases."""
    two(store, made)
    install(store, made["3.0"], keep=9)


def interrupted(at: State) -> Callable[[Store, Bundles], None]:
    """An installation that was killed in a state, with half of something in staging."""

    def prepare(store: Store, made: Bundles) -> None:
        two(store, made)
        install(store, made["3.0"], until=at)
        (store.layout.staging / "half").mkdir()

    return prepare


def recover(store: Store, made: Bundles) -> None:
    """``recover``."""
    with store.locked():
        store.recover()


def started(store: Store, made: Bundles) -> None:
    """``recover --daemon-start``."""
    with store.locked():
        store.recover(daemon_start=True)


def by_hand(store: Store, made: Bundles) -> None:
    """``rollback``."""
    with open_recovered(store) as journal:
        roll_back(store, journal, to="", unproven=False)


def collect(store: Store, made: Bundles) -> None:
    """``gc``."""
    with open_recovered(store):
        (store.layout.downloads / "model.zip").write_bytes(b"archive")
        store.gc(2, 10**9)


SCENARIOS = (
    Scenario(
        "The first installation", lambda store, made: None,
        lambda store, made: install(store, made["1.0"]), good=False,
    ),
    Scenario("Installation", two, lambda store, made: install(store, made["3.0"])),
    Scenario(
        "Installation whose self-test fails", two,
        lambda store, made: install(store, made["3.0"], until=State.FAILED),
    ),
    Scenario(
        "Installation of a release that is kept", two,
        lambda store, made: install(store, made["1.0"]),
    ),
    Scenario("Bad verdict", on_probation, lambda store, made: give_up(store)),
    Scenario("Rollback of a release on probation", on_probation, by_hand),
    Scenario("Rollback of a committed release", two, by_hand),
    Scenario("Third start of the daemon", twice_started, started),
    Scenario("`gc`", three, collect),
    *(
        Scenario(f"`recover` after a kill when {state}", interrupted(state), recover)
        for state in State
        if state not in states.FINAL
    ),
    Scenario("`recover` with the current release damaged", damaged, recover, good=False),
    Scenario("`recover` with the journal damaged", unreadable, recover),
)  # fmt: skip


class Workshop:
    """Stores prepared once for each scenario, and copied for each case.

    Args:
        folder: everything lies below it.
    """

    def __init__(self, folder: Path) -> None:
        self.floor = make_bundle(folder / "floor", "0.9")
        self.made = {each: make_bundle(folder / each, each) for each in VERSIONS}
        self._templates = folder / "templates"
        self._cases = folder / "cases"
        self._count = 0

    def open(self, root: Path, disk: FaultyDisk | None = None) -> Store:
        """A process that comes to a store."""
        return Store(root, self.floor.folder, now=lambda: NOW, disk=disk)

    def prepared(self, scenario: Scenario) -> Path:
        """A store of one's own in the state before the operation."""
        template = self._templates / scenario.name
        if not template.exists():
            template.parent.mkdir(exist_ok=True)
            store = self.open(template)
            scenario.prepare(store, self.made)
        self._count += 1
        root = self._cases / str(self._count)
        if template.exists():
            shutil.copytree(template, root, symlinks=True)
        return root

    def trace(self, scenario: Scenario) -> tuple[Point, ...]:
        """The operation's effects when nothing goes wrong."""
        root = self.prepared(scenario)
        disk = _Tracing(root)
        scenario.operate(self.open(root, disk), self.made)
        return tuple(disk.points)

    def strike(self, scenario: Scenario, point: Point, fault: Fault) -> str:
        """Lets one effect go wrong, checks what holds then, and tells what runs afterwards.

        Raises:
            AssertionError: something does not hold.
        """
        root = self.prepared(scenario)
        disk = FaultyDisk(point.number, fault)
        self._operate(scenario, self.open(root, disk), fault)
        assert disk.struck
        if scenario.good:
            self._assert_good(root)
        store = self.open(root)
        recover(store, self.made)
        self._assert_good(root)
        self._assert_clean(store)
        found = outcome(store)
        if store.journal.candidate is not None and store.journal.candidate.state in states.CURRENT:
            commit(store)
        install(store, self.made["4.0"])
        assert store.current is not None
        assert store.current.version == "4.0"
        shutil.rmtree(root)
        return found

    def _operate(self, scenario: Scenario, store: Store, fault: Fault) -> None:
        try:
            scenario.operate(store, self.made)
        except KilledError:
            assert fault in KILLS
        except StorageError as error:
            assert fault not in KILLS
            said = "Input/output error" if fault is Fault.LATE_EIO else error_text(fault)
            assert said in str(error)
            assert error.where
        else:
            raise AssertionError("an error was not told")

    def _assert_good(self, root: Path) -> None:
        bundles.verify_folder((root / "current").resolve(strict=True))

    def _assert_clean(self, store: Store) -> None:
        assert not list(store.layout.staging.iterdir())
        for folder in store.layout.releases.iterdir():
            bundles.verify_folder(folder)
        bundles.verify_folder(self.floor.folder)
        with store.locked():
            assert store.recover().effects == ()


class _Tracing(FaultyDisk):
    def __init__(self, root: Path) -> None:
        super().__init__()
        self.points: list[Point] = []
        self._root = root

    @contextmanager
    def effect(self, effect: Effect, path: Path) -> Iterator[None]:
        name = DIGEST.sub("", path.relative_to(self._root).as_posix())
        self.points.append(Point(len(self.trace), _state_on_disk(self._root), effect, name))
        with super().effect(effect, path):
            yield


def _state_on_disk(root: Path) -> str:
    try:
        journal = Store(root, None).journal
    except StateError:
        return "unreadable"
    return journal.candidate.state if journal.candidate else NOTHING


def error_text(fault: Fault) -> str:
    """How the system puts an error."""
    return {
        Fault.EIO: "Input/output error",
        Fault.ENOSPC: "No space left on device",
        Fault.EROFS: "Read-only file system",
    }[fault]


def outcome(store: Store) -> str:
    """What runs, and what became of the candidate."""
    candidate = store.journal.candidate
    state = f", {candidate.version or 'it'} {candidate.state}" if candidate else ""
    return f"{store.current.version if store.current else NOTHING}{state}".replace("_", " ")


@contextmanager
def workshop() -> Iterator[Workshop]:
    """A place to work, in memory where there is one: what is tried here are the effects' errors,
    not the disk's speed, and there are tens of thousands of syncs.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Workshop(Path(folder))


@cache
def points() -> tuple[tuple[Scenario, Point], ...]:
    """Every effect of every scenario."""
    with workshop() as place:
        return tuple((scenario, point) for scenario in SCENARIOS for point in place.trace(scenario))


def render(results: dict[tuple[str, int, Fault], str]) -> str:
    """The page."""
    rows = [*HEADING, *_transitions(), *RECOVERY_HEADING, *_recoveries(), *MATRIX_HEADING]
    rows.append(f"{len(results)} cases.")
    for scenario in SCENARIOS:
        rows += ["", f"### {scenario.name}", ""]
        rows += [
            "| state in the journal | effect | error | error, yet done | killed before | killed "
            "within | killed after |",
            "|---|---|---|---|---|---|---|",
        ]
        for point in (each for owner, each in points() if owner is scenario):
            cells = [results[scenario.name, point.number, fault] for fault in Fault]
            errors = dict.fromkeys(cells[:3])
            columns = [" / ".join(errors), *cells[3:]]
            what = f"`{point.path}` {point.effect}"
            state = point.state.replace("_", " ")
            rows.append(f"| {state} | {what} | {' | '.join(columns)} |")
    return "\n".join(rows) + "\n"


HEADING = """\
# The update's states

Written by `python -m tests.support.state_matrix`; a test fails when it is not current.

A candidate's state is written to the journal before the effect that it announces is begun, so after
a kill the journal says what may have been done and what was certainly not. The rule that `recover`
keeps: **`current` is the candidate while that is on probation, and the committed release
otherwise.** A verdict is carried out by the same code: the journal is written, then recovered.

The order of an installation's effects: unpack into `staging/` → sync files and folders → rename
into `releases/`, sync both folders → journal *staged* → self-test → journal *tested* → journal
*activated* → new link renamed over `current`, sync → journal *on probation* → verdict.

## Steps

What each step makes of each state; an empty cell is refused.

""".splitlines()

RECOVERY_HEADING = """
## What `recover` makes of a state

3.0 is the candidate, 2.0 committed. "Damaged" is 3.0's folder.

| state found | `current` | 3.0 | state then | `current` then |
|---|---|---|---|---|""".splitlines()

MATRIX_HEADING = """
## States by (error, kill)

Each row is one effect of an operation on real files. It fails (EIO, ENOSPC, EROFS: the same
result, or all are given), or it is done and reported as failed (EIO of the last sync), or the
process is killed before it, within it (half a file, half a folder) or after it. The cell says what
runs after the next `recover`, and what became of the candidate. In each case a test has checked:
`current` named a whole release all the time, the error is one clear line that names the path,
nothing half-done is left, the floor is whole, `recover` again changes nothing, and the next
installation succeeds.

""".splitlines()


def _transitions() -> Iterator[str]:
    yield "| | " + " | ".join(step.replace("_", " ") for step in Step) + " |"
    yield "|---" * (len(Step) + 1) + "|"
    for state in State:
        cells = (states.TRANSITIONS.get((state, step), "") for step in Step)
        yield f"| **{state}** | {' | '.join(cells)} |".replace("_", " ")


def _recoveries() -> Iterator[str]:
    for state in State:
        for link in (journals.GOOD, journals.NEW):
            for whole in (True, False):
                found = _recovered(journals.journal(state), link.path, whole=whole)
                candidate = found.candidate
                then = candidate.state if candidate is not None else "none"
                live = candidate is not None and candidate.state in states.CURRENT
                running = candidate.release if live and candidate is not None else found.committed
                condition = "whole" if whole else "damaged"
                version = running.version if running else NOTHING
                yield (f"| {state} | {link.version} | {condition} | {then} | {version} |").replace(
                    "_", " "
                )


def _recovered(journal: Journal, link: str, *, whole: bool) -> Journal:
    kept = (journals.OLD, journals.GOOD, *((journals.NEW,) if whole else ()))
    seen = Observed(link=link, whole=kept, floor=journals.FLOOR)
    seen = replace(seen, folders=tuple(each.path for each in kept))
    return recovery.plan(journal, seen, now=NOW).journal


def main() -> None:
    """Tries every case and writes the page."""
    with workshop() as place:
        results = {
            (scenario.name, point.number, fault): place.strike(scenario, point, fault)
            for scenario, point in points()
            for fault in Fault
        }
    PAGE.write_text(render(results))
    print(f"{len(results)} cases, 0 bad")


if __name__ == "__main__":
    main()
