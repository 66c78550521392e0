"""From head maps to boxes, and the letterbox between picture and network input.

The cloud side's reference: plain float arithmetic over everything, written for clarity. The
device has its own decoder, gated in the integer domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.anchors import ANCHORS_PER_LEVEL, ANCHORS_PX, STRIDES_PX

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]

_PAD_GREY = 114


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture scaled into a square and centred in it.

    Attributes:
        scale: Input pixels to a picture pixel.
        left_px, top_px: Border before the picture, in input pixels.
    """

    scale: float
    left_px: int
    top_px: int

    def to_picture(self, boxes: Floats) -> Floats:
        """Corners ``[N,4]`` in input pixels to corners in picture pixels."""
        shift = np.asarray([self.left_px, self.top_px] * 2, np.float32)
        result: Floats = ((boxes - shift) / self.scale).astype(np.float32)
        return result


def letterbox(picture: Picture, size_px: int) -> tuple[Picture, Letterbox]:
    """Fit ``picture`` into a grey square of ``size_px``."""
    height, width = picture.shape[:2]
    scale = size_px / max(height, width)
    new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.full((size_px, size_px, 3), _PAD_GREY, np.uint8)
    left, top = (size_px - new_w) // 2, (size_px - new_h) // 2
    canvas[top : top + new_h, left : left + new_w] = cv2.resize(
        picture, (new_w, new_h), interpolation=how
    )
    return canvas, Letterbox(scale, left, top)


@dataclass(frozen=True, slots=True)
class Found:
    """Detections of one picture: corners ``[N,4]`` in pixels, scores and classes ``[N]``."""

    boxes: Floats
    scores: Floats
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def where(self, mask: NDArray[np.bool_] | NDArray[np.int64]) -> Found:
        """The detections that ``mask`` (or an index) selects."""
        return Found(self.boxes[mask], self.scores[mask], self.classes[mask])


def concatenate(parts: Sequence[Found]) -> Found:
    """All detections of ``parts``."""
    return Found(
        np.concatenate([p.boxes for p in parts]),
        np.concatenate([p.scores for p in parts]),
        np.concatenate([p.classes for p in parts]),
    )


def decode_maps(maps: Sequence[Floats], least_score: float) -> Found:
    """Boxes from three sigmoid maps ``[h,w,3·(5+C)]``, before suppression.

    A box may be reported once for every class whose score reaches ``least_score``.
    """
    parts = []
    for level, values in enumerate(maps):
        rows, columns = values.shape[:2]
        cells = values.reshape(rows, columns, ANCHORS_PER_LEVEL, -1)
        scores = cells[..., 4:5] * cells[..., 5:]
        y, x, anchor, label = np.nonzero(scores >= least_score)
        answer = cells[y, x, anchor]
        centre = (answer[:, :2] * 2 - 0.5 + np.stack((x, y), 1)) * STRIDES_PX[level]
        size = (answer[:, 2:4] * 2) ** 2 * np.asarray(ANCHORS_PX[level], np.float32)[anchor]
        parts.append(
            Found(
                np.concatenate((centre - size / 2, centre + size / 2), 1).astype(np.float32),
                scores[y, x, anchor, label].astype(np.float32),
                label.astype(np.int64),
            )
        )
    return concatenate(parts)


def overlaps(boxes: Floats, others: Floats) -> Floats:
    """IoU of every box ``[N,4]`` with every other ``[M,4]``: ``[N,M]``."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    other_area = (others[:, 2:] - others[:, :2]).prod(1)
    result: Floats = shared / np.maximum(area[:, None] + other_area[None] - shared, 1e-9)
    return result


def suppress(found: Found, most_iou: float, limit: int = 300) -> Found:
    """Greedy non-maximum suppression, class by class, best first, at most ``limit``."""
    order = np.argsort(-found.scores, kind="stable")[:3000]
    ranked = found.where(order)
    kept: list[int] = []
    alive = np.ones(len(ranked), bool)
    for i in range(len(ranked)):
        if not alive[i]:
            continue
        kept.append(i)
        if len(kept) == limit:
            break
        rest = np.nonzero(alive[i + 1 :] & (ranked.classes[i + 1 :] == ranked.classes[i]))[0]
        rest += i + 1
        alive[rest[overlaps(ranked.boxes[i : i + 1], ranked.boxes[rest])[0] > most_iou]] = False
    return ranked.where(np.asarray(kept, np.int64))


def clip(found: Found, width_px: int, height_px: int) -> Found:
    """Cut boxes to the picture."""
    limit = np.asarray([width_px, height_px, width_px, height_px], np.float32)
    return Found(found.boxes.clip(0, limit), found.scores, found.classes)
