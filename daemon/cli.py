"""``sitewatch``: the command line. Only here does the process choose its exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import cast

from daemon.commands import bench, captures, check_config, detect, run, selftest
from updater.errors import SitewatchError, SourceStalledError
from updater.version import VERSION

COMMANDS = (run, detect, selftest, bench, captures, check_config)

EPILOG = """\
exit codes:
  0  done                                5  a model that no runtime here can run
  1  a bug; please report it             6  camera, stream, file or folder
  2  wrong arguments                     7  the broker refuses us for good
  3  wrong configuration                 8  disk: outbox, captures, status file
  4  a damaged model bundle              9  the self-test did not pass

examples:
  sitewatch run --source site.mp4 --print-alerts
  sitewatch detect --draw out/ photo.jpg
  sitewatch COMMAND --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = make_parser().parse_args(argv)
    command = cast(Callable[[argparse.Namespace], int], arguments.run)
    try:
        return command(arguments)
    except SourceStalledError as error:
        print(f"sitewatch: {error}", file=sys.stderr, flush=True)
        # A camera library that hangs may hang in its exit handlers too. Everything of ours is
        # closed by now, and the service manager is waiting to start the process afresh.
        sys.stdout.flush()
        os._exit(error.exit_code)
    except SitewatchError as error:
        print(f"sitewatch: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`sitewatch … | head`): nothing is left to say, and
        # the interpreter's own flush at exit must not say it again.
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        return 130


def make_parser() -> argparse.ArgumentParser:
    """The whole command line; the manual pages are made from it too."""
    parser = argparse.ArgumentParser(
        prog="sitewatch",
        description="Watches a construction site for people without a hard hat.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sitewatch {VERSION}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser
