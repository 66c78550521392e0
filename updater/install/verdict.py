"""Waits for the verdict on a release on probation, and carries it out.

Several may wait at once (the installation, a later step of the flow, a unit after the boot): each
reads the journal anew under the lock before it says anything, so one verdict is carried out once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from updater import manifest as manifests
from updater.errors import ProbationError, StateError
from updater.install import probation
from updater.install.daemon import running_report
from updater.install.probation import Verdict
from updater.settings import UpdateConfig
from updater.store import moves
from updater.store.journal import Candidate, Journal, Release
from updater.store.states import State
from updater.store.store import Store, open_recovered
from updater.trial import DaemonReport, Trial

POLL_S = 1.0
"""The daemon writes its figures each second during a trial."""

GONE_S = 60.0
"""A daemon that reported and then does not for so long has died with the candidate: systemd would
have it back, and its model loaded, well within that."""

RETURN_S = 30.0
"""How long to wait, after a rollback, until the daemon runs the old model again; only to tell."""

LOCK_WAIT_S = 30.0
"""A verdict waits for whoever holds the lock: another judge, a ``gc``."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class World:
    """What a wait needs of the world.

    Attributes:
        report: the daemon's word, None where none runs.
        now: seconds on a clock that never goes back.
        sleep: waits so many seconds.
    """

    report: Callable[[Path], DaemonReport | None] = running_report
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


REAL_WORLD = World()


def await_verdict(
    store: Store,
    config: UpdateConfig,
    *,
    timeout_s: float | None = None,
    world: World = REAL_WORLD,
) -> Journal:
    """Waits until the release on probation is committed.

    Args:
        store: not locked.
        config: limits, and where the daemon's status file is.
        timeout_s: how long the caller waits; the probation itself goes on after it. None: until
            there is a verdict, which the probation's own limit brings about.
        world: clock and daemon.

    Returns:
        The journal, with the candidate committed.

    Raises:
        ProbationError: it was rolled back, or ``timeout_s`` passed.
        StateError: no release is or was on probation.
        StorageError: the disk refuses.
    """
    began_s = world.now()
    seen_s: float | None = None
    while True:
        journal = store.journal
        candidate = journal.candidate
        if candidate is None or candidate.state is not State.ON_PROBATION:
            return _settled(journal)
        asked = probation.limits(_manifest(store, candidate).probation, config.probation)
        report = world.report(config.status_file)
        now_s = world.now()
        if report is not None:
            seen_s = now_s
        trial = _trial_of(report, candidate)
        judgement = probation.judge(trial, asked, waited_s=now_s - began_s)
        if judgement.verdict is Verdict.WAIT and seen_s is not None and now_s - seen_s >= GONE_S:
            judgement = probation.Judgement(
                Verdict.BAD, f"the daemon has said nothing for {GONE_S:g} s"
            )
        if judgement.verdict is Verdict.GOOD:
            return commit(store, candidate, config)
        if judgement.verdict is Verdict.BAD:
            roll_back(store, candidate, reason=judgement.reason, config=config, world=world)
        elif timeout_s is not None and now_s - began_s >= timeout_s:
            raise ProbationError(
                f"{candidate.version} is still on probation after {timeout_s:g} s",
                hint="Ask again, or roll it back",
            )
        else:
            world.sleep(POLL_S)


def commit(
    store: Store, candidate: Candidate, config: UpdateConfig, *, reason: str = ""
) -> Journal:
    """Commits a candidate on probation, if it still is, and lets go what is no longer needed.

    Raises:
        ProbationError: somebody rolled it back meanwhile.
        BusyError: another run holds the store for long.
        StorageError: the disk refuses.
    """
    with open_recovered(store, wait_s=LOCK_WAIT_S) as journal:
        if not _is_unjudged(journal, candidate):
            return _settled(journal)
        store.settle(moves.commit(journal, now=store.now(), reason=reason))
        store.gc(config.keep_releases, config.store_max_bytes)
        return store.journal


def roll_back(
    store: Store,
    candidate: Candidate,
    *,
    reason: str,
    config: UpdateConfig,
    world: World = REAL_WORLD,
) -> None:
    """Goes back to the last good release, and says so.

    Raises:
        ProbationError: always, unless somebody committed it meanwhile: that is the outcome.
        BusyError: another run holds the store for long.
        StorageError: the disk refuses.
    """
    with open_recovered(store, wait_s=LOCK_WAIT_S) as journal:
        if not _is_unjudged(journal, candidate):
            _settled(journal)
            return
        after = store.settle(
            moves.roll_back(
                journal, reason=reason, exit_code=ProbationError.exit_code, now=store.now()
            )
        )
    if after.committed is not None:
        _await_return(after.committed, config, world)
    _settled(after)


def _settled(journal: Journal) -> Journal:
    """The journal of a committed candidate.

    Raises:
        ProbationError: it was rolled back.
        StateError: nothing was on probation.
    """
    candidate = journal.candidate
    if candidate is not None and candidate.state is State.COMMITTED:
        return journal
    if candidate is not None and candidate.state is State.ROLLED_BACK:
        good = journal.committed.version if journal.committed is not None else "nothing"
        raise ProbationError(f"{candidate.version}: rolled back to {good}: {candidate.reason}")
    raise StateError(
        "no release is on probation", hint="'sitewatch-update status' says what there is"
    )


def _is_unjudged(journal: Journal, candidate: Candidate) -> bool:
    now = journal.candidate
    return now is not None and now.state is State.ON_PROBATION and now.digest == candidate.digest


def _trial_of(report: DaemonReport | None, candidate: Candidate) -> Trial | None:
    """The daemon's figures for this candidate; those for another one are none."""
    if report is None or report.trial is None or report.trial.digest != candidate.digest:
        return None
    return report.trial


def _manifest(store: Store, candidate: Candidate) -> manifests.Manifest:
    if candidate.release is None:
        raise StateError("on probation without a release", where="candidate")
    return manifests.read(store.release_folder(candidate.release))


def _await_return(good: Release, config: UpdateConfig, world: World) -> None:
    """Waits a little until the daemon, if one runs, is back on the good model."""
    until_s = world.now() + RETURN_S
    while (report := world.report(config.status_file)) is not None:
        if report.model_digest == good.digest:
            _log.info("the daemon runs %s again", good.name)
            return
        if world.now() >= until_s:
            _log.warning("the daemon does not run %s yet", good.name)
            return
        world.sleep(POLL_S)
