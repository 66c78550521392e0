"""Evaluate a model, float or int8, on one part of a data set."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from training.dataset import CLASSES, Example
from training.decode import Found
from training.metrics import Evaluation, judge, summary
from training.predict import Maps, detect
from training.report import progress

#: The classes that decide; ``person`` is judged on pseudo-labels only.
MAIN_CLASSES = ("helmet", "head")
_LEAST_SCORE = 0.005


def find_all(examples: Sequence[Example], size_px: int, maps: Maps) -> list[Found]:
    """Detections of every picture at one input size, down to very low scores."""
    return [
        detect(example.picture, size_px, maps, _LEAST_SCORE)
        for example in progress(examples, f"evaluate {size_px}")
    ]


def evaluate(examples: Sequence[Example], size_px: int, maps: Maps) -> dict[str, float]:
    """mAP50 and mAP50-95 by class at one input size, pictures letterboxed."""
    return figures(examples, find_all(examples, size_px, maps))


def figures(examples: Sequence[Example], found: Sequence[Found]) -> dict[str, float]:
    """mAP50 and mAP50-95 of detections, by class."""
    return summary(judged(examples, found).precision, MAIN_CLASSES)


def judged(examples: Sequence[Example], found: Sequence[Found]) -> Evaluation:
    """Detections against the labels, by class."""
    return judge([example.boxes for example in examples], found, CLASSES)


def invoke_ms(maps: Maps, size_px: int, rounds: int = 60) -> float:
    """Least milliseconds of one run of the model: what it costs where nothing else runs."""
    noise = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3), np.uint8)
    times = []
    for _ in range(rounds + 3):
        began = time.perf_counter()
        maps(noise)
        times.append(time.perf_counter() - began)
    return 1000 * min(times[3:])
