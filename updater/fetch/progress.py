"""Says how far a download is: one line rewritten on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

TERMINAL_EVERY_S = 0.2
PLAIN_STEPS = 10
"""Lines for a download of known size; for an unknown one a line each time it has doubled."""

PLAIN_FIRST_BYTES = 1024 * 1024
NOTES_MAX = 20
"""A log must not grow with the hours that a server is away."""

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """How far a download is.

    Attributes:
        held_bytes: what there is, an earlier run's part included.
        total_bytes: of the whole, None if not known.
        note: what has just happened, "" if only bytes have come.
    """

    held_bytes: int
    total_bytes: int | None
    note: str = ""


Progress = Callable[[Received], None]
"""Is told about each piece and each event; must not raise."""


class TerminalProgress:
    """Rewrites one line.

    Args:
        stream: a terminal.
        clock: seconds; for tests.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._next_s = 0.0
        self._width = 0

    def __call__(self, received: Received) -> None:
        """Shows it, unless the last was shown just now."""
        if received.note:
            self._show(received.note)
            self._end()
            return
        now_s = self._clock()
        done = received.held_bytes == received.total_bytes
        if now_s >= self._next_s or done:
            self._next_s = now_s + TERMINAL_EVERY_S
            self._show(amount(received))

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._width:
            self._end()

    def _show(self, text: str) -> None:
        self._stream.write(f"\r{text:<{self._width}}")
        self._stream.flush()
        self._width = len(text)

    def _end(self) -> None:
        self._stream.write("\n")
        self._stream.flush()
        self._width = 0


class PlainProgress:
    """Writes a bounded number of lines.

    Args:
        stream: a log, a pipe, a file.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._step = 0
        self._next_bytes = PLAIN_FIRST_BYTES
        self._notes = 0

    def __call__(self, received: Received) -> None:
        """Writes a line where one is due."""
        if received.note:
            self._notes += 1
            if self._notes < NOTES_MAX:
                self._write(received.note)
            elif self._notes == NOTES_MAX:
                self._write(f"{received.note} (what follows of this kind is not written)")
        elif received.total_bytes:
            step = received.held_bytes * PLAIN_STEPS // received.total_bytes
            if step > self._step:
                self._step = step
                self._write(amount(received))
        elif received.held_bytes >= self._next_bytes:
            self._next_bytes = 2 * received.held_bytes
            self._write(amount(received))

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *exc_info: object) -> None:
        return None

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def progress_on(stream: TextIO) -> TerminalProgress | PlainProgress:
    """What fits the stream; a context, at whose end the terminal's line is ended."""
    return TerminalProgress(stream) if stream.isatty() else PlainProgress(stream)


def amount(received: Received) -> str:
    """How much has come, in words."""
    held = f"{received.held_bytes / MEBIBYTE:.1f}"
    if not received.total_bytes:
        return f"{held} MiB"
    share = received.held_bytes * 100 // received.total_bytes
    return f"{held} of {received.total_bytes / MEBIBYTE:.1f} MiB ({share} %)"
