"""``rollback``: back to the release before, or to any that is kept."""

from __future__ import annotations

import argparse
from typing import Any

from updater.commands import common, status
from updater.commands.context import Context
from updater.store import moves, states
from updater.store.journal import Journal, Release
from updater.store.states import State
from updater.store.store import Store, open_recovered

REASON = "rolled back by hand"

DESCRIPTION = """\
Lets the last good release run again: while a candidate is on probation the one that is committed,
otherwise the one before it. The release that is left is remembered as failed, and refused until
'install --retry' or 'rollback --to' asks for it. Said again it goes no further back: name a release
with --to for that.
"""

EPILOG = """\
exit codes: 0 done, or there was nothing to do; 2 wrong arguments, 3 wrong configuration, 8 disk, 12
another run is at work, 15 rights could not be given up, 16 there is nothing to go back to

examples:
  sitewatch-update rollback
  sitewatch-update rollback --to 2026.11.22
  sitewatch-update rollback --unproven     for a flow's general rollback: a proven release stays
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = common.add_command(
        subparsers, "rollback", run, text="back to the last good release, or to a named one",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--to", metavar="V", default="", help="version or name of the release, as 'list' says it"
    )
    group.add_argument(
        "--unproven", action="store_true",
        help="only give up a candidate without a verdict; nothing to do is a success",
    )  # fmt: skip


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Rolls back and says from where to where."""
    store = common.open_store(context)
    with open_recovered(store) as journal:
        said = roll_back(store, journal, to=arguments.to, unproven=arguments.unproven)
        if context.as_json:
            status.show(store.journal, store.current, as_json=True)
        else:
            print(said)
    return 0


def roll_back(store: Store, journal: Journal, *, to: str, unproven: bool) -> str:
    """Does it, under the store's lock, and tells what was done.

    Raises:
        StateError: there is nothing to go back to.
        StorageError: the disk refuses; ``recover`` goes on where it ended.
    """
    candidate = journal.candidate
    if candidate is not None and candidate.state in states.CURRENT:
        target = moves.rollback_target(journal, to)
        rolled_back = moves.roll_back(
            journal, reason=REASON, exit_code=0, now=store.now(), action="rollback", to=target
        )
        store.settle(rolled_back)
        return _told(candidate.version, target)
    if unproven:
        return f"nothing to roll back: {_current(journal)}"
    if not to and candidate is not None and candidate.state is State.ROLLED_BACK:
        return f"{candidate.version} was rolled back already: {_current(journal)}"
    target = moves.rollback_target(journal, to)
    left = journal.committed
    if left is None or left.path == target.path:
        return f"nothing to roll back: {_current(journal)}"
    store.settle(moves.leave(journal, target, reason=REASON, now=store.now()))
    return _told(left.version, target)


def _told(left: str, target: Release) -> str:
    return f"rolled back from {left} to {target.version}"


def _current(journal: Journal) -> str:
    committed = journal.committed
    return "there is no release" if committed is None else f"{committed.version} is current"
