"""How much of a difference in mAP50 hangs on which photographs happen to be in ``val``: bootstrap.

Average precision as pycocotools computes it (101 points, precision made monotonous), with a weight
for each picture: drawing pictures with replacement only changes the weights, so that matching is
done once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from daemon.detection.iou import iou_matrix
from scripts.selection.interval import Interval

Floats = NDArray[np.float64]
Boxes = NDArray[np.float32]

MATCH_IOU: Final = 0.5
MOST_DETECTIONS: Final = 100
"""A picture and class; the strongest count, as in the evaluation."""

_RECALLS: Final = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class Matched:
    """Detections of one class on all pictures, strongest first, and what there was to find.

    Attributes:
        pictures: number of each detection's picture.
        hits: whether each found a label that no stronger one had found.
        labels: labels of each picture.
    """

    pictures: NDArray[np.int64]
    hits: NDArray[np.bool_]
    labels: NDArray[np.int64]


def match(truth: Sequence[Boxes], boxes: Sequence[Boxes], scores: Sequence[Boxes]) -> Matched:
    """Matches one class's detections with its labels.

    Args:
        truth: labels of each picture, shape (n, 4), corners in pixels.
        boxes: detections of each picture, shape (m, 4), likewise.
        scores: of them, shape (m,).
    """
    pictures, hits, all_scores = [], [], []
    for number, (labels, found, strength) in enumerate(zip(truth, boxes, scores, strict=True)):
        order = np.argsort(-strength, kind="stable")[:MOST_DETECTIONS]
        pictures.append(np.full(len(order), number))
        hits.append(_hits(iou_matrix(found[order], labels)))
        all_scores.append(strength[order])
    ranked = np.argsort(-np.concatenate(all_scores), kind="stable")
    return Matched(
        np.concatenate(pictures)[ranked],
        np.concatenate(hits)[ranked],
        np.array([len(labels) for labels in truth]),
    )


def average_precision(matched: Matched, weights: Floats) -> float:
    """Average precision where each picture counts as often as its weight says.

    Args:
        matched: one class's detections.
        weights: of each picture; all ones give the plain figure.

    Returns:
        0 to 1; NaN if no weighted picture has a label.
    """
    labels = float(matched.labels @ weights)
    if labels == 0:
        return float("nan")
    weight = weights[matched.pictures]
    seen = np.cumsum(weight)
    found = np.cumsum(weight * matched.hits)
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    at = np.searchsorted(found / labels, _RECALLS, side="left")
    return float(envelope[at].mean())


def bootstrap(
    first: Sequence[Matched], second: Sequence[Matched], *, draws: int = 1000, seed: int = 0
) -> Interval:
    """Mean difference in average precision, and between what 95 % of resampled ``val`` put it.

    Args:
        first: each seed's and class's detections.
        second: of the same seeds and classes, in the same order, on the same pictures.
        draws: resamples.
        seed: of the draws.
    """
    number = len(first[0].labels)

    def difference(weights: Floats) -> float:
        """NaN where a draw shows no label of any of them."""
        found = [
            average_precision(a, weights) - average_precision(b, weights)
            for a, b in zip(first, second, strict=True)
        ]
        told = [each for each in found if not math.isnan(each)]
        return float(np.mean(told)) if told else math.nan

    chance = np.random.default_rng(seed)
    drawn = [
        difference(
            np.bincount(chance.integers(number, size=number), minlength=number).astype(float)
        )
        for _ in range(draws)
    ]
    told = [each for each in drawn if not math.isnan(each)]
    low, high = np.quantile(told, [0.025, 0.975]).tolist() if told else (math.nan, math.nan)
    return Interval(difference(np.ones(number)), low, high)


def _hits(overlaps: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Strongest first, each takes the label it overlaps most of those still free."""
    hits = np.zeros(len(overlaps), np.bool_)
    free = np.ones(overlaps.shape[1], np.bool_)
    for row, overlap in enumerate(overlaps):
        allowed = np.where(free, overlap, 0.0)
        if len(allowed) and allowed.max() >= MATCH_IOU:
            free[int(allowed.argmax())] = False
            hits[row] = True
    return hits
