"""Does a new model still see what its predecessor sees? Counting alone, no input or output.

A predecessor is no ground truth: it blinks, and it has false alarms of its own. So it is believed
only where it agrees with itself, on two frames in a row at about the same place; and an object
counts as the new model's invention only if the predecessor does not have it at any score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.detection.detections import Detections
from daemon.detection.iou import iou_matrix
from daemon.frames import Frame

SAME_PLACE_IOU = 0.5
"""Boxes of one object by two models, or on two frames in a row, overlap at least so much; it is
also what counts as found in the usual evaluations (PASCAL VOC)."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of comparing frames.

    Attributes:
        samples: frames compared.
        stable: objects of the predecessor that it found on the frame and on the one before.
        found: of these, found by the running model too.
        extra: objects of the running model that the predecessor does not have at any score.
    """

    samples: int = 0
    stable: int = 0
    found: int = 0
    extra: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.samples + other.samples,
            self.stable + other.stable,
            self.found + other.found,
            self.extra + other.extra,
        )


def compare(
    before: Detections,
    now: Detections,
    running: Detections,
    *,
    predecessor_score: float,
    running_score: float,
) -> Tally:
    """Counts one frame.

    Args:
        before: of the predecessor on the frame before, at every score it reports.
        now: of the predecessor on the frame, likewise.
        running: of the running model on the frame, likewise.
        predecessor_score: the predecessor's own threshold: less sure objects are not stable.
        running_score: the running model's own: less sure objects are neither found nor extra.
    """
    sure_now = now.scores >= predecessor_score
    sure_before = before.scores >= predecessor_score
    sure_running = running.scores >= running_score
    stable = sure_now & _same(now, before)[:, sure_before].any(axis=1)
    alike = _same(now, running)
    return Tally(
        samples=1,
        stable=int(stable.sum()),
        found=int(alike[stable][:, sure_running].any(axis=1).sum()),
        extra=int((sure_running & ~alike.any(axis=0)).sum()),
    )


def _same(some: Detections, others: Detections) -> NDArray[np.bool_]:
    """Which of some are the same object as which of the others: shape (some, others).

    Classes are compared by name: two models may list them in another order.
    """
    number = {name: index for index, name in enumerate(others.classes)}
    renumbered = np.array([number.get(name, -1) for name in some.classes], np.int64)
    same_class = renumbered[some.class_ids][:, np.newaxis] == others.class_ids
    same: NDArray[np.bool_] = same_class & (iou_matrix(some.boxes, others.boxes) >= SAME_PLACE_IOU)
    return same


@dataclass(frozen=True, slots=True)
class Pair:
    """Two frames in a row for the predecessor to look at.

    Attributes:
        before: the first of them.
        now: the second.
        running: what the running model found on the second.
    """

    before: Frame
    now: Frame
    running: Detections


class PairSampler:
    """Picks two inferred frames in a row, every so often.

    On a still scene a single frame is looked at now and then, never two in a row: no pair comes of
    it, and nothing is said about either model.

    Args:
        every_s: least seconds between two pairs.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._before: Frame | None = None
        self._next_s = 0.0

    def looked(self, frame: Frame, found: Detections | None, now_s: float) -> Pair | None:
        """Takes in a frame.

        Args:
            frame: that was looked at.
            found: on it, None if inference was spared.
            now_s: monotonic time.
        """
        before, self._before = self._before, None
        if found is None or now_s < self._next_s:
            return None
        if before is None:
            self._before = frame
            return None
        self._next_s = now_s + self._every_s
        return Pair(before, frame, found)
