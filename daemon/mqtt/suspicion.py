"""Notices a message over which the connection breaks each time. Pure.

MQTT 3.1.1 has no way to refuse a message: a broker that may not or will not take one closes the
connection. Sent again and again, that message would hold up all that wait behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

SUSPECT_TRIES = 3
"""Connections broken over one message before that is said and tries become rare; once or twice is
bad luck."""

GIVE_UP_TRIES = 8
"""Before a snapshot is given up: it is probably too large for this broker. An alert never is."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The message over which the last connections broke.

    Attributes:
        position: its place in the outbox.
        tries: connections that broke over it one after another; 0 if none did.
    """

    position: int = 0
    tries: int = 0

    def ended(self, oldest_position: int | None, *, delivered: int) -> Suspicion:
        """After a connection was lost.

        Args:
            oldest_position: the oldest message on its way then, None if there was none.
            delivered: messages that this connection delivered.
        """
        if oldest_position is None or delivered:
            return Suspicion()
        if oldest_position == self.position:
            return Suspicion(oldest_position, self.tries + 1)
        return Suspicion(oldest_position, 1)

    @property
    def one_by_one(self) -> bool:
        """Whether the next connection sends one message at a time, to find the culprit."""
        return self.tries > 0

    @property
    def confirmed(self) -> bool:
        """Whether it is no bad luck any more."""
        return self.tries >= SUSPECT_TRIES

    @property
    def hopeless(self) -> bool:
        """Whether a snapshot is to be given up."""
        return self.tries >= GIVE_UP_TRIES
