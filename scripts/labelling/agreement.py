"""Several people's labels of one picture: one of them, or none. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.labelling.picture import Box, BrokenLabelError, same_boxes


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one person drew.

    Attributes:
        boxes: All in one unit.
        reference: Whether the tool marks it as the truth (ground truth, benchmark).
        tolerance: What half a pixel is in that unit.
    """

    boxes: tuple[Box, ...]
    reference: bool = False
    tolerance: float = 0.5


def agreed(opinions: Sequence[Opinion], hint: str) -> tuple[Box, ...]:
    """The boxes that hold: those marked as the truth, or those on which everybody agrees.

    Args:
        opinions: At least one.
        hint: How to decide in the tool.

    Raises:
        BrokenLabelError: They differ; choosing would be guessing.
    """
    chosen = [each for each in opinions if each.reference] or list(opinions)
    first = chosen[0]
    if not all(same_boxes(first.boxes, o.boxes, within=first.tolerance) for o in chosen[1:]):
        raise BrokenLabelError(f"{len(chosen)} people's labels differ: {hint}")
    return first.boxes
