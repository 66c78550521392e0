"""Person labels from the published COCO model, for photographs that lack them.

A detection becomes a label, a box to be ignored, or nothing. A labelled head or helmet in the
upper part of a detection is independent evidence of a person, so such a detection needs a lower
score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.decode import Found, Picture, concatenate, overlaps, suppress
from training.network import YoloV5s
from training.predict import detect, torch_maps

_COCO_PERSON = 0


@dataclass(frozen=True, slots=True)
class PseudoRule:
    """What a person detection must show.

    Attributes:
        size_px: Input size of the COCO model.
        label: Least score of a label.
        label_with_head: Least score of a label that has a labelled head in its upper part.
        ignore: Least score of a box to be ignored.
        most_iou: Overlap above which the weaker of two detections is a repeat.
    """

    size_px: int = 640
    label: float = 0.45
    label_with_head: float = 0.25
    ignore: float = 0.12
    most_iou: float = 0.6


def find_persons(network: YoloV5s, picture: Picture, rule: PseudoRule) -> Found:
    """Persons in a picture and in its mirror image, merged."""
    width = picture.shape[1]
    maps = torch_maps(network)
    straight = detect(picture, rule.size_px, maps, rule.ignore)
    mirrored = detect(np.ascontiguousarray(picture[:, ::-1]), rule.size_px, maps, rule.ignore)
    back = mirrored.boxes.copy()
    back[:, [0, 2]] = width - mirrored.boxes[:, [2, 0]]
    both = concatenate([straight, Found(back, mirrored.scores, mirrored.classes)])
    return suppress(both.where(both.classes == _COCO_PERSON), rule.most_iou)


def has_head(persons: NDArray[np.float32], heads: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether a head's centre lies in the upper 40 % of each person ``[N,4]``."""
    if not len(persons) or not len(heads):
        return np.zeros(len(persons), bool)
    centre = (heads[:, :2] + heads[:, 2:]) / 2
    low = persons[:, None, :2]
    high = persons[:, None, 2:].copy()
    high[..., 1] = low[..., 1] + 0.4 * (high[..., 1] - low[..., 1])
    within: NDArray[np.bool_] = (centre > low) & (centre < high)
    inside: NDArray[np.bool_] = np.any(np.all(within, axis=2), axis=1)
    return inside


def judge(
    persons: Found, heads: NDArray[np.float32], rule: PseudoRule
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Split detections into labels and boxes to be ignored, both ``[N,4]``.

    Args:
        persons: Detections with at least the score ``rule.ignore``.
        heads: Corners of labelled heads and helmets.
        rule: The bounds.
    """
    needed = np.where(has_head(persons.boxes, heads), rule.label_with_head, rule.label)
    sure = persons.scores >= needed
    doubtful = ~sure & (persons.scores >= rule.ignore)
    if sure.any() and doubtful.any():
        # A doubtful repeat of a sure person would wipe out that person's own training signal.
        repeat = overlaps(persons.boxes, persons.boxes[sure]).max(1) > rule.most_iou
        doubtful &= ~repeat
    return persons.boxes[sure], persons.boxes[doubtful]
