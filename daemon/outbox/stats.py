"""How the outbox stands, for the state message, the status file and the metrics."""

from __future__ import annotations

from dataclasses import dataclass

COUNTERS = ("dropped_updates", "dropped_others", "dropped_snapshots", "damaged", "undeliverable")
"""What the database counts across restarts; fields of :class:`OutboxStats`."""


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """How the outbox stands.

    Attributes:
        messages: messages that wait.
        size_bytes: what they take.
        in_memory: messages of these that are not on disk, because it refused.
        dropped_updates: messages of updates dropped because the outbox was full, since it exists.
        dropped_others: messages of starts and ends dropped for the same reason.
        dropped_snapshots: snapshots left out because one alone was larger than the outbox.
        damaged: messages whose check did not hold when they were read.
        undeliverable: messages given up because the broker closes the connection over them.
        last_error: what the disk said last; empty when it works.
        recovery: what was done about a damaged file since the process started; empty if nothing.
    """

    messages: int
    size_bytes: int
    in_memory: int
    dropped_updates: int
    dropped_others: int
    dropped_snapshots: int
    damaged: int
    undeliverable: int
    last_error: str
    recovery: str

    @property
    def dropped(self) -> int:
        """Messages that will never arrive."""
        return (
            self.dropped_updates
            + self.dropped_others
            + self.dropped_snapshots
            + self.damaged
            + self.undeliverable
        )
