"""The log: to the journal with fields when systemd runs us, else plain lines on stderr."""

from __future__ import annotations

import logging
import os
import sys

from systemd.journal import JournalHandler

ROOT = "sitewatch"


def set_up(level: str) -> None:
    """Sends the log of all our modules to the journal or to stderr.

    A record's ``extra`` whose names begin with ``SITEWATCH_`` become fields of the journal entry:
    ``journalctl SITEWATCH_EVENT_ID=…``.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
    """
    logger = logging.getLogger()
    for old in list(logger.handlers):
        logger.removeHandler(old)
    handler: logging.Handler
    if _stderr_is_the_journal():
        handler = JournalHandler(SYSLOG_IDENTIFIER=ROOT)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    set_level(level)


def set_level(level: str) -> None:
    """Changes the least level of the log."""
    logging.getLogger().setLevel(level.upper())


def _stderr_is_the_journal() -> bool:
    """Whether ``JOURNAL_STREAM`` (device:inode, systemd.exec(5)) names our very stderr.

    A child whose stderr was redirected inherits the variable all the same.
    """
    stat = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"
