"""``gc``: gives up releases, archives and reports that nobody needs any more."""

from __future__ import annotations

import argparse
from typing import Any

from updater.commands import common
from updater.commands.context import Context
from updater.store.store import open_recovered

DESCRIPTION = """\
Keeps the last good releases (keep_releases) within a budget (store_max_bytes), and deletes the
others, the archives and the self-tests' reports that belong to none. The current release, the one
before it, the candidate and the software's own model always stay. 'install' does this by itself.
"""

EPILOG = """\
exit codes: 0 done, 2 wrong arguments, 3 wrong configuration, 8 disk, 12 another run is at work, 15
rights could not be given up

examples:
  sitewatch-update gc
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    common.add_command(
        subparsers, "gc", run, text="delete what nobody needs any more",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Does it and tells what went."""
    store = common.open_store(context)
    with open_recovered(store):
        gone = store.gc(context.settings.keep_releases, context.settings.store_max_bytes)
    freed_bytes = sum(release.size_bytes for release in gone)
    names = [release.name for release in gone]
    if context.as_json:
        common.print_json({"removed": names, "freed_bytes": freed_bytes})
    elif names:
        print(f"{', '.join(names)}: {freed_bytes / 1e6:.1f} MB freed")
    else:
        print("no release was superfluous")
    return 0
