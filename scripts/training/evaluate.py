"""Evaluate a model, float or int8, on one part of a data set."""

from __future__ import annotations

from collections.abc import Sequence

from training.dataset import CLASSES, Example
from training.metrics import average_precision, summary
from training.predict import Maps, detect
from training.report import progress

#: The classes that decide; ``person`` is judged on pseudo-labels only.
MAIN_CLASSES = ("helmet", "head")
_LEAST_SCORE = 0.005


def evaluate(examples: Sequence[Example], size_px: int, maps: Maps) -> dict[str, float]:
    """mAP50 and mAP50-95 by class at one input size, pictures letterboxed."""
    found = [
        detect(example.picture, size_px, maps, _LEAST_SCORE)
        for example in progress(examples, f"evaluate {size_px}")
    ]
    scores = average_precision([example.boxes for example in examples], found, CLASSES)
    return summary(scores, MAIN_CLASSES)
