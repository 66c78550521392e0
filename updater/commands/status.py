"""``status``: which release runs, where a rollback would go, and how the last command ended."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from updater.commands import common
from updater.commands.context import Context
from updater.store import states
from updater.store.journal import Candidate, Event, Journal, Release
from updater.store.states import State

DESCRIPTION = """\
Shows which release is current, where a rollback would go, the last candidate, and how the last
command that changed something ended. Reads only, and works while another run is at it.

With --json one object:
  current    what the link 'current' names
  previous   where 'rollback' goes: while a candidate is on probation the release that is committed,
             otherwise the one before it
  candidate  what is being installed, or was last
  last       the last entry of the history
The first three are null or have 'version', 'digest' (sha256 of manifest.json) and 'state': fetched,
verified, staged, tested, activated, on_probation, committed, rolled_back or failed.
"""

EPILOG = """\
exit codes: 0 done, 2 wrong arguments, 3 wrong configuration, 8 the store cannot be read, 16 the
journal cannot be understood

examples:
  sitewatch-update status
  sitewatch-update status --json | jq -r .current.version
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    common.add_command(
        subparsers, "status", run, text="which release runs, and how the last command ended",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Prints it."""
    store = common.open_store(context)
    journal = store.journal
    show(journal, store.current, as_json=context.as_json)
    return 0


def show(journal: Journal, current: Release | None, *, as_json: bool) -> None:
    """Prints the state of a store."""
    if as_json:
        common.print_json(describe(journal, current))
        return
    candidate = journal.candidate
    rows = {
        "current": _line(journal, current),
        "previous": _line(journal, fallback(journal)),
        "candidate": "none" if candidate is None else _candidate_line(candidate),
        "last": last_line(journal.history[-1]) if journal.history else "nothing was done yet",
    }
    for name, text in rows.items():
        print(f"{name:<10} {common.printable(text)}")


def describe(journal: Journal, current: Release | None) -> dict[str, Any]:
    """What ``status --json`` prints."""
    candidate = journal.candidate
    return {
        "current": _released(journal, current),
        "previous": _released(journal, fallback(journal)),
        "candidate": None if candidate is None else _candidate(candidate),
        "last": asdict(journal.history[-1]) if journal.history else None,
    }


def fallback(journal: Journal) -> Release | None:
    """Where a rollback would go."""
    candidate = journal.candidate
    on_trial = candidate is not None and candidate.state in states.CURRENT
    return journal.committed if on_trial else journal.previous


def state_of(journal: Journal, release: Release) -> State:
    """A release's state: the candidate's, if it is that and current; otherwise it was good once.

    Unless it was rolled back after that.
    """
    candidate = journal.candidate
    if candidate is not None and candidate.release is not None:
        same = candidate.release.path == release.path
        if same and (candidate.state in states.CURRENT or release not in journal.releases):
            return candidate.state
    failed = any(failure.digest == release.digest for failure in journal.failures)
    return State.ROLLED_BACK if failed else State.COMMITTED


def last_line(event: Event) -> str:
    """An event of the history on one line."""
    version = f" {event.version}" if event.version else ""
    reason = f": {event.reason}" if event.reason else ""
    outcome = event.outcome.replace("_", " ")
    return f"{common.utc(event.at_unix_s)} {event.action}{version}: {outcome}{reason}"


def _released(journal: Journal, release: Release | None) -> dict[str, Any] | None:
    if release is None:
        return None
    return {
        "version": release.version,
        "digest": release.digest,
        "state": state_of(journal, release),
        "name": release.name,
        "origin": release.origin,
        "size_bytes": release.size_bytes,
        "installed_unix_s": release.installed_unix_s,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "version": candidate.version,
        "digest": candidate.digest,
        "state": candidate.state,
        "source": candidate.source,
        "reason": candidate.reason,
        "starts": candidate.starts,
        "began_unix_s": candidate.began_unix_s,
    }


def _line(journal: Journal, release: Release | None) -> str:
    if release is None:
        return "none"
    return f"{release.name}  {_words(state_of(journal, release))}, {release.origin}"


def _candidate_line(candidate: Candidate) -> str:
    reason = f": {candidate.reason}" if candidate.reason else ""
    name = candidate.version or candidate.source or "a bundle"
    return f"{name}  {_words(candidate.state)}{reason}"


def _words(state: State) -> str:
    return state.replace("_", " ")
