"""Brings bundles onto the device: ``fetch()``, and ``cleanup()`` of what it left.

The rules are pure (``resume``, ``backoff``, ``rate``, ``address``), the disk is in ``part``, the
network in ``transport``; ``attempts`` joins them, ``download`` is the way in.
"""

from updater.fetch.address import shown
from updater.fetch.attempts import Timing
from updater.fetch.cleanup import cleanup
from updater.fetch.credentials import Credentials, read_api_key, read_token
from updater.fetch.download import Fetched, fetch
from updater.fetch.policy import FetchPolicy
from updater.fetch.progress import (
    PlainProgress,
    Progress,
    Received,
    TerminalProgress,
    progress_on,
)

__all__ = [
    "Credentials",
    "FetchPolicy",
    "Fetched",
    "PlainProgress",
    "Progress",
    "Received",
    "TerminalProgress",
    "Timing",
    "cleanup",
    "fetch",
    "progress_on",
    "read_api_key",
    "read_token",
    "shown",
]
