"""Keeps the daemon on the model that ``current`` names, while frames go on.

The loop looks at frames and calls in between; a thread of its own does all that takes time. What
the two share is a slot each way: a model to run from the next frame on, two frames to compare.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from daemon.captures.disagreement import Disagreement
from daemon.config import ModelConfig, SwapConfig
from daemon.detection.detections import Detections
from daemon.detection.detector import Detector
from daemon.frames import Frame, Picture
from daemon.health import LATENCIES_KEPT, percentiles
from daemon.memory import give_back
from daemon.swap.loader import LoadedModel, load_beside
from daemon.swap.predecessor import PredecessorLook
from daemon.swap.quiet import QuietMoments
from daemon.swap.start import Start
from daemon.swap.trial import TrialRun
from daemon.swap.watcher import POLL_EVERY_S, Fingerprint, LinkWatcher, fingerprint
from updater.errors import SitewatchError
from updater.store.reader import Active, active
from updater.trial import Trial

STOP_S: Final = 1.0
"""How long a stop waits for the thread; it may be inside the runtime, which nothing breaks off."""

KEEP_S: Final = 2.0
"""How long a predecessor stays after the verdict: of a rollback the journal knows before the link
does, and the way back is short while the old model is still there."""

_log = logging.getLogger(__name__)


class ModelSwapper:
    """Owns the models: the running one, one on its way, and a predecessor while it is compared.

    The loop reads :attr:`pending` and calls :meth:`adopt` between two frames, :meth:`looked` or
    :meth:`failed` after each, takes the :meth:`disagreement`, and calls :meth:`idle` before it
    waits. The rest may be called from any thread.

    Args:
        start: what runs first.
        config: of the comparison.
        model: the model's section as it is at the moment, for models loaded later.
    """

    def __init__(
        self, start: Start, config: SwapConfig, *, model: Callable[[], ModelConfig]
    ) -> None:
        self.running = start.model
        self.pending: LoadedModel | None = None
        self._link = start.link
        self._trial = start.trial
        self._refused = start.trial.digest if start.trial and start.trial.error else ""
        self._config = config
        self._model = model
        self._quiet = QuietMoments()
        self._wake = threading.Event()
        self._adopted = threading.Event()
        self._stopping = False
        self._kept: LoadedModel | None = None
        self._kept_until_s = 0.0
        self._seen: Fingerprint | None = None
        self._picture: Picture | None = None
        self._invoke_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)
        # One frame at most waits for the loop; where a newer one comes first, it is enough.
        self._disagreements: deque[Disagreement] = deque(maxlen=1)
        self._watcher = None if self._link is None else LinkWatcher(self._link, self._wake.set)
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def start(self) -> None:
        """Begins to follow the link; a model that the configuration names itself stays."""
        if self._watcher is not None:
            self._watcher.start()
            self._thread.start()

    def stop(self) -> None:
        """Ends, and frees the models."""
        self._stopping = True
        if self._watcher is not None:
            self._watcher.stop()
        self._quiet.close()
        self._adopted.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        if self._thread.is_alive():
            _log.warning("a model is still being loaded; leaving it behind")
            return
        self._end_trial()
        self._free_kept()
        for model in (self.running, self.pending):
            if model is not None:
                model.close()

    @property
    def detector(self) -> Detector:
        """The running model."""
        return self.running.detector

    @property
    def on_trial(self) -> bool:
        """Whether somebody waits for the figures of a trial."""
        return self._trial is not None

    def trial(self) -> Trial | None:
        """The figures of the release on trial; None if there is none."""
        trial = self._trial
        return None if trial is None else trial.report()

    def adopt(self) -> None:
        """The loop's part: what is :attr:`pending` runs from the next frame on."""
        if self.pending is None:
            return
        self.running, self.pending = self.pending, None
        if self._trial is not None:
            self._trial.begin(previous_invoke_ms=percentiles(self._invoke_ms).p50)
        self._invoke_ms.clear()
        self._adopted.set()

    def looked(
        self, frame: Frame, found: Detections | None, invoke_ms: float, now_s: float
    ) -> None:
        """The loop's part: a frame was looked at.

        Args:
            frame: the frame.
            found: on it; None if inference was spared.
            invoke_ms: of the model.
            now_s: monotonic time.
        """
        self._picture = frame.picture
        if found is not None:
            self._invoke_ms.append(invoke_ms)
        trial = self._trial
        if trial is not None and trial.looked(frame, found, invoke_ms, now_s):
            self._wake.set()

    def disagreement(self) -> Disagreement | None:
        """The loop's part: a frame that the model on trial and its predecessor see differently.

        Returns:
            Each once, a moment after the frame; mostly None.
        """
        return self._disagreements.pop() if self._disagreements else None

    def failed(self) -> None:
        """The loop's part: a frame could not be looked at."""
        if self._trial is not None:
            self._trial.failed()

    def idle(self) -> None:
        """The loop's part: it is about to wait for a frame."""
        self._quiet.begin()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._look_at_link()
                self._compare()
                if time.monotonic() >= self._kept_until_s:
                    self._free_kept()
            except Exception as error:  # noqa: BLE001 - the camera outlives a bug in here
                _log.exception("following %s failed", self._link)
                if self._trial is not None:
                    self._trial.give_up(f"{type(error).__name__}: {error}")
            self._wake.wait(POLL_EVERY_S)
            self._wake.clear()

    def _look_at_link(self) -> None:
        assert self._link is not None
        seen = fingerprint(self._link)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            wanted = active(self._link)
        except SitewatchError as error:
            _log.error("the model in use stays: %s", error)
            return
        if wanted.digest == self.running.digest:
            self._refused = ""
            self._stay(wanted)
        elif wanted.digest != self._refused:
            self._change_to(wanted)
        elif not wanted.on_trial:
            self._end_trial()

    def _stay(self, wanted: Active) -> None:
        """The running release is the current one: its trial begins, goes on or is over."""
        if not wanted.on_trial:
            self._end_trial(keep=True)
            return
        trial = self._trial
        if trial is None or trial.digest != wanted.digest:
            self._end_trial()
            trial = TrialRun(wanted.digest)
            trial.begin(previous_invoke_ms=0.0)
            self._trial = trial
        if trial.look is None and self._comparable(wanted):
            trial.look = self._new_look()
            self._load_predecessor(wanted, trial.look)

    def _change_to(self, wanted: Active) -> None:
        """Brings another model into the loop; if it cannot be loaded, the running one stays."""
        self._end_trial(keep=True)
        model = self._taken_back(wanted)
        trial = self._trial = TrialRun(wanted.digest) if wanted.on_trial else None
        if model is None:
            try:
                model = self._load(wanted.folder, wanted.digest)
            except SitewatchError as error:
                _log.error("the model in use stays: %s", error)
                self._refused = wanted.digest
                if trial is not None:
                    trial.give_up(str(error))
                return
        old = self.running
        if trial is not None and self._comparable(wanted):
            trial.look = self._new_look()
        if not self._hand_over(model):
            return
        if trial is not None and trial.look is not None and old.folder == wanted.predecessor:
            trial.look.begin(old)
            return
        self._free(old)
        if trial is not None and trial.look is not None:
            self._load_predecessor(wanted, trial.look)

    def _taken_back(self, wanted: Active) -> LoadedModel | None:
        """The predecessor, if it is the one wanted and still loaded; another one is freed."""
        if self._kept is not None and self._kept.digest == wanted.digest:
            model, self._kept = self._kept, None
            return model
        self._free_kept()  # two models in memory are enough
        return None

    def _hand_over(self, model: LoadedModel) -> bool:
        """Gives the loop a model; false if the process stops instead."""
        self._adopted.clear()
        self.pending = model
        while not self._stopping and self.pending is not None:
            self._adopted.wait(POLL_EVERY_S)
        return self.pending is None

    def _compare(self) -> None:
        trial = self._trial
        if trial is None or trial.look is None or trial.look.done:
            return
        try:
            found = trial.look.work(self.detector)
            if found is not None:
                self._disagreements.append(found)
        except SitewatchError as error:
            _log.warning("the comparison with the old model ends: %s", error)
            self._end_comparison(trial)
        if trial.healthy_s >= self._config.compare_seconds:
            self._end_comparison(trial)

    def _comparable(self, wanted: Active) -> bool:
        return wanted.predecessor is not None and self._config.compare_seconds > 0

    def _new_look(self) -> PredecessorLook:
        return PredecessorLook(every_s=self._config.sample_every_s, pause=self._quiet.wait)

    def _load_predecessor(self, wanted: Active, look: PredecessorLook) -> None:
        """For the comparison alone: without it the release is judged by its own figures."""
        assert wanted.predecessor is not None
        try:
            before = active(wanted.predecessor)
            look.begin(self._load(before.folder, before.digest))
        except SitewatchError as error:
            _log.warning("nothing to compare the new model with: %s", error)
            look.release()

    def _load(self, folder: Path, digest: str) -> LoadedModel:
        detector = load_beside(
            self._model(),
            folder,
            self.detector.runtime.kind,
            picture=self._picture,
            pause=self._quiet.wait,
        )
        return LoadedModel(detector, folder, digest)

    def _end_trial(self, *, keep: bool = False) -> None:
        """Nobody waits for figures any more; the predecessor may be kept for a moment."""
        trial, self._trial = self._trial, None
        if trial is not None:
            self._end_comparison(trial, keep=keep)

    def _end_comparison(self, trial: TrialRun, *, keep: bool = False) -> None:
        predecessor = trial.look.release() if trial.look is not None else None
        if predecessor is not None and keep:
            self._kept, self._kept_until_s = predecessor, time.monotonic() + KEEP_S
        elif predecessor is not None:
            self._free(predecessor)

    def _free_kept(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            self._free(kept)

    def _free(self, model: LoadedModel) -> None:
        self._quiet.wait()
        model.close()
        give_back()
