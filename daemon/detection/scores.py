"""Scores over the threshold, and candidates from arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.detection.candidates import Candidates
from daemon.detection.nms import MAX_CANDIDATES
from updater.errors import ModelError


def scored(
    classes: NDArray[np.float64],
    objectness: NDArray[np.float64] | None,
    least: float,
    *,
    clamp: bool,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Rows, classes and scores of what reaches the threshold, at most MAX_CANDIDATES of them.

    Args:
        classes: probabilities, shape (n, classes).
        objectness: shape (n,), or None where the family has none.
        least: the threshold.
        clamp: values may lie over 1 (rounding of the last scale) and count as 1.
    """
    if clamp:
        classes = np.minimum(classes, 1.0)
        objectness = None if objectness is None else np.minimum(objectness, 1.0)
    scores = classes if objectness is None else classes * objectness[:, np.newaxis]
    rows, class_ids = (scores >= least).nonzero()
    chosen: NDArray[np.float64] = scores[rows, class_ids]
    if len(chosen) > MAX_CANDIDATES:
        strongest = np.argsort(-chosen, kind="stable")[:MAX_CANDIDATES]
        return rows[strongest], class_ids[strongest], chosen[strongest]
    return rows, class_ids, chosen


def from_arrays(
    centre: NDArray[np.float64],
    half: NDArray[np.float64],
    scores: NDArray[np.float64],
    class_ids: NDArray[np.intp],
) -> Candidates:
    """Candidates from centres and half sides, both of shape (n, 2)."""
    boxes = np.concatenate((centre - half, centre + half), axis=1)
    return Candidates(boxes.tolist(), scores.tolist(), class_ids.tolist())


def check_finite(boxes: Sequence[Sequence[float]]) -> None:
    """Refuses what only a float model can give.

    Raises:
        ModelError: a number is not finite.
    """
    if not all(math.isfinite(number) for box in boxes for number in box):
        raise ModelError(
            "the model gave a box that is not finite",
            hint="The model is damaged or does not fit the runtime; try another runtime",
        )
