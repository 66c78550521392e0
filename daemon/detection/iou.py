"""Intersection over union (the Jaccard index) of axis-aligned boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def iou_matrix(
    boxes: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """IoU of every box with every other.

    Args:
        boxes: shape (n, 4): x1, y1, x2, y2.
        others: shape (m, 4), in the same unit.

    Returns:
        Shape (n, m), 0 to 1; 0 where both boxes are empty.
    """
    a = np.asarray(boxes, np.float32)
    b = np.asarray(others, np.float32)
    left, top, right, bottom = a.T[:, :, np.newaxis]
    width = np.minimum(right, b[:, 2]) - np.maximum(left, b[:, 0])
    height = np.minimum(bottom, b[:, 3]) - np.maximum(top, b[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = areas(a)[:, np.newaxis] + areas(b) - shared
    result: NDArray[np.float32] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return result


def areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Areas of boxes of shape (n, 4), in square units; 0 for an inverted box."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    result: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return result
