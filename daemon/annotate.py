"""Boxes and labels drawn on a picture, and JPEG within a size."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from daemon.detection.detections import HEAD, HELMET, PERSON, Detections
from daemon.frames import Box, RgbImage

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

COLOURS: dict[str, Colour] = {
    HELMET: (0, 158, 115),
    HEAD: (213, 94, 0),
    PERSON: (86, 180, 233),
}
"""From the palette of Okabe and Ito, which people with a colour deficiency can tell apart."""

OTHER_COLOUR: Colour = (240, 228, 66)

_LINES_A_SIDE = 300
"""A frame is one pixel thick for so many pixels of the picture's longer side, and at least two."""

_TEXT_PART = 45
"""Text is the longer side's so-many-th part high, and at least 11 pixels: legible on a phone."""

MIN_QUALITY = 40
"""Under it JPEG blocks hide what a helmet looks like; then a smaller picture shows more."""

_QUALITY_STEP = 12
_SIDE_FACTOR = 0.8
MIN_SIDE_PX = 32


@dataclass(frozen=True, slots=True)
class Mark:
    """One box to draw.

    Attributes:
        box: in pixels of the picture.
        text: the label, one line; empty for none.
        colour: of the frame and of the label's ground.
    """

    box: Box
    text: str
    colour: Colour


def marks(detections: Detections, *, least_score: float = 0.0) -> tuple[Mark, ...]:
    """A mark for every detection of at least this score, the strongest last: it lies on top."""
    return tuple(
        Mark(
            found.box,
            f"{found.class_name} {found.score:.2f}",
            COLOURS.get(found.class_name, OTHER_COLOUR),
        )
        for found in reversed(tuple(detections))
        if found.score >= least_score
    )


def draw(rgb: RgbImage, boxes: Detections | Iterable[Mark]) -> RgbImage:
    """A copy of a picture with boxes and labels on it.

    Args:
        rgb: shape (height, width, 3).
        boxes: what to draw, in pixels of this picture.
    """
    chosen = marks(boxes) if isinstance(boxes, Detections) else tuple(boxes)
    image = Image.fromarray(rgb)  # copies, so the caller's array stays as it is
    canvas = ImageDraw.Draw(image)
    longer_side = max(image.size)
    thickness = max(2, round(longer_side / _LINES_A_SIDE))
    font = _font(max(11, round(longer_side / _TEXT_PART)))
    for mark in chosen:
        canvas.rectangle(mark.box.as_tuple(), outline=mark.colour, width=thickness)
    taken: list[Box] = []
    for mark in reversed(chosen):  # the last is the most important: it chooses its place first
        if mark.text:
            _label(canvas, mark, font, image.size, taken)
    return np.array(image)


def encode_jpeg(rgb: RgbImage, *, quality: int, max_bytes: int | None = None) -> bytes:
    """A picture as JPEG, no larger than allowed: first the quality gives way, then the size.

    Args:
        rgb: shape (height, width, 3).
        quality: JPEG quality to start from, 1 to 95.
        max_bytes: greatest size; None for any.

    Raises:
        ValueError: not even the smallest version fits.
    """
    image = Image.fromarray(rgb)
    tried = quality
    while True:
        data = _jpeg(image, tried)
        if max_bytes is None or len(data) <= max_bytes:
            return data
        if tried > MIN_QUALITY:
            tried = max(MIN_QUALITY, tried - _QUALITY_STEP)
            continue
        width, height = (round(side * _SIDE_FACTOR) for side in image.size)
        if min(width, height) < MIN_SIDE_PX:
            raise ValueError(f"a picture of {image.size} does not fit into {max_bytes} bytes")
        image = image.resize((width, height), Image.Resampling.BILINEAR)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    with io.BytesIO() as buffer:
        image.save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()


def _label(
    canvas: ImageDraw.ImageDraw,
    mark: Mark,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
    taken: list[Box],
) -> None:
    """Draws a label and adds its place to ``taken``; none where every place is taken."""
    # The built-in bitmap font knows Latin-1 only, and fails on anything else.
    text = mark.text.encode("latin-1", "replace").decode("latin-1")
    _, _, right, bottom = font.getbbox(text)
    place = _place(mark.box, right + 4, bottom + 4, size, taken)
    if place is None:
        return  # the colour of the box still tells the class
    taken.append(place)
    canvas.rectangle(place.as_tuple(), fill=mark.colour)
    dark_ground = sum(mark.colour) < 3 * 110
    colour = (255, 255, 255) if dark_ground else (0, 0, 0)
    canvas.text((place.x1 + 2, place.y1 + 2), text, fill=colour, font=font)


def _place(
    box: Box, width: float, height: float, size: tuple[int, int], taken: list[Box]
) -> Box | None:
    """Where a label of this size can stand: above the box, else below it, else inside."""
    left, right = box.x1, box.x2 - width
    above, below = box.y1 - height, box.y2
    for x, y in (
        (left, above), (right, above), (left, below), (right, below),
        (left, box.y1), (right, box.y1), (left, box.y2 - height), (right, box.y2 - height),
    ):  # fmt: skip
        x = min(max(0.0, x), max(0.0, size[0] - width))  # noqa: PLW2901 - moved into the picture
        inside_y = min(max(0.0, y), max(0.0, size[1] - height))
        if y != inside_y and y in (above, below):
            continue  # it would cover the box's own edge; the places inside follow
        place = Box(x, inside_y, x + width, inside_y + height)
        if not any(_touch(place, other) for other in taken):
            return place
    return None


def _touch(one: Box, other: Box) -> bool:
    return one.x1 < other.x2 and other.x1 < one.x2 and one.y1 < other.y2 and other.y1 < one.y2


@lru_cache(maxsize=8)
def _font(height_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(size=height_px)
    except TypeError:  # Pillow before 10.1 has one small bitmap font
        return ImageFont.load_default()
