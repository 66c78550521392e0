"""What time it is, and how far that can be believed.

A Raspberry Pi has no battery-backed clock: after a power cut it starts with the time of its last
shutdown and jumps when the network comes. So every message carries, beside the time, whether the
clock was synchronised when it was read, and a monotonic time with the boot it belongs to, by which
a receiver can put the events of one boot in order and correct their times later.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from updater.errors import StorageError

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
TIMESYNCD_FILE = Path("/run/systemd/timesync/synchronized")
"""Touched after each synchronisation: systemd-timesyncd.service(8), section Files."""

MAXERROR_UNSYNCHRONISED_US = 16_000_000
"""The kernel lets its error estimate grow to this and then calls the clock unsynchronised
(NTP_PHASE_LIMIT, include/linux/timex.h). ``timedatectl`` decides by the same value (ntp_synced in
systemd's src/timedate/timedated.c); the flag STA_UNSYNC says less, since it may be set only to
keep the kernel from writing the hardware clock."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment, as it is written into messages.

    Attributes:
        time: wall clock, in UTC.
        clock_synchronised: whether the wall clock was synchronised with a time server.
        monotonic_s: CLOCK_MONOTONIC in seconds; comparable within one boot only.
        boot_id: the kernel's id of this boot.
    """

    time: datetime
    clock_synchronised: bool
    monotonic_s: float
    boot_id: str


class _Timex(ctypes.Structure):
    """``struct timex`` of adjtimex(2), as far as it is read, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_int),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_long * 60),
    )


_adjtimex = ctypes.CDLL(None).adjtimex


def clock_synchronised() -> bool:
    """Whether the wall clock is synchronised with a time server.

    The kernel is asked first, since it answers for every NTP client. Where the service's sandbox
    forbids the call (systemd's ``ProtectClock=``), timesyncd's file answers; with another client
    the answer is then False, which claims too little rather than too much.
    """
    state = _Timex()  # modes 0: read only, needs no privilege
    if _adjtimex(ctypes.byref(state)) >= 0:
        return int(state.maxerror) < MAXERROR_UNSYNCHRONISED_US
    return TIMESYNCD_FILE.exists()


def read_boot_id(path: Path = BOOT_ID_FILE) -> str:
    """The kernel's id of this boot, a UUID.

    Raises:
        StorageError: it cannot be read; ``/proc`` is missing.
    """
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StorageError(
            f"cannot be read: {error.strerror}", where=str(path), hint="Is /proc mounted?"
        ) from error


class Clock:
    """Makes stamps; every source of time can be replaced.

    Args:
        wall_s: seconds since 1970.
        monotonic_s: seconds that never go back.
        synchronised: whether the wall clock can be believed.
        boot_id: id of this boot; None reads the kernel's.
    """

    def __init__(
        self,
        *,
        wall_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
        synchronised: Callable[[], bool] = clock_synchronised,
        boot_id: str | None = None,
    ) -> None:
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s
        self._synchronised = synchronised
        self.boot_id = read_boot_id() if boot_id is None else boot_id

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return self._monotonic_s()

    def stamp(self) -> Stamp:
        """Now."""
        return self._stamp(self._wall_s(), self._monotonic_s())

    def stamp_of(self, captured_monotonic_s: float) -> Stamp:
        """An earlier moment of this boot, by its monotonic time.

        The wall clock is taken now and set back by the time since: if it was corrected in between,
        the corrected time is the better one.
        """
        now_s = self._monotonic_s()
        return self._stamp(self._wall_s() - (now_s - captured_monotonic_s), captured_monotonic_s)

    def _stamp(self, unix_s: float, monotonic_s: float) -> Stamp:
        return Stamp(
            time=datetime.fromtimestamp(unix_s, UTC),
            clock_synchronised=self._synchronised(),
            monotonic_s=monotonic_s,
            boot_id=self.boot_id,
        )
