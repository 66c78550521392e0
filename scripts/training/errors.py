"""What a model gets wrong at its working threshold: misses, confusions, false alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.dataset import CLASSES, Example
from training.decode import Found, overlaps

#: Upper bounds of the size groups: the shorter side of a box, in pixels of the photograph.
SIZE_GROUPS_PX = (16, 32, 64, 10_000)
_MATCH_IOU = 0.5
_HELMET_OR_HEAD = (CLASSES.index("helmet"), CLASSES.index("head"))


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """Helmets and heads of a set of pictures, sorted by what became of them.

    Attributes:
        found, missed, confused: For each size group (``"<16"`` …): seen rightly, not at all, or
            as the other class.
        false_alarms: Detections, by class, that no label of either class explains.
        strongest: The strongest of those: picture, class, score and box.
    """

    found: dict[str, int]
    missed: dict[str, int]
    confused: dict[str, int]
    false_alarms: dict[str, int]
    strongest: list[tuple[str, str, float, list[int]]]


def count_errors(
    examples: Sequence[Example], found: Sequence[Found], least_score: float
) -> ErrorCount:
    """Sort labels and detections (helmet and head only) at one threshold.

    A label is found when the best-scoring detection over it (IoU at least 0.5) has its class.
    """
    tallies: dict[str, Counter[str]] = {
        name: Counter() for name in ("found", "missed", "confused", "false")
    }
    strongest: list[tuple[str, str, float, list[int]]] = []
    for example, everything in zip(examples, found, strict=True):
        relevant = np.isin(everything.classes, _HELMET_OR_HEAD)
        seen = everything.where(relevant & (everything.scores >= least_score))
        labels = example.boxes[np.isin(example.boxes[:, 0], _HELMET_OR_HEAD)]
        iou = overlaps(labels[:, 1:], seen.boxes)
        for label, row in zip(labels, iou, strict=True):
            group = size_group(float(min(label[3] - label[1], label[4] - label[2])))
            near = np.nonzero(row >= _MATCH_IOU)[0]
            if not len(near):
                tallies["missed"][group] += 1
            elif seen.classes[near[seen.scores[near].argmax()]] == int(label[0]):
                tallies["found"][group] += 1
            else:
                tallies["confused"][group] += 1
        alone = iou.max(0, initial=0.0) < _MATCH_IOU
        for box, score, label in zip(
            seen.boxes[alone], seen.scores[alone], seen.classes[alone], strict=True
        ):
            name = CLASSES[int(label)]
            tallies["false"][name] += 1
            corners = [round(v) for v in box.tolist()]
            strongest.append((example.name, name, round(float(score), 3), corners))
    strongest.sort(key=lambda entry: -entry[2])
    return ErrorCount(
        found=dict(tallies["found"]),
        missed=dict(tallies["missed"]),
        confused=dict(tallies["confused"]),
        false_alarms=dict(tallies["false"]),
        strongest=strongest[:24],
    )


def size_group(side_px: float) -> str:
    """Name of the group of a box by its shorter side."""
    for bound in SIZE_GROUPS_PX[:-1]:
        if side_px < bound:
            return f"<{bound}"
    return f">={SIZE_GROUPS_PX[-2]}"


@dataclass(frozen=True, slots=True)
class WorkingPoint:
    """Precision and recall over helmet and head at one threshold."""

    score: float
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)


def working_points(
    examples: Sequence[Example], found: Sequence[Found], scores: Sequence[float]
) -> list[WorkingPoint]:
    """Precision and recall at each of ``scores``; a confusion is a miss and a false alarm."""
    points = []
    for score in scores:
        errors = count_errors(examples, found, score)
        right, confused = sum(errors.found.values()), sum(errors.confused.values())
        labels = right + confused + sum(errors.missed.values())
        claims = right + confused + sum(errors.false_alarms.values())
        points.append(WorkingPoint(score, right / max(claims, 1), right / max(labels, 1)))
    return points
