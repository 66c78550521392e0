"""``list`` and ``history``: the releases kept, what happened, and what is refused."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from updater.commands import common, status
from updater.commands.context import Context
from updater.store import states
from updater.store.journal import Journal, Release

LIST_EPILOG = """\
exit codes: 0 done, 2 wrong arguments, 3 wrong configuration, 8 the store cannot be read, 16 the
journal cannot be understood

examples:
  sitewatch-update list
  sitewatch-update list --json | jq -r '.releases[].version'
"""

HISTORY_EPILOG = """\
exit codes: 0 done, 2 wrong arguments, 3 wrong configuration, 8 the store cannot be read, 16 the
journal cannot be understood

examples:
  sitewatch-update history
  sitewatch-update history --json | jq .failures
"""


def add_parser(subparsers: Any) -> None:
    """Registers both commands."""
    common.add_command(
        subparsers, "list", list_releases, text="the releases kept",
        description="Lists the releases kept, oldest first, the floor (the software's own model) "
        "included.",
        epilog=LIST_EPILOG,
    )  # fmt: skip
    common.add_command(
        subparsers, "history", history, text="what happened, and which bundles are refused",
        description="Prints what changed the store, oldest first, and the bundles that failed here "
        "and are\nrefused until 'install --retry'.",
        epilog=HISTORY_EPILOG,
    )  # fmt: skip


def list_releases(arguments: argparse.Namespace, context: Context) -> int:
    """Prints the releases."""
    store = common.open_store(context)
    journal, current = store.journal, store.current
    rows = [_row(journal, release, current) for release in _all(journal)]
    if context.as_json:
        common.print_json({"releases": rows})
        return 0
    for row in rows:
        place = f"  {row['place']}" if row["place"] else ""
        size = f"{row['size_bytes'] / 1e6:.1f} MB"
        print(f"{row['name']:<32} {size:>9}  {row['origin']:<6}  {row['state']}{place}")
    if not rows:
        print("no release")
    return 0


def history(arguments: argparse.Namespace, context: Context) -> int:
    """Prints history and failures."""
    journal = common.open_store(context).journal
    if context.as_json:
        common.print_json(
            {
                "history": [asdict(event) for event in journal.history],
                "failures": [asdict(failure) for failure in journal.failures],
            }
        )
        return 0
    for event in journal.history:
        print(common.printable(status.last_line(event)))
    for failure in journal.failures:
        name = failure.version or failure.archive_sha256
        print(common.printable(f"refused until --retry: {name}: {failure.reason}"))
    if not journal.history:
        print("nothing was done yet")
    return 0


def _all(journal: Journal) -> list[Release]:
    """The releases kept, and last the candidate's while it is under way."""
    found = list(journal.releases)
    candidate = journal.candidate
    if candidate is None or candidate.release is None or candidate.state in states.FINAL:
        return found
    others = [each for each in found if each.path != candidate.release.path]
    return [*others, candidate.release]


def _row(journal: Journal, release: Release, current: Release | None) -> dict[str, Any]:
    places = {"current": current, "previous": status.fallback(journal)}
    place = [name for name, each in places.items() if each and each.path == release.path]
    return {
        **asdict(release),
        "name": release.name,
        "state": status.state_of(journal, release),
        "place": place[0] if place else "",
    }
