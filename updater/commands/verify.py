"""``verify``: every byte of a release against its manifest."""

from __future__ import annotations

import argparse
from typing import Any

from updater.bundle import verify_folder
from updater.commands import common
from updater.commands.context import Context
from updater.errors import BundleError, StateError
from updater.store import observe
from updater.store.journal import Release
from updater.store.store import Store

HINT = "'sitewatch-update recover --thorough' goes back to a release that is whole"

DESCRIPTION = """\
Reads the files of the current release, or of all, and compares size and sha256 of each with the
manifest, and the manifest with the journal. Changes nothing.
"""

EPILOG = """\
exit codes: 0 whole, 2 wrong arguments, 3 wrong configuration, 4 damaged, 8 the store cannot be
read, 16 the journal cannot be understood, or there is no release

examples:
  sitewatch-update verify
  sitewatch-update verify --all
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = common.add_command(
        subparsers, "verify", run, text="check every byte of the current release",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="check every release kept")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Checks and prints a line for each.

    Raises:
        BundleError: one is damaged.
        StateError: there is none.
    """
    store = common.open_store(context)
    results = {each.name: _damage(store, each) for each in _chosen(store, every=arguments.all)}
    if context.as_json:
        common.print_json({"releases": results})
    else:
        for name, damage in results.items():
            print(f"{name}: {damage or 'whole'}")
    damaged = [name for name, damage in results.items() if damage]
    if damaged:
        raise BundleError(f"damaged: {', '.join(damaged)}", hint=HINT)
    return 0


def _chosen(store: Store, *, every: bool) -> tuple[Release, ...]:
    current = store.current
    if every and (releases := store.journal.releases):
        others = () if current is None or current in releases else (current,)
        return (*releases, *others)
    if current is None:
        raise StateError(
            "'current' names no release of this store",
            where=str(store.layout.current),
            hint="Run 'sitewatch-update recover'",
        )
    return (current,)


def _damage(store: Store, release: Release) -> str:
    """What is wrong with a release, "" if nothing."""
    folder = store.release_folder(release)
    try:
        verify_folder(folder)
        found = observe.read_release(folder, path=release.path, origin=release.origin)
    except BundleError as error:
        return str(error)
    return "" if found.digest == release.digest else "its manifest is another one"
