"""Hands the outbox's messages to one connection: in order, a few at a time, deleted when taken."""

from __future__ import annotations

from collections.abc import Callable

from daemon.outbox.outbox import Outbox
from daemon.outbox.store import Message

WINDOW_MESSAGES = 20
"""Sent and not yet acknowledged at most; Mosquitto takes as many by default
(``max_inflight_messages``), AWS IoT Core 100."""

WINDOW_BYTES = 1_000_000
"""The same in bytes, since snapshots are held in memory until they are acknowledged."""


class Delivery:
    """What is on its way over one connection. For one thread.

    Args:
        outbox: where the messages come from.
        one_by_one: whether each message waits for the acknowledgement of the one before, until
            the first has arrived: after a connection broke without any acknowledgement, this finds
            the message over which it breaks.
        on_delivered: called for each message that the broker has acknowledged.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        one_by_one: bool = False,
        on_delivered: Callable[[], None] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._one_by_one = one_by_one
        self._on_delivered = on_delivered
        self._position = 0
        self._in_flight: dict[int, Message] = {}
        self._taken: list[int] = []
        self.delivered = 0

    @property
    def in_flight(self) -> int:
        """Messages sent and not yet acknowledged."""
        return len(self._in_flight)

    @property
    def oldest(self) -> Message | None:
        """The oldest of these."""
        return min(self._in_flight.values(), key=lambda each: each.position, default=None)

    def send(self, publish: Callable[[str, bytes], int]) -> None:
        """Sends what fits into the window.

        Args:
            publish: sends topic and payload, returns the message's id.
        """
        room = (1 if self._one_by_one else WINDOW_MESSAGES) - len(self._in_flight)
        held_bytes = sum(message.size_bytes for message in self._in_flight.values())
        if room <= 0 or (self._in_flight and held_bytes >= WINDOW_BYTES):
            return
        for message in self._outbox.after(
            self._position, max_messages=room, max_bytes=max(1, WINDOW_BYTES - held_bytes)
        ):
            held_bytes += message.size_bytes
            if self._in_flight and held_bytes > WINDOW_BYTES:
                return
            self._in_flight[publish(message.topic, message.payload)] = message
            self._position = message.position

    def acknowledge(self, message_id: int) -> None:
        """Notes that the broker has a message; ids of other messages are ignored."""
        message = self._in_flight.pop(message_id, None)
        if message is not None:
            self._taken.append(message.position)
            self.delivered += 1
            self._on_delivered()
            self._one_by_one = False

    def settle(self) -> None:
        """Deletes what the broker has."""
        if self._taken:
            self._outbox.delete(self._taken)
            self._taken.clear()
