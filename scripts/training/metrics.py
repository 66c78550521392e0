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

from scripts.selection.resample import Matched
from training.dataset import IGNORE, Boxes
from training.decode import Found

_MOST_DETECTIONS = 100


@dataclass(frozen=True, slots=True)
class Precision:
    """Average precision of one class; NaN where the class does not occur.

    Attributes:
        map50, map50_95: At IoU 0.5, and the mean over 0.5 to 0.95.
        curve: At IoU 0.5, interpolated precision at the recalls 0, 0.01 … 1; empty where the class
            does not occur.
    """

    map50: float
    map50_95: float
    curve: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Of a model on some pictures, by class name; ``matched`` at IoU 0.5."""

    precision: dict[str, Precision]
    matched: dict[str, Matched]


def average_precision(
    truth: Sequence[Boxes], found: Sequence[Found], classes: Sequence[str]
) -> dict[str, Precision]:
    """`judge`, without what the figures follow from."""
    return judge(truth, found, classes).precision


def judge(truth: Sequence[Boxes], found: Sequence[Found], classes: Sequence[str]) -> Evaluation:
    """Compare detections with labels, picture by picture.

    Args:
        truth: For each picture ``[N,5]``: class and corners. A box with the class ``IGNORE``
            forgives detections of the class ``person`` on it (it comes from pseudo-labels).
        found: Detections of the same pictures.
        classes: Names, in order of their numbers.

    Returns:
        By name, with 101-point interpolation and at most 100 detections a picture.
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
        return _nothing_found(truth, classes)
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
    scores, matched = {}, {}
    for number, name in enumerate(classes):
        values = np.where(table[:, :, number] < 0, np.nan, table[:, :, number])
        curve = () if np.isnan(values[0]).any() else tuple(values[0].tolist())
        scores[name] = Precision(float(values[0].mean()), float(values.mean()), curve)
        matched[name] = _matched(evaluation, number, len(truth))
    return Evaluation(scores, matched)


def _matched(evaluation: COCOeval, category: int, pictures: int) -> Matched:
    """Of one class, from pycocotools' own matching: area range "all", IoU 0.5."""
    wanted = list(evaluation.params.areaRng[0])
    labels = np.zeros(pictures, np.int64)
    scores, hits, where = [], [], []
    for each in evaluation.evalImgs:
        if each is None or each["category_id"] != category or list(each["aRng"]) != wanted:
            continue
        picture = each["image_id"] - 1
        labels[picture] = int((np.asarray(each["gtIgnore"]) == 0).sum())
        counted = ~np.asarray(each["dtIgnore"][0], bool)
        scores.append(np.asarray(each["dtScores"], np.float64)[counted])
        hits.append(np.asarray(each["dtMatches"][0])[counted] > 0)
        where.append(np.full(int(counted.sum()), picture, np.int64))
    if not scores:
        return Matched(np.zeros(0, np.int64), np.zeros(0, bool), labels)
    order = np.argsort(-np.concatenate(scores), kind="mergesort")  # as pycocotools sorts
    return Matched(np.concatenate(where)[order], np.concatenate(hits)[order], labels)


def _nothing_found(truth: Sequence[Boxes], classes: Sequence[str]) -> Evaluation:
    matched = {}
    for number, name in enumerate(classes):
        labels = [int((boxes[:, 0] == number).sum()) for boxes in truth]
        nothing = np.zeros(0, np.int64), np.zeros(0, bool)
        matched[name] = Matched(*nothing, np.asarray(labels, np.int64))
    return Evaluation({name: Precision(0.0, 0.0) for name in classes}, matched)


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
