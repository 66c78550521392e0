"""The commands of ``sitewatch-update``, in one module or another of this package.

Only the module of the command that is asked for is imported: each start of the camera waits for
``recover``, and needs neither the network nor the upload for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

MODULES: Mapping[str, str] = {
    "install": "install",
    "wait": "install",
    "status": "status",
    "rollback": "rollback",
    "confirm": "confirm",
    "recover": "recover",
    "verify": "verify",
    "gc": "gc",
    "list": "history",
    "history": "history",
    "bundle": "bundle",
    "keys": "keys",
    "upload": "upload",
}
"""The module of each command, in the order in which ``--help`` shows them."""


def registrations(command: str | None = None) -> Iterator[Callable[[Any], None]]:
    """What adds the commands to a command line.

    Args:
        command: the one that is wanted (with others of its module, perhaps); None: all.
    """
    modules = dict.fromkeys(MODULES.values()) if command is None else [MODULES[command]]
    for name in modules:
        add_parser: Callable[[Any], None] = import_module(f"{__name__}.{name}").add_parser
        yield add_parser
