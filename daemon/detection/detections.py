"""What the detector found in one frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.frames import Box

HELMET = "helmet"
HEAD = "head"
PERSON = "person"


@dataclass(frozen=True, slots=True)
class Detection:
    """One box of one class; a row of :class:`Detections` for those who read one by one."""

    class_name: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True)
class Detections:
    """All boxes of one frame, strongest first.

    Attributes:
        boxes: float32, shape (n, 4): x1, y1, x2, y2 in pixels of the original frame, inside it.
        scores: float32, shape (n,), 0 to 1: objectness times class probability.
        class_ids: int32, shape (n,), index into ``classes``.
        classes: the model's class names, in its order.
        width: width of the original frame in pixels.
        height: height of the original frame in pixels.
        model_version: version of the bundle that produced them.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    classes: tuple[str, ...]
    width: int
    height: int
    model_version: str

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        for (x1, y1, x2, y2), score, class_id in zip(
            self.boxes.tolist(), self.scores.tolist(), self.class_ids.tolist(), strict=True
        ):
            yield Detection(self.classes[class_id], score, Box(x1, y1, x2, y2))

    def of_class(self, class_name: str) -> tuple[Detection, ...]:
        """The detections of one class, strongest first; empty if the model has no such class."""
        return tuple(found for found in self if found.class_name == class_name)
