"""The anchors of YOLOv5 v6.0 and the strides of its three head maps."""

from __future__ import annotations

from typing import Final

#: Input pixels to a cell of each head map.
STRIDES_PX: Final[tuple[int, int, int]] = (8, 16, 32)

#: Width and height in input pixels, for each stride (published with YOLOv5 v6.0, fitted to
#: COCO at 640 px; a head of 10 to 60 px at 416 falls on the first two levels).
ANCHORS_PX: Final[tuple[tuple[tuple[float, float], ...], ...]] = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)
ANCHORS_PER_LEVEL: Final = 3
