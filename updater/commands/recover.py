"""``recover``: whatever a kill, a power cut or damage left, a good release runs afterwards."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from updater.commands import common, status
from updater.commands.context import Context
from updater.errors import BusyError

DAEMON_WAIT_S = 2.0
"""How long a starting camera waits for another run. Those who judge a probation hold the lock for
milliseconds; an installation that downloads holds it for minutes, and has nothing on probation."""

DESCRIPTION = """\
Brings the store to a good state after a kill, a power cut or damage: unfinished installations are
given up, an unfinished switch is finished, a damaged release is replaced by the last good one.
Every command that changes something does this first; at boot the units do.
"""

EPILOG = """\
exit codes: 0 done, or nothing was to be done; 2 wrong arguments, 3 wrong configuration, 8 disk, 12
another run is at work (with --daemon-start: 0), 15 rights could not be given up

examples:
  sitewatch-update recover
  sitewatch-update recover --thorough      after 'verify' has found damage
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = common.add_command(
        subparsers, "recover", run, text="mend what a kill or a power cut left",
        description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip
    parser.add_argument(
        "--daemon-start", action="store_true",
        help="for the camera's unit, before each start: counts it, and gives up a release on "
        "probation at the third one",
    )  # fmt: skip
    parser.add_argument("--thorough", action="store_true", help="check every byte of every release")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Recovers, and tells what was done."""
    store = common.open_store(context)
    try:
        with store.locked(wait_s=DAEMON_WAIT_S if arguments.daemon_start else 0.0):
            plan = store.recover(daemon_start=arguments.daemon_start, thorough=arguments.thorough)
    except BusyError as error:
        if not arguments.daemon_start:
            raise
        print(f"nothing is recovered: {error}", file=sys.stderr)
        return 0
    if context.as_json:
        status.show(store.journal, store.current, as_json=True)
        return 0
    for event in plan.events:
        print(common.printable(status.last_line(event)))
    current = store.current
    print("there is no release yet" if current is None else f"{current.name} is current")
    return 0
