"""Letterbox: a picture scaled into the model's input without changing its aspect, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from updater.errors import ModelError

FILL = 114
"""Grey of the border, 0 to 255: the value that YOLOv5 is trained with."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture lies inside the model's input.

    The inner size is whole pixels, so the horizontal and the vertical scale differ by up to half a
    pixel in the picture's size; each is kept exactly, which makes the mapping invertible.

    Attributes:
        source_width: of the picture, pixels.
        source_height: of the picture, pixels.
        input_width: of the model's input, pixels.
        input_height: of the model's input, pixels.
        inner_width: of the scaled picture, pixels, at most ``input_width``.
        inner_height: of the scaled picture, pixels, at most ``input_height``.
        left: columns of border before the scaled picture.
        top: rows of border above the scaled picture.
    """

    source_width: int
    source_height: int
    input_width: int
    input_height: int
    inner_width: int
    inner_height: int
    left: int
    top: int

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels to a picture pixel, horizontal and vertical."""
        return self.inner_width / self.source_width, self.inner_height / self.source_height

    def to_input(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """A box in picture pixels as one in input pixels.

        Args:
            box: x1, y1, x2, y2.
        """
        across, down = self.scale
        x1, y1, x2, y2 = box
        return (
            x1 * across + self.left,
            y1 * down + self.top,
            x2 * across + self.left,
            y2 * down + self.top,
        )

    def to_source(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """A box in input pixels as one in picture pixels; the inverse of :meth:`to_input`.

        Args:
            box: x1, y1, x2, y2.
        """
        across, down = self.scale
        x1, y1, x2, y2 = box
        return (
            (x1 - self.left) / across,
            (y1 - self.top) / down,
            (x2 - self.left) / across,
            (y2 - self.top) / down,
        )


def fit(source_width: int, source_height: int, input_width: int, input_height: int) -> Letterbox:
    """The largest centred place for a picture in the model's input.

    Args:
        source_width: of the picture, pixels.
        source_height: of the picture, pixels.
        input_width: of the model's input, pixels.
        input_height: of the model's input, pixels.

    Raises:
        ModelError: a size is not positive.
    """
    if min(source_width, source_height, input_width, input_height) < 1:
        raise ModelError(
            f"a picture of {source_width}x{source_height} pixels does not fit an input of "
            f"{input_width}x{input_height}"
        )
    scale = min(input_width / source_width, input_height / source_height)
    inner_width = min(input_width, max(1, round(source_width * scale)))
    inner_height = min(input_height, max(1, round(source_height * scale)))
    return Letterbox(
        source_width=source_width,
        source_height=source_height,
        input_width=input_width,
        input_height=input_height,
        inner_width=inner_width,
        inner_height=inner_height,
        left=(input_width - inner_width) // 2,
        top=(input_height - inner_height) // 2,
    )
