"""Close-ups of single heads, cut out of photographs.

In the training photographs nearly every large head wears a helmet, and bare heads are small. A
network takes such a coincidence for the rule: it called a bare portrait a helmet at 0.8. Close-ups
of bare heads, and of some helmets, take the coincidence away.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.augment import AugmentSettings, Boxes, Picture, move_boxes

HELMET, HEAD = 0, 1

_PAD_GREY = 114


@dataclass(frozen=True, slots=True)
class CloseUpSettings:
    """How often heads are shown large, and how large.

    Attributes:
        zoom: share of training pictures that are close-ups of one head.
        zoom_helmet: share of these that show a helmet, so that close-ups say nothing by themselves.
        fraction: least and greatest share of the close-up's side that the head takes.
        least_head_px: heads smaller than this in the photograph are not magnified.
    """

    zoom: float = 0.3
    zoom_helmet: float = 0.25
    fraction: tuple[float, float] = (0.15, 0.7)
    least_head_px: float = 14.0


def close_up(
    picture: Picture,
    boxes: Boxes,
    target: int,
    *,
    fraction: float,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> tuple[Picture, Boxes]:
    """Cuts a square out of a photograph in which one head takes a given share of the side.

    Args:
        picture: RGB, ``[H,W,3]``.
        boxes: ``[N,5]``: class and corners in pixels.
        target: row of the head.
        fraction: share of the side, 0 to 1.
        settings: when a cut box stays a positive.
        rng: places the head within the square.

    Returns:
        The cut, grey where the photograph ends, and the boxes in it.
    """
    x1, y1, x2, y2 = boxes[target, 1:]
    longest = max(x2 - x1, y2 - y1)
    side = max(8, round(float(longest / fraction)))
    free_x, free_y = side - (x2 - x1), side - (y2 - y1)
    # A head is seldom at the very border of a picture that is about it; bodies hang below it.
    left = x1 - free_x * rng.uniform(0.15, 0.85)
    top = y1 - free_y * rng.uniform(0.05, 0.7)
    matrix = np.asarray([[1, 0, -round(float(left))], [0, 1, -round(float(top))]], np.float32)
    cut = cv2.warpAffine(
        picture,
        matrix,
        (side, side),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(_PAD_GREY, _PAD_GREY, _PAD_GREY),
    ).astype(np.uint8, copy=False)
    return cut, move_boxes(boxes, matrix, (0, 0, side, side), settings)


def large_enough(boxes: Boxes, label: int, least_px: float) -> NDArray[np.intp]:
    """Rows of the boxes of a class whose longer side is at least so many pixels."""
    sides = (boxes[:, 3:5] - boxes[:, 1:3]).max(1, initial=0.0)
    rows: NDArray[np.intp] = np.flatnonzero((boxes[:, 0] == label) & (sides >= least_px))
    return rows
