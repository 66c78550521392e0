"""A frame on its way through the process: when it was taken, and the picture behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RgbImage = NDArray[np.uint8]
"""Shape (height, width, 3), RGB, C-contiguous."""


class Picture(Protocol):
    """The full-resolution picture of a frame, converted only when somebody asks.

    Most frames are looked at once in the model's size and thrown away; turning each into a full
    RGB array first would cost more than everything else around the model.
    """

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    def resized(self, width: int, height: int) -> RgbImage:
        """The whole picture scaled to exactly this size (aspect is the caller's concern)."""

    def rgb(self) -> RgbImage:
        """The picture in full resolution."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source.

    Attributes:
        sequence: counts the frames that the source delivered, from 0; gaps are frames that were
            overtaken because inference was busy.
        media_time_s: the source's own clock in seconds, never going back. For a camera it is the
            monotonic clock, for a file the time stamp in the file: confirm times and cool-downs
            then mean the same at any speed of playback.
        captured_unix_s: wall clock at capture, seconds since 1970; may be wrong at boot.
        captured_monotonic_s: ``time.monotonic()`` at capture, for latencies.
        picture: the picture itself.
    """

    sequence: int
    media_time_s: float
    captured_unix_s: float
    captured_monotonic_s: float
    picture: Picture


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the original frame, corners ``(x1, y1)`` and ``(x2, y2)``."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Pixels."""
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        """Square pixels, 0 for an empty box."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def bottom_centre(self) -> tuple[float, float]:
        """Where a standing person touches the ground: the point that zones are tested with."""
        return (self.x1 + self.x2) / 2, self.y2

    def as_tuple(self) -> tuple[float, float, float, float]:
        """``(x1, y1, x2, y2)``."""
        return self.x1, self.y1, self.x2, self.y2
