"""What people changed of the model's pre-labels: its errors on what cameras really see. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.iou import iou
from scripts.labelling.picture import Box

#: Intersection over union from which a box is about the same object (PASCAL VOC's).
SAME_OBJECT: float = 0.5


@dataclass(frozen=True, slots=True)
class Review:
    """Boxes by what became of them, each by class.

    Attributes:
        kept: Pre-labels that a person left there, perhaps moved.
        relabelled: Pre-labels of another class than the person's, by the person's class.
        removed: Pre-labels where the person saw nothing.
        added: Labels that the model had missed.
    """

    kept: Counter[str]
    relabelled: Counter[str]
    removed: Counter[str]
    added: Counter[str]


def review(pairs: Sequence[tuple[Sequence[Box], Sequence[Box]]]) -> Review:
    """Compare pre-labels with labels.

    Args:
        pairs: Of each picture the model's boxes and the person's, in pixels.
    """
    made = Review(Counter(), Counter(), Counter(), Counter())
    for proposed, labelled in pairs:
        ranked = sorted(
            (
                (iou(box.corners, other.corners), i, j)
                for i, box in enumerate(proposed)
                for j, other in enumerate(labelled)
            ),
            # Of equal overlaps the one of the right class first.
            key=lambda each: (-each[0], proposed[each[1]].name != labelled[each[2]].name),
        )
        used, met = set[int](), set[int]()
        for share, i, j in ranked:
            if share < SAME_OBJECT:
                break
            if i in used or j in met:
                continue
            used.add(i)
            met.add(j)
            same = proposed[i].name == labelled[j].name
            (made.kept if same else made.relabelled)[labelled[j].name] += 1
        made.removed.update(b.name for i, b in enumerate(proposed) if i not in used)
        made.added.update(b.name for j, b in enumerate(labelled) if j not in met)
    return made
