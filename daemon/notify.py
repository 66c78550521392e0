"""What systemd hears of the process: readiness, the watchdog, one status line."""

from __future__ import annotations

import os
import time

import systemd.daemon as systemd


class Notifier:
    """Speaks the sd_notify protocol; without systemd (no ``NOTIFY_SOCKET``) it says nothing.

    The watchdog is fed by processed frames only. A timer would keep a process alive whose camera
    or model has hung, which is just what the watchdog is there to end.

    Args:
        watchdog_usec: ``WATCHDOG_USEC`` of the unit, microseconds; taken from the environment
            where not given.
    """

    def __init__(self, watchdog_usec: int | None = None) -> None:
        if watchdog_usec is None:
            watchdog_usec = int(os.environ.get("WATCHDOG_USEC") or 0)
        # A quarter: two pings may be late before the unit is killed, and few are sent.
        self._ping_every_s = watchdog_usec / 4e6
        self._pinged_s = float("-inf")
        self._ready = False
        self._status = ""

    def frame_processed(self, status: str) -> None:
        """After each processed frame: ready with the first one, alive with every one."""
        now_s = time.monotonic()
        if not self._ready:
            self._ready = True
            self._status = status
            self._pinged_s = now_s
            systemd.notify(f"READY=1\nSTATUS={status}\nWATCHDOG=1")
            return
        if self._ping_every_s and now_s - self._pinged_s >= self._ping_every_s:
            self._pinged_s = now_s
            systemd.notify("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        if text != self._status:
            self._status = text
            systemd.notify(f"STATUS={text}")

    def reloading(self) -> None:
        """The configuration is being read again."""
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """The configuration has been read again."""
        systemd.notify("READY=1")

    def stopping(self, reason: str) -> None:
        """The process is on its way out."""
        systemd.notify(f"STOPPING=1\nSTATUS={reason}")
