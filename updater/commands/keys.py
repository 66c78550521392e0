"""``sitewatch-update keys``: makes a signing key, and keeps the folder of trusted ones."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from updater.commands.common import Run, add_command, print_json
from updater.commands.context import Context
from updater.trust import keys
from updater.trust.keys import KeyRing, KeyState, PublicKey

log = logging.getLogger(__name__)

EPILOG = """\
examples:
  sitewatch-update keys generate release.key --public release.pub --comment 'release 2026'
  sitewatch-update keys add release.pub
  sitewatch-update keys list
  sitewatch-update keys retire 5c2f9d0e8a7b6c41      (replaced by another one)
  sitewatch-update keys revoke 5c2f9d0e8a7b6c41      (it may be in foreign hands)

A retired key signs nothing new; what was installed before stays good. A revoked key is refused
everywhere, by name. Neither ever becomes active again.

exit codes: 0 done, 2 wrong arguments, a file in the way or no such key, 3 a key file cannot be
used, 8 disk
"""


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "keys",
        help="make signing keys, and say which are trusted",
        description="Makes a signing key, and keeps the folder of the trusted public ones.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    generated = _add_action(actions, "generate", "make a key pair", generate)
    generated.add_argument(
        "key_file", type=Path, metavar="KEYFILE", help="takes the private key (mode 0600)"
    )
    generated.add_argument(
        "--public", type=Path, required=True, metavar="PUBFILE", help="takes the public key"
    )
    generated.add_argument("--comment", default="", help="what people call it, one line")
    _add_action(actions, "list", "show the trusted keys and their states", show)
    added = _add_action(actions, "add", "trust a public key", add)
    added.add_argument("public", type=Path, metavar="PUBFILE", help="made by 'keys generate'")
    for name, text, run in (
        ("retire", "accept nothing new that this key signs", retire),
        ("revoke", "refuse everything that this key signed", revoke),
    ):
        _add_action(actions, name, text, run).add_argument(
            "key_id", metavar="ID", help="16 hex digits, as 'keys list' shows them"
        )


def generate(arguments: argparse.Namespace, context: Context) -> int:
    """Makes a key pair."""
    made = keys.generate(arguments.key_file, arguments.public, comment=arguments.comment)
    _print_one(made, f"key {made.key_id}: {arguments.key_file} signs, and must stay secret; "
               f"{arguments.public} goes to the devices", context)  # fmt: skip
    return 0


def show(arguments: argparse.Namespace, context: Context) -> int:
    """Lists the keys of the folder."""
    ring = _load(context)
    if context.as_json:
        print_json({"keys": [_as_json(key) for key in ring.keys]})
        return 0
    for key in ring.keys:
        print(f"{key.key_id}  {key.state:<8}  {key.comment}".rstrip())
    return 0


def add(arguments: argparse.Namespace, context: Context) -> int:
    """Trusts a public key."""
    key = keys.add(context.settings.keys, arguments.public)
    _print_one(key, f"key {key.key_id} is trusted", context)
    return 0


def retire(arguments: argparse.Namespace, context: Context) -> int:
    """Retires a key."""
    return _demote(arguments, context, KeyState.RETIRED)


def revoke(arguments: argparse.Namespace, context: Context) -> int:
    """Revokes a key."""
    return _demote(arguments, context, KeyState.REVOKED)


def _demote(arguments: argparse.Namespace, context: Context, state: KeyState) -> int:
    key = keys.demote(context.settings.keys, arguments.key_id, state)
    _print_one(key, f"key {key.key_id} is {key.state}", context)
    _load(context)
    return 0


def _load(context: Context) -> KeyRing:
    """The keys, and on standard error what somebody should look at."""
    ring = keys.load(context.settings.keys)
    for warning in ring.warnings:
        log.warning("warning: %s", warning)
    if not ring.active():
        log.warning("warning: no active key is in %s: no signed bundle is accepted", ring.where)
    return ring


def _print_one(key: PublicKey, text: str, context: Context) -> None:
    if context.as_json:
        print_json(_as_json(key))
    else:
        print(text)


def _as_json(key: PublicKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "state": str(key.state),
        "comment": key.comment,
        "file": None if key.file is None else str(key.file),
    }


def _add_action(actions: Any, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    action = add_command(
        actions,
        name,
        run,
        text=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=EPILOG,
    )
    # The folder of keys is root's, and holds nothing foreign.
    action.set_defaults(keeps_rights=True)
    return action
