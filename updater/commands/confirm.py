"""``confirm``: somebody says that the release on probation is good."""

from __future__ import annotations

import argparse
from typing import Any

from updater.commands import common, status
from updater.commands.context import Context
from updater.store import moves
from updater.store.journal import Journal
from updater.store.states import State
from updater.store.store import open_recovered

DESCRIPTION = """\
Commits the release on probation without waiting for the daemon's figures. Where it is committed
already this is a success at once.
"""

EPILOG = """\
exit codes: 0 committed, 2 wrong arguments, 3 wrong configuration, 8 disk, 12 another run is at
work, 13 it was rolled back, 15 rights could not be given up, 16 nothing is on probation

examples:
  sitewatch-update confirm
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    common.add_command(
        subparsers, "confirm", run, text="commit the release on probation now",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Commits it."""
    store = common.open_store(context)
    with open_recovered(store) as journal:
        said = _committed_already(journal)
        if not said:
            candidate = moves.require_unjudged(journal)
            store.write(
                moves.commit(journal, now=store.now(), action="confirm", reason="confirmed by hand")
            )
            store.gc(context.settings.keep_releases, context.settings.store_max_bytes)
            said = f"{candidate.version} is committed"
        if context.as_json:
            status.show(store.journal, store.current, as_json=True)
        else:
            print(said)
    return 0


def _committed_already(journal: Journal) -> str:
    """What is said where there is nothing to confirm; "" where there may be."""
    candidate, committed = journal.candidate, journal.committed
    if committed is None or (candidate is not None and candidate.state is not State.COMMITTED):
        return ""
    return f"{committed.version} is committed already"
