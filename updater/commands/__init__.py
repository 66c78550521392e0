"""The commands of ``sitewatch-update``, one module each."""

from updater.commands import (
    bundle,
    confirm,
    gc,
    history,
    install,
    keys,
    recover,
    rollback,
    status,
    upload,
    verify,
)

COMMANDS = tuple(
    module.add_parser
    for module in (
        install, status, rollback, confirm, recover, verify, gc, history, bundle, keys, upload,
    )
)  # fmt: skip
"""Registers each, in the order in which ``--help`` shows them."""
