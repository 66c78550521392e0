"""Which detection answers to which label at the working threshold, and what that makes of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.dataset import CLASSES, IGNORE, Boxes, Example
from training.decode import Floats, Found, overlaps

LEAST_IOU: Final = 0.5
_PERSON: Final = CLASSES.index("person")


@dataclass(frozen=True, slots=True)
class Matching:
    """Of one picture; numbers are rows of its labels and of its detections.

    Attributes:
        pairs: Label and detection that belong together, of one class or not.
        missed: Labels that nothing answers to.
        false: Detections that answer to nothing.
    """

    pairs: tuple[tuple[int, int], ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]


def match(labels: Boxes, found: Found) -> Matching:
    """Join labels ``[N,5]`` and detections one to one, where they overlap by half at least.

    Detections of the label's class come first, then those of another: a head beside a helmet is a
    false alarm where the helmet was found too, and a confusion only where it was not. A person on
    a box to be ignored is neither right nor wrong.
    """
    iou = overlaps(labels[:, 1:], found.boxes)
    known = labels[:, 0] != IGNORE
    same = labels[:, :1] == found.classes[None]
    pairs: list[tuple[int, int]] = []
    free_labels, free_found = known.copy(), np.ones(len(found), bool)
    for allowed in (same, ~same):
        for detection in np.argsort(-found.scores, kind="stable").tolist():
            if not free_found[detection]:
                continue
            usable = allowed[:, detection] & free_labels & (iou[:, detection] >= LEAST_IOU)
            if usable.any():
                label = int(np.where(usable, iou[:, detection], -1.0).argmax())
                pairs.append((label, detection))
                free_labels[label] = free_found[detection] = False
    forgiven = (found.classes == _PERSON) & (_covered(found.boxes, labels[~known, 1:]) >= LEAST_IOU)
    return Matching(
        tuple(pairs),
        tuple(np.nonzero(free_labels)[0].tolist()),
        tuple(np.nonzero(free_found & ~forgiven)[0].tolist()),
    )


def matched(
    examples: Sequence[Example], found: Sequence[Found], least_score: float
) -> list[tuple[Example, Found, Matching]]:
    """Every picture with its detections of at least a score, joined."""
    result = []
    for example, everything in zip(examples, found, strict=True):
        seen = everything.where(everything.scores >= least_score)
        result.append((example, seen, match(example.boxes, seen)))
    return result


def confusion(pictures: Sequence[tuple[Example, Found, Matching]]) -> NDArray[np.int64]:
    """How often what is (rows) was taken for what (columns); the last of each is background."""
    nothing = len(CLASSES)
    counts = np.zeros((nothing + 1, nothing + 1), np.int64)
    for example, seen, joined in pictures:
        kinds = example.boxes[:, 0].astype(int)
        for label, detection in joined.pairs:
            counts[kinds[label], seen.classes[detection]] += 1
        for label in joined.missed:
            counts[kinds[label], nothing] += 1
        for detection in joined.false:
            counts[nothing, seen.classes[detection]] += 1
    return counts


def _covered(boxes: Floats, others: Floats) -> Floats:
    """Greatest share of each box ``[N,4]`` that lies in one of ``others``: ``[N]``.

    This is what pycocotools takes for boxes to be ignored, in the place of the overlap.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    share: Floats = (shared / np.maximum(area[:, None], 1e-9)).max(1, initial=0.0)
    return share
