"""Brings bundles onto the device: ``fetch()``, and ``cleanup()`` of what it left.

The rules are pure (``resume``, ``backoff``, ``rate``, ``address``), the disk is in ``part``, the
network in ``transport``; ``download`` joins them.
"""

from updater.fetch.cleanup import cleanup
from updater.fetch.credentials import Credentials, read_api_key_file, read_token_file
from updater.fetch.download import Fetched, Timing, fetch
from updater.fetch.policy import FetchPolicy
from updater.fetch.progress import PlainReport, Progress, Report, TerminalReport, report_to

__all__ = [
    "Credentials",
    "FetchPolicy",
    "Fetched",
    "PlainReport",
    "Progress",
    "Report",
    "TerminalReport",
    "Timing",
    "cleanup",
    "fetch",
    "read_api_key_file",
    "read_token_file",
    "report_to",
]
