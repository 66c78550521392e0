"""Boxes over the threshold, between decoding and suppression.

Plain lists, not arrays: an ordinary frame has none, or a few dozen. Right after the model has run,
no numpy routine is in the processor's caches, and a first call of one costs 10 to 30 µs, in which
plain Python looks at a dozen boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FEW = 64
"""Up to so many boxes are handled one by one; more are worth numpy's calls."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """One object gives several; a box counts once for each class that reaches the threshold.

    Attributes:
        boxes: x1, y1, x2, y2 of each, in pixels of the model's input.
        scores: objectness times class probability of each.
        class_ids: of each, index into the model's classes.
    """

    boxes: Sequence[Sequence[float]]
    scores: Sequence[float]
    class_ids: Sequence[int]

    def __len__(self) -> int:
        return len(self.scores)


NOTHING = Candidates((), (), ())
"""What most frames of most sites give."""
