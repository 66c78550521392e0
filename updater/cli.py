"""``sitewatch-update``: what is done to model bundles on a device, and to kept pictures."""

from __future__ import annotations

import argparse
import logging
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from updater import privileges, settings
from updater.commands import MODULES, registrations
from updater.commands.context import Context
from updater.errors import DISK_ERRORS, SitewatchError, StorageError, UsageError
from updater.settings import UpdateConfig
from updater.trust import keys
from updater.version import VERSION

EPILOG = """\
exit codes:
  0   done                               9   the self-test failed
  2   wrong arguments                    10  not trusted, or it failed here before
  3   configuration                      11  download
  4   bundle damaged or not understood   12  another run is at work
  5   no runtime can run the model       13  rolled back, or no verdict in time
  8   disk                               14  upload
  15  rights could not be given up       16  the journal cannot be right, nothing to go back to

examples:
  sitewatch-update install https://example.org/models/model.zip --token-file /etc/sitewatch/token
  sitewatch-update status --json
  sitewatch-update rollback
"""

COMMON = (
    ("config", "FILE", f"configuration (default: {settings.DEFAULT_CONFIG_FILE}, if it is there)"),
    ("store", "DIR", "folder of the releases"),
    ("keys", "DIR", "folder of the trusted keys"),
    ("floor", "DIR", "the model that came with the software; with --store there is none unless "
     "it is named"),
    ("user", "NAME", "account to run as when started by root"),
)  # fmt: skip

_log = logging.getLogger(__name__)

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    # A command's name comes first as a rule; where it does not, all of them are asked.
    command = words[0] if words and words[0] in MODULES else None
    arguments = make_parser(command).parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        with ExitStack() as stack:
            return int(arguments.run(arguments, _context(arguments, stack)))
    except SitewatchError as error:
        print(f"sitewatch-update: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # As for the daemon's commands: the reader of our output went away.
        sys.stdout = None
        return 0
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        # Wherever it strikes: looking whether a file is there reads the disk, too.
        where = error.filename or "the store"
        print(f"sitewatch-update: {where}: {error.strerror}. Check the disk", file=sys.stderr)
        return StorageError.exit_code
    except KeyboardInterrupt:
        print("sitewatch-update: interrupted", file=sys.stderr)
        return INTERRUPTED


def _context(arguments: argparse.Namespace, stack: ExitStack) -> Context:
    """Reads the configuration, opens what only root may read, and gives up root's rights.

    Raises:
        SitewatchError: one of these fails.
    """
    config, floor = _configured(arguments)
    opened: dict[str, BinaryIO] = {}
    for name in arguments.inputs:
        if (path := _input_path(getattr(arguments, name))) is not None:
            opened[name] = stack.enter_context(_open(path))
    ring = keys.load(config.keys) if arguments.needs_keys else keys.KeyRing()
    for warning in ring.warnings:
        _log.warning("%s", warning)
    if not arguments.keeps_rights:
        user = arguments.user or config.user
        store = config.store if arguments.needs_store else None
        left = privileges.give_up(user, store=store)
        config = replace(config, store=left) if arguments.needs_store else config
    return Context(
        settings=config,
        floor=floor,
        as_json=getattr(arguments, "json", False),
        opened=opened,
        ring=ring,
    )


def _configured(arguments: argparse.Namespace) -> tuple[UpdateConfig, Path | None]:
    """The configuration with what the command line says, and the floor.

    A store named on the command line has no floor but the one named with it: another store is
    another device's, or a test's, and this machine's own model is nothing to it.
    """
    config = settings.load(arguments.config)
    if arguments.store is not None:
        floor = arguments.floor
    else:
        floor = arguments.floor or settings.floor_folder(config)
    # Absolute: giving up rights changes the working directory.
    config = replace(
        config,
        store=(arguments.store or config.store).absolute(),
        keys=(arguments.keys or config.keys).absolute(),
    )
    return config, None if floor is None else floor.absolute()


def _input_path(value: object) -> Path | None:
    """The file that an argument names, None for a URL or nothing."""
    if value is None or "://" in str(value):
        return None
    return Path(str(value))


def _open(path: Path) -> BinaryIO:
    """Opens a plain file without waiting: a pipe or a device is no bundle.

    Raises:
        UsageError: it is not there, or is not a plain file.
        StorageError: the disk refuses.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise UsageError(f"cannot be opened: {error.strerror}", where=str(path)) from error
    except OSError as error:
        raise StorageError(f"cannot be opened: {error.strerror}", where=str(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError("is not a plain file", where=str(path))
    return os.fdopen(descriptor, "rb")


class _Parser(argparse.ArgumentParser):
    """A parser that knows what all commands have in common, before and after their name."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        group = self.add_argument_group("on every command")
        # Without a default: a command's own parser must not undo what was said before its name.
        for name, metavar, text in COMMON:
            kind = str if name == "user" else Path
            group.add_argument(
                f"--{name}", type=kind, metavar=metavar, default=argparse.SUPPRESS, help=text
            )


def make_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The whole command line, from which the manual pages are made too, or one command's part.

    Args:
        command: see :func:`updater.commands.registrations`.
    """
    parser = _Parser(
        prog="sitewatch-update",
        description="Installs, proves and rolls back model bundles, and uploads kept pictures.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sitewatch {VERSION}")
    parser.set_defaults(
        inputs=(), keeps_rights=False, needs_store=True, needs_keys=False,
        **{name: None for name, *_ in COMMON},
    )  # fmt: skip
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add_parser in registrations(command):
        add_parser(subparsers)
    return parser
