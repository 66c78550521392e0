"""Non-maximum suppression: one box for one object.

Greedy and by class, as in Neubeck and Van Gool, "Efficient Non-Maximum Suppression" (ICPR 2006):
the strongest box stays, those of its class that overlap it more than the threshold go, and so on.
"""

from __future__ import annotations

import numpy as np

from daemon.detection.candidates import FEW, Candidates
from daemon.detection.iou import iou_matrix

MAX_CANDIDATES = 1000
"""Strongest candidates that are looked at. Pairs grow with the square: 1000 are 4 MB a matrix."""

MAX_RESULTS = 300
"""Most boxes kept: what COCO's and YOLOv5's evaluation allow for one picture."""


def suppress(
    found: Candidates,
    *,
    iou_threshold: float,
    max_candidates: int = MAX_CANDIDATES,
    max_results: int = MAX_RESULTS,
) -> list[int]:
    """Which boxes stay.

    Args:
        found: the boxes; those of different classes never suppress each other.
        iou_threshold: a weaker box of the same class with a greater IoU goes.
        max_candidates: the weakest beyond so many are dropped unseen.
        max_results: most boxes returned.

    Returns:
        Indices into the candidates, strongest first; of equal scores the earlier comes first.
    """
    # sorted() keeps the order of equals even in reverse.
    order = sorted(range(len(found)), key=found.scores.__getitem__, reverse=True)[:max_candidates]
    greedy = _greedy_few if len(order) <= FEW else _greedy_many
    return greedy(found, order, iou_threshold)[:max_results]


def _greedy_few(found: Candidates, order: list[int], iou_threshold: float) -> list[int]:
    """What stays of the boxes in ``order``, strongest first."""
    kept: list[int] = []
    strongest: dict[int, list[tuple[float, float, float, float, float]]] = {}
    for index in order:
        x1, y1, x2, y2 = found.boxes[index]
        area = max(0.0, x2 - x1) * max(0.0, y2 - y1)
        rivals = strongest.setdefault(found.class_ids[index], [])
        for left, top, right, bottom, rival_area in rivals:
            # Not min() and max(): a call costs more than everything else in this loop.
            width = (x2 if x2 < right else right) - (x1 if x1 > left else left)
            height = (y2 if y2 < bottom else bottom) - (y1 if y1 > top else top)
            if width > 0 and height > 0:
                shared = width * height
                if shared > iou_threshold * (area + rival_area - shared):
                    break
        else:
            rivals.append((x1, y1, x2, y2, area))
            kept.append(index)
    return kept


def _greedy_many(found: Candidates, order: list[int], iou_threshold: float) -> list[int]:
    """The same by a matrix of all pairs."""
    boxes = np.array(found.boxes, np.float32)[order]
    class_ids = np.array(found.class_ids)[order]
    rivals = iou_matrix(boxes, boxes) > iou_threshold
    rivals &= class_ids[:, np.newaxis] == class_ids
    alive = np.ones(len(boxes), np.bool_)
    kept: list[int] = []
    # Only boxes with a weaker rival can remove one; all others need no look.
    for position, has_rival in enumerate(np.any(np.triu(rivals, 1), axis=1).tolist()):
        if not alive[position]:
            continue
        kept.append(order[position])
        if has_rival:
            alive[position + 1 :] &= ~rivals[position, position + 1 :]
    return kept
