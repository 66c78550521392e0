"""Intersection over union of two boxes, for the cloud side's few; the device has arrays of them."""

from __future__ import annotations

Corners = tuple[float, float, float, float]
"""x1, y1, x2, y2 in any one unit, the first two no greater than the others."""


def iou(a: Corners, b: Corners) -> float:
    """The Jaccard index of two boxes.

    Returns:
        0 to 1; 0 where the common area is none, or smaller than numbers can tell.
    """
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    if shared == 0.0:
        return 0.0
    return shared / (_area(a) + _area(b) - shared)


def _area(box: Corners) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
