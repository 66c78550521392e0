"""The daemon as the updater sees it: its status file, if it is fresh."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from updater.errors import StateError
from updater.trial import DaemonReport, read_report

STATUS_MAX_BYTES = 1 << 20

FRESH_S = 15.0
"""An older status file is one that a daemon left behind: a running one replaces it every few
seconds, each second during a trial."""


def running_report(
    status_file: Path, *, now: Callable[[], float] = time.monotonic
) -> DaemonReport | None:
    """What the running daemon says; None where none runs.

    A file that cannot be read or understood is no proof of a daemon either: a verdict that needs
    one will say that none came.

    Args:
        status_file: of the daemon's configuration, ``health.status_file``.
        now: the clock that all processes share since boot, seconds.
    """
    try:
        with status_file.open("rb") as file:
            data = file.read(STATUS_MAX_BYTES + 1)
        report = read_report(json.loads(data), where=str(status_file))
    except (OSError, ValueError, RecursionError, StateError):
        return None
    age_s = now() - report.written_monotonic_s
    return report if 0.0 <= age_s <= FRESH_S else None
