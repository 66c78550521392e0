"""What the commands have in common: their parsers, the store, and how they print."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from updater.commands.context import Context
from updater.store.store import Store

Run = Callable[[argparse.Namespace, Context], int]

TIME_MAX_UNIX_S = 253_402_300_799
"""The end of the year 9999, where calendars end; a clock may say anything."""


def add_command(
    subparsers: Any, name: str, run: Run, *, text: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    """Adds a command that knows ``--json``.

    Args:
        subparsers: of the command line.
        name: of the command.
        run: what it does.
        text: one clause for the list of commands.
        description: what it does, in whole sentences.
        epilog: exit codes and examples.
    """
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=text,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)
    return parser


def open_store(context: Context) -> Store:
    """The store that the command works on; nothing is read yet."""
    return Store(context.settings.store, context.floor)


def print_json(found: object) -> None:
    """Prints one JSON object."""
    print(json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False))


def printable(text: str) -> str:
    """Text of foreign origin for a terminal: on one line, and nothing that the terminal obeys."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def utc(unix_s: float) -> str:
    """A time for people, ``2026-11-22 20:52:32Z``."""
    bounded = min(math.floor(max(0.0, unix_s)), TIME_MAX_UNIX_S)
    return datetime.fromtimestamp(bounded, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
