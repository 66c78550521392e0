"""Messages that are worth sending now or never: only the newest is kept, and in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Live:
    """What is due.

    Attributes:
        state: a state message, None if it is not due.
        picture: a requested snapshot, None if there is none.
        announce: whether Home Assistant is to be told.
    """

    state: bytes | None
    picture: bytes | None
    announce: bool


class LiveMessages:
    """Hands live messages from the camera loop to the MQTT thread."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._state: bytes | None = None
        self._state_due = False
        self._picture: bytes | None = None
        self._announce_due = False

    def put_state(self, payload: bytes) -> None:
        """Replaces the state."""
        with self._mutex:
            self._state = payload
            self._state_due = True

    def put_picture(self, jpeg: bytes) -> None:
        """Replaces the requested snapshot."""
        with self._mutex:
            self._picture = jpeg

    def announce(self) -> None:
        """Has Home Assistant told."""
        with self._mutex:
            self._announce_due = True

    def begin_connection(self) -> None:
        """Makes everything due that a new connection, perhaps to an empty broker, needs."""
        with self._mutex:
            self._state_due = self._state is not None
            self._announce_due = True
            self._picture = None  # it was asked for over another connection

    def take(self) -> Live:
        """What is due now; it is then due no more."""
        with self._mutex:
            live = Live(self._state if self._state_due else None, self._picture, self._announce_due)
            self._state_due = self._announce_due = False
            self._picture = None
            return live
