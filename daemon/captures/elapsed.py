"""How much time has passed, told by clocks that may be wrong: a count that never goes back.

A Raspberry Pi has no battery-backed clock: after a power cut it wakes in the past, and jumps when
the network comes. Limits and ages counted on the wall clock would then be refilled, frozen or wiped
out by a jump. They are counted on *elapsed seconds* instead, which move forward

- within one boot by the monotonic clock, whatever the wall clock does;
- across a reboot by the time since that boot (so long it has surely been), and, once the wall
  clock is synchronised again, by what it says has passed since it last was.

The count can fall behind the truth (a device that lay in a drawer and never sees a time server)
but never runs ahead of it by a wrong clock: too few pictures rather than too many.
"""

from __future__ import annotations

from dataclasses import dataclass

from daemon.clock import Stamp


@dataclass(frozen=True, slots=True)
class Anchor:
    """The last moment at which the wall clock could be trusted.

    Attributes:
        boot_id: in which boot.
        unix_s: what the wall clock said.
        elapsed_s: what the count said.
    """

    boot_id: str
    unix_s: float
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The count at one moment; kept on disk between runs.

    Attributes:
        elapsed_s: the count in seconds.
        boot_id: boot in which it was read.
        monotonic_s: seconds since that boot.
        anchor: the last trusted wall-clock reading, or None.
    """

    elapsed_s: float
    boot_id: str
    monotonic_s: float
    anchor: Anchor | None


def begin(now: Stamp, *, elapsed_s: float = 0.0) -> Elapsed:
    """A count that starts now."""
    anchor = (
        Anchor(now.boot_id, now.time.timestamp(), elapsed_s) if now.clock_synchronised else None
    )
    return Elapsed(elapsed_s, now.boot_id, now.monotonic_s, anchor)


def advance(before: Elapsed, now: Stamp) -> Elapsed:
    """The count now.

    Args:
        before: the count when it was last read, in this boot or an earlier one.
        now: the clocks now.
    """
    since_s = before.monotonic_s if now.boot_id == before.boot_id else 0.0
    elapsed_s = before.elapsed_s + max(0.0, now.monotonic_s - since_s)
    anchor = before.anchor
    if not now.clock_synchronised:
        return Elapsed(elapsed_s, now.boot_id, now.monotonic_s, anchor)
    if anchor is not None and anchor.boot_id != now.boot_id:
        elapsed_s = max(elapsed_s, anchor.elapsed_s + now.time.timestamp() - anchor.unix_s)
    return Elapsed(
        elapsed_s,
        now.boot_id,
        now.monotonic_s,
        Anchor(now.boot_id, now.time.timestamp(), elapsed_s),
    )
