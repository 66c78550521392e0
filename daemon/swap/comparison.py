"""Does a new model still see what its predecessor sees? Counting alone, no input or output.

A predecessor is no ground truth: it blinks, and it has false alarms of its own. So it is believed
only where it agrees with itself, on two frames in a row at about the same place, and of one place
only a few times; and an object counts as the new model's invention only if the predecessor does not
have it at any score.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.detection.detections import Detections
from daemon.detection.iou import iou_matrix
from daemon.frames import Frame

SAME_PLACE_IOU = 0.5
"""Boxes of one object by two models, or on two frames in a row, overlap at least so much; it is
also what counts as found in the usual evaluations (PASCAL VOC)."""

PLACE_COUNTS_MAX = 3
"""So often one place counts: a lamp that the predecessor takes for a helmet all day must not
condemn a better model, and somebody who stands still is one piece of evidence, not a hundred."""

PLACES_MAX = 2000
"""Places remembered, the newest; a comparison of usual length has some hundreds."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of comparing frames.

    Attributes:
        samples: frames compared.
        stable: objects of the predecessor that it found on the frame and on the one before, each
            place counted :data:`PLACE_COUNTS_MAX` times at most.
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


class Places:
    """Where stable objects of each class were counted, and how often."""

    def __init__(self) -> None:
        self._known: dict[str, deque[_Place]] = {}

    def admit(self, class_name: str, box: NDArray[np.float32]) -> bool:
        """Whether an object counts here; if so, it is remembered.

        Args:
            class_name: of the object.
            box: x1, y1, x2, y2 in pixels of the frame.
        """
        known = self._known.setdefault(class_name, deque(maxlen=PLACES_MAX))
        if known:
            overlaps = iou_matrix(box[np.newaxis], np.array([place.box for place in known]))[0]
            nearest = int(overlaps.argmax())
            if overlaps[nearest] >= SAME_PLACE_IOU:
                known[nearest].count += 1
                return known[nearest].count <= PLACE_COUNTS_MAX
        known.append(_Place(box.copy()))
        return True


@dataclass(slots=True)
class _Place:
    box: NDArray[np.float32]
    count: int = 1


def compare(
    before: Detections,
    now: Detections,
    running: Detections,
    places: Places,
    *,
    predecessor_score: float,
    running_score: float,
) -> Tally:
    """Counts one frame.

    Args:
        before: of the predecessor on the frame before, at every score it reports.
        now: of the predecessor on the frame, likewise.
        running: of the running model on the frame, likewise.
        places: of the frames before; takes in this one's.
        predecessor_score: the predecessor's own threshold: less sure objects are not stable.
        running_score: the running model's own: less sure objects are neither found nor extra.
    """
    sure_now = now.scores >= predecessor_score
    sure_before = before.scores >= predecessor_score
    sure_running = running.scores >= running_score
    stable = np.flatnonzero(sure_now & _same(now, before)[:, sure_before].any(axis=1))
    stable = stable[
        [places.admit(now.classes[now.class_ids[row]], now.boxes[row]) for row in stable]
    ]
    alike = _same(now, running)
    return Tally(
        samples=1,
        stable=len(stable),
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
