"""What every source has in common: the interface, the stamps on a frame, the clocks."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from daemon.frames import Frame, Picture

MAX_PIXELS = 64_000_000
"""Larger pictures are refused: in RGB one would take more than 192 MB."""


class Source(Protocol):
    """Delivers frames, one at a time.

    Entering the context opens the source, leaving it closes it; both, and every read, happen on
    the same thread (:class:`daemon.sources.capture.Capture` has one for it), because camera
    libraries want that and because any of them may hang.
    """

    @property
    def live(self) -> bool:
        """Whether frames come whether we are ready or not."""

    @property
    def description(self) -> str:
        """What it is, for the log and the status file; without credentials."""

    @property
    def damaged(self) -> int:
        """Packets or pictures so far that could not be decoded, or only with errors."""

    @property
    def trouble(self) -> str:
        """What keeps it from delivering at the moment; empty while all is well."""

    def __enter__(self) -> Self:
        """Opens it.

        Raises:
            SourceError: it cannot be opened.
        """

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it."""

    def read(self) -> Frame | None:
        """The next frame; None at the end of a file or folder, or after :meth:`interrupt`.

        Raises:
            SourceError: it cannot go on.
        """

    def interrupt(self) -> None:
        """Asks a :meth:`read` on another thread to return soon; there is no way back."""


class Stamper:
    """Gives frames their number and their times."""

    def __init__(self) -> None:
        self._sequence = 0

    def stamp(
        self, picture: Picture, *, media_time_s: float | None = None, age_s: float = 0.0
    ) -> Frame:
        """A frame around the picture.

        Args:
            picture: what was seen.
            media_time_s: the source's own clock; None for a camera, whose clock is the monotonic
                one.
            age_s: how long ago it was exposed, where the camera tells.
        """
        captured_s = time.monotonic() - age_s
        frame = Frame(
            sequence=self._sequence,
            media_time_s=captured_s if media_time_s is None else media_time_s,
            captured_unix_s=time.time() - age_s,
            captured_monotonic_s=captured_s,
            picture=picture,
        )
        self._sequence += 1
        return frame


class MediaClock:
    """Turns a file's time stamps into a clock that starts at 0 and never goes back.

    Stamps are missing in raw streams and jump back where recordings were joined; then the clock
    goes on at the nominal rate.

    Args:
        frames_per_second: the nominal rate, for frames whose stamps are of no use.
    """

    def __init__(self, frames_per_second: float) -> None:
        self._step_s = 1.0 / frames_per_second
        self._offset_s: float | None = None
        self._last_s = -self._step_s

    def at(self, stamp_s: float | None) -> float:
        """Seconds since the first frame.

        Args:
            stamp_s: the frame's stamp in the file, or None.
        """
        if stamp_s is not None and self._offset_s is None:
            self._offset_s = stamp_s - (self._last_s + self._step_s)
        if stamp_s is None or self._offset_s is None:
            now_s = self._last_s + self._step_s
        else:
            now_s = stamp_s - self._offset_s
            if now_s <= self._last_s:
                now_s = self._last_s + self._step_s
                self._offset_s = stamp_s - now_s
        self._last_s = now_s
        return now_s


class RateLimit:
    """Takes at most so many frames a second of a live source.

    Args:
        frames_per_second: the most that are wanted.
    """

    # A camera that runs at the wanted rate itself delivers a little early or late each time;
    # without this slack every second frame of it would be dropped.
    _SLACK = 0.25

    def __init__(self, frames_per_second: float) -> None:
        self._interval_s = 1.0 / frames_per_second
        self._due_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether the frame that arrives at this monotonic time is wanted."""
        if self._due_s is None:
            self._due_s = now_s
        slack_s = self._SLACK * self._interval_s
        if now_s < self._due_s - slack_s:
            return False
        # After a gap the clock starts anew instead of taking a burst to catch up.
        self._due_s = max(self._due_s, now_s - slack_s) + self._interval_s
        return True
