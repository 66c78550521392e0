"""A power cut at every moment of a command: what then lies on the disk is made, and recovered.

The command's system calls are recorded and replayed into a model of a disk
(:mod:`tests.crash.disk`). After each call that changes something, everything that a power cut may
leave is written into a folder, where the store must recover to a good release.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash import check, disk
from tests.crash.check import BadError
from tests.crash.disk import Disk
from tests.crash.place import Place
from tests.crash.scenarios import Scenario
from tests.crash.trace import Call
from updater.errors import SitewatchError
from updater.store.store import Store, open_recovered

DATA_BYTES = 1 << 20
CHANGES = (
    "write", "pwrite64", "ftruncate", "openat", "mkdir", "mkdirat", "symlink", "symlinkat",
    "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "rmdir",
)  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """A command that ran once, undisturbed.

    Attributes:
        scenario: which.
        before: folder with the store as it was before.
        path: of that folder in the recorded calls.
        calls: that touch it.
    """

    scenario: Scenario
    before: Path
    path: str
    calls: Sequence[Call]


@dataclass(frozen=True)
class Cuts:
    """What came of the power cuts of a command.

    Attributes:
        moments: after how many calls the power was cut.
        images: different disks that were left.
        bad: what does not hold on one, and after which call.
    """

    moments: int
    images: int
    bad: tuple[str, ...]


def record(place: Place, scenario: Scenario) -> Recording:
    """Runs a scenario's command once, in a copy of the place that was prepared for it.

    Raises:
        BadError: it failed undisturbed.
    """
    run = place.copy(place.folder.with_name(f"{place.folder.name}-recorded"))
    answer, calls = run.traced(*scenario.command, data_bytes=DATA_BYTES)
    check.check_answer(answer, scenario.name)
    path = str(run.folder)
    touching = [call for call in calls if call.touches([path])]
    return Recording(scenario, place.folder, path, touching)


def cut(
    recording: Recording,
    folder: Path,
    *,
    every: int = 1,
    told: Callable[[Call], bool] = lambda _: True,
) -> Cuts:
    """Cuts the power after the calls that change something, and after the last one.

    Args:
        recording: of the command.
        folder: for the images.
        every: only after each so-manieth of these calls, and after the last.
        told: which calls the disk is told of; a test of this very check leaves some out.
    """
    scenario = recording.scenario
    on_the_way = frozenset({scenario.before, scenario.after})
    model = Disk(recording.before, recording.path)
    seen: set[bytes] = set()
    bad: list[str] = []
    changes = moments = 0
    for call in filter(told, recording.calls):
        model.apply(call)
        changes += call.name in CHANGES
        if call.name in CHANGES and changes % every == 0:
            moments += 1
            bad += _check(model, folder, on_the_way, seen, f"{call.name} {call.paths}")
    # It has said that it is done: from now on nothing less will do.
    last: set[bytes] = set()
    bad += _check(model, folder, frozenset({scenario.after}), last, "the end")
    return Cuts(moments + 1, len(seen | last), tuple(bad))


def _check(
    model: Disk, folder: Path, versions: frozenset[str], seen: set[bytes], moment: str
) -> list[str]:
    """What is bad of a power cut now; images seen before are left out."""
    bad = []
    for image in model.images():
        if (name := disk.digest(image)) in seen:
            continue
        seen.add(name)
        place = folder / "cut"
        disk.write(image, place)
        try:
            _recover(place / "store", versions)
        except (BadError, SitewatchError) as error:
            bad.append(f"{moment}: {error}")
        shutil.rmtree(place)
    return bad


def _recover(store_folder: Path, versions: frozenset[str]) -> None:
    """The start after the power cut.

    Raises:
        BadError: it does not lead to a good release, or leaves something to do.
        SitewatchError: it fails.
    """
    store = Store(store_folder, None)
    with open_recovered(store):
        again = store.recover()
    if again.effects:
        raise BadError(f"a second recovery does {again.effects}")
    check.check_journal(store_folder)
    running = check.check_current(store_folder) or ""
    if running not in versions:
        raise BadError(f"{running or 'nothing'} is current")
    check.check_tidy(store_folder)
