"""Boxes, pictures, and what a labelling tool says about one picture. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

#: Parts of a data set; a photograph named for two belongs to the later one, for a photograph
#: that was trained on measures nothing.
PARTS: Final = ("train", "val", "test")

#: Boxes a person would not call different: half a pixel.
SAME_PX: Final = 0.5
#: Of a box that reaches over the picture's edge, the least share that must lie inside.
INSIDE_SHARE: Final = 0.5
#: Of a box, in pixels of the picture: less is a click that slipped.
LEAST_SIDE_PX: Final = 1.0

Unit = Literal["px", "relative"]


@dataclass(frozen=True, slots=True)
class Box:
    """One object.

    Attributes:
        name: Its class.
        x1, y1, x2, y2: Corners, in pixels of the picture or relative to its size (0 to 1), as the
            owner says.
        score: Of a model's detection, 0 to 1; None when a person drew it.
        ignore: Whether it is unknown if there is an object: counts neither way.
    """

    name: str
    x1: float
    y1: float
    x2: float
    y2: float
    score: float | None = None
    ignore: bool = False

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2."""
        return self.x1, self.y1, self.x2, self.y2

    @property
    def area(self) -> float:
        """Square of the unit; 0 when a side is negative."""
        return max(0.0, self.x2 - self.x1) * max(0.0, self.y2 - self.y1)

    def scaled(self, x: float, y: float) -> Box:
        """The box with its sides multiplied."""
        return replace(self, x1=self.x1 * x, y1=self.y1 * y, x2=self.x2 * x, y2=self.y2 * y)


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture on disk and everything that is on it.

    Attributes:
        path: The file.
        sha256: Of the file, 64 lower-case hex digits: what identifies the photograph.
        width, height: In pixels as it is shown, after its EXIF orientation.
        boxes: In pixels; none means that a person found nothing.
    """

    path: Path
    sha256: str
    width: int
    height: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What an export says about one picture, before the picture itself was looked at.

    Attributes:
        reference: What the export calls it: a path, an address, a key.
        boxes: In ``unit``; none means that a person found nothing.
        where: File and line, row or field, for reports.
        unit: Of the boxes.
        width, height: In pixels, as the export has them.
        sha256: Of the picture, when the export carries it.
        group: What must stay in one part of the data set with it, when the export carries it.
        part: The part it comes in, when the export has parts.
        file: The picture, where the export contains it.
    """

    reference: str
    boxes: tuple[Box, ...]
    where: str
    unit: Unit = "px"
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    group: str | None = None
    part: str | None = None
    file: Path | None = None


class BrokenLabelError(ValueError):
    """One label cannot be used; caught where the picture is left out and reported."""


def placed(box: Box, width: int, height: int) -> Box:
    """A box in pixels, clipped to its picture.

    Raises:
        BrokenLabelError: A corner is no number, it is empty, or most of it lies outside: then it
            belongs to another picture, or the sizes were mixed up.
    """
    if not all(math.isfinite(v) for v in box.corners):
        raise BrokenLabelError(f"a corner of the box {box.name!r} is not a finite number")
    if box.x2 <= box.x1 or box.y2 <= box.y1:
        raise BrokenLabelError(f"the box {_text(box)} is empty")
    inside = replace(
        box,
        x1=min(max(box.x1, 0.0), float(width)),
        y1=min(max(box.y1, 0.0), float(height)),
        x2=min(max(box.x2, 0.0), float(width)),
        y2=min(max(box.y2, 0.0), float(height)),
    )
    if inside.area < INSIDE_SHARE * box.area:
        raise BrokenLabelError(f"the box {_text(box)} lies outside the {width}x{height} picture")
    if min(inside.x2 - inside.x1, inside.y2 - inside.y1) < LEAST_SIDE_PX:
        raise BrokenLabelError(f"the box {_text(box)} is less than {LEAST_SIDE_PX:g} px wide")
    return inside


def same_boxes(first: Sequence[Box], second: Sequence[Box], *, within: float = SAME_PX) -> bool:
    """Whether two people labelled the same: each box has a partner of its class.

    Args:
        first: One's boxes.
        second: The other's, in the same unit.
        within: The most by which a corner's coordinate may differ.
    """
    if len(first) != len(second):
        return False
    left = list(second)
    for box in first:
        partner = next(
            (
                index
                for index, other in enumerate(left)
                if (other.name, other.ignore) == (box.name, box.ignore)
                and all(
                    abs(a - b) <= within for a, b in zip(box.corners, other.corners, strict=True)
                )
            ),
            None,
        )
        if partner is None:
            return False
        del left[partner]
    return True


def _text(box: Box) -> str:
    return f"{box.name!r} ({', '.join(f'{v:.1f}' for v in box.corners)})"
