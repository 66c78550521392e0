"""The old model's look at a sample of the frames, on a thread that the loop never waits for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from daemon.captures.disagreement import Disagreement, find_disagreement
from daemon.detection.detections import Detections
from daemon.detection.detector import Detector
from daemon.frames import Frame
from daemon.health import LATENCIES_KEPT, percentiles
from daemon.swap.comparison import Pair, PairSampler, Places, Tally, compare
from daemon.swap.loader import LoadedModel
from updater.trial import Comparison


class PredecessorLook:
    """Compares the running model with its predecessor while a trial is young.

    The loop offers frames, another thread works on them. What comes while it works is not taken:
    the loop never waits, and two frames at most are held.

    Args:
        every_s: least seconds between two pairs of frames.
        pause: returns when the loop has nothing to do.
    """

    def __init__(self, *, every_s: float, pause: Callable[[], None]) -> None:
        self.done = False
        self._predecessor: LoadedModel | None = None
        self._pause = pause
        self._sampler = PairSampler(every_s)
        self._pair: Pair | None = None
        self._free = threading.Event()
        self._free.set()
        self._tally = Tally()
        self._places = Places()
        self._invoke_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)

    def begin(self, predecessor: LoadedModel) -> None:
        """The other thread's part: the predecessor is there."""
        self._predecessor = predecessor

    @property
    def invoke_ms(self) -> float:
        """The predecessor's median time in here; 0 if it has not run."""
        return percentiles(self._invoke_ms).p50

    def offer(self, frame: Frame, found: Detections | None, now_s: float) -> bool:
        """The loop's part: takes in a frame that was looked at; returns at once.

        Args:
            frame: the frame.
            found: on it by the running model; None if inference was spared.
            now_s: monotonic time.

        Returns:
            Whether there is work for :meth:`work` now.
        """
        if self._predecessor is None or not self._free.is_set():
            return False
        pair = self._sampler.looked(frame, found, now_s)
        if pair is None:
            return False
        self._free.clear()
        self._pair = pair
        return True

    def work(self, running: Detector) -> Disagreement | None:
        """The other thread's part: compares what was offered, if anything was.

        Args:
            running: the running model; only its threshold is read.

        Returns:
            The frame, if the two models do not see the same in it.

        Raises:
            SitewatchError: the predecessor cannot look at a frame; the comparison should end.
        """
        pair, self._pair = self._pair, None
        if pair is None or self._predecessor is None:
            return None
        predecessor = self._predecessor.detector
        looks = []
        for frame in (pair.before, pair.now):
            self._pause()
            looks.append(predecessor.detect(frame.picture))
            self._invoke_ms.append(predecessor.timing.invoke_ms)
        running_score, predecessor_score = own_score(running), own_score(predecessor)
        self._tally += compare(
            looks[0],
            looks[1],
            pair.running,
            self._places,
            predecessor_score=predecessor_score,
            running_score=running_score,
        )
        found = find_disagreement(
            pair.now,
            pair.running,
            looks[1],
            running_score=running_score,
            other_score=predecessor_score,
            # In the predecessor's input size: the running model belongs to the loop, and the hash
            # is that of a far smaller picture anyway.
            small=lambda: predecessor.small(pair.now.picture),
        )
        self._free.set()
        return found

    def release(self) -> LoadedModel | None:
        """The other thread's part: ends the comparison; the predecessor, if there is one, is free.

        The figures stay.
        """
        predecessor, self._predecessor = self._predecessor, None
        self._pair = None
        self.done = True
        return predecessor

    def report(self) -> Comparison:
        """The figures so far."""
        tally = self._tally
        return Comparison(tally.samples, tally.stable, tally.found, tally.extra, self.done)


def own_score(detector: Detector) -> float:
    """From where on a model is sure of what it finds: its makers' word, or the configured one.

    The detector itself reports weaker detections too, for the tracker and the captures.
    """
    return max(detector.makers_thresholds.score, detector.score_threshold)
