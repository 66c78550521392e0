"""Average precision by pycocotools, class by class."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training.dataset import IGNORE, Boxes
from training.decode import Found

_MOST_DETECTIONS = 100


@dataclass(frozen=True, slots=True)
class Precision:
    """Average precision of one class; NaN where the class does not occur."""

    map50: float
    map50_95: float


def average_precision(
    truth: Sequence[Boxes], found: Sequence[Found], classes: Sequence[str]
) -> dict[str, Precision]:
    """Compare detections with labels, picture by picture.

    Args:
        truth: For each picture ``[N,5]``: class and corners. A box with the class ``IGNORE``
            forgives detections of the class ``person`` on it (it comes from pseudo-labels).
        found: Detections of the same pictures.
        classes: Names, in order of their numbers.

    Returns:
        Name to precision (101-point interpolation, at most 100 detections a picture).
    """
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    person = classes.index("person") if "person" in classes else None
    for image, boxes in enumerate(truth, 1):
        for label, x1, y1, x2, y2 in boxes.tolist():
            ignored = int(label) == IGNORE
            if ignored and person is None:
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": (person if ignored else int(label)),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(ignored),
                }
            )
    for image, detections in enumerate(found, 1):
        for (x1, y1, x2, y2), score, label in zip(
            detections.boxes.tolist(), detections.scores, detections.classes, strict=True
        ):
            results.append(
                {
                    "image_id": image,
                    "category_id": int(label),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(score),
                }
            )
    if not results:
        return {name: Precision(0.0, 0.0) for name in classes}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        labels = COCO()
        labels.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(1, len(truth) + 1)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
            "annotations": annotations,
        }
        labels.createIndex()
        evaluation = COCOeval(labels, labels.loadRes(results), "bbox")
        evaluation.params.maxDets = [1, 10, _MOST_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
    # [IoU thresholds, recall, class, area range, detection limit]; -1 where there is no label
    table = evaluation.eval["precision"][:, :, :, 0, -1]
    scores = {}
    for number, name in enumerate(classes):
        values = np.where(table[:, :, number] < 0, np.nan, table[:, :, number])
        scores[name] = Precision(float(values[0].mean()), float(values.mean()))
    return scores


def summary(scores: dict[str, Precision], main: Sequence[str]) -> dict[str, float]:
    """Flat figures for a report line: each class, and the mean of the classes ``main``."""
    flat = {
        "map50": float(np.mean([scores[name].map50 for name in main])),
        "map50_95": float(np.mean([scores[name].map50_95 for name in main])),
    }
    for name, value in scores.items():
        flat[f"{name}_map50"] = value.map50
        flat[f"{name}_map50_95"] = value.map50_95
    return flat
