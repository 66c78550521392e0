"""Non-maximum suppression: one box for one object.

Greedy and by class, as in Neubeck and Van Gool, "Efficient Non-Maximum Suppression" (ICPR 2006):
the strongest box stays, those of its class that overlap it more than the threshold go, and so on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.iou import iou_matrix

MAX_CANDIDATES = 1000
"""Strongest candidates that are looked at. Pairs grow with the square: 1000 are 4 MB a matrix."""

MAX_RESULTS = 300
"""Most boxes kept: what COCO's and YOLOv5's evaluation allow for one picture."""


def suppress(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int32],
    *,
    iou_threshold: float,
    max_candidates: int = MAX_CANDIDATES,
    max_results: int = MAX_RESULTS,
) -> NDArray[np.intp]:
    """Which boxes stay.

    Args:
        boxes: shape (n, 4): x1, y1, x2, y2.
        scores: shape (n,).
        class_ids: shape (n,); boxes of different classes never suppress each other.
        iou_threshold: a weaker box of the same class with a greater IoU goes.
        max_candidates: the weakest beyond so many are dropped unseen.
        max_results: most boxes returned.

    Returns:
        Indices into the arguments, strongest first; of equal scores the earlier comes first.
    """
    order = np.argsort(-scores, kind="stable")[:max_candidates]
    if len(order) < 2:
        return order[:max_results]
    ranked_boxes, ranked_ids = boxes[order], class_ids[order]
    rivals = iou_matrix(ranked_boxes, ranked_boxes) > iou_threshold
    rivals &= ranked_ids[:, np.newaxis] == ranked_ids
    alive = np.ones(len(order), np.bool_)
    kept: list[int] = []
    # Only boxes with a weaker rival can remove one; all others need no look.
    for index, has_rival in enumerate(np.triu(rivals, 1).any(axis=1).tolist()):
        if not alive[index]:
            continue
        kept.append(index)
        if len(kept) == max_results:
            break
        if has_rival:
            alive[index + 1 :] &= ~rivals[index, index + 1 :]
    return order[kept]
