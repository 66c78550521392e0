"""The daemon: builds the parts from the configuration, runs the loop, stops cleanly."""

from __future__ import annotations

import logging
import queue
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from daemon import metrics
from daemon.alerts.alerting import SNAPSHOT_QUALITY, Alerter
from daemon.alerts.eventid import EventIds
from daemon.alerts.events import AlertEvent, EventType
from daemon.alerts.rules import RuleEngine
from daemon.alerts.unfinished import UnfinishedViolations
from daemon.annotate import draw, encode_jpeg, marks
from daemon.captures.buffer import CaptureBuffer
from daemon.captures.recorder import CaptureRecorder
from daemon.captures.selection import CaptureDecision, CaptureSelector
from daemon.clock import Clock, Stamp
from daemon.config import Config, ModelConfig
from daemon.configfile import changes, take_live
from daemon.detection.detections import HEAD, HELMET, Detections
from daemon.frames import Frame
from daemon.health import Meter
from daemon.log import set_level
from daemon.mqtt.commands import Command, CommandName
from daemon.mqtt.publisher import LinkState, Publisher
from daemon.notify import Notifier
from daemon.outbox.outbox import Outbox
from daemon.pause import Pause
from daemon.pipeline import Pipeline
from daemon.reporting import Reporter
from daemon.sources import open_source
from daemon.sources.capture import Capture
from daemon.sources.motion import MotionGate
from daemon.summary import RunSummary, summarise
from daemon.swap.start import open_first
from daemon.swap.swapper import ModelSwapper
from daemon.tracking.tracker import Tracker
from updater.errors import ConfigError, SitewatchError, StorageError

FRAME_WAIT_S = 0.25
"""How long the loop waits for a frame before it looks at signals and commands again."""

TRIAL_STATUS_EVERY_S = 1.0
"""While the updater waits for a verdict, the status file is never older than this."""

CAPTURE_STOP_S = 1.5
PUBLISHER_STOP_S = 2.0
"""With the source's second these keep a stop within the five that the unit allows."""

_log = logging.getLogger(__name__)


class Service:
    """One camera. Use as a context: entering starts every part, leaving stops them in order.

    Args:
        config: already checked; ``device.id`` is filled in.
        listener: called with each event as it is raised.
        reload: reads the configuration again, for :meth:`request_reload`.
    """

    def __init__(
        self,
        config: Config,
        *,
        listener: Callable[[AlertEvent, Stamp], None],
        reload: Callable[[], Config],
    ) -> None:
        self.config = config
        self._listener = listener
        self._reload = reload
        self._clock = Clock()
        self._meter = Meter()
        self._notifier = Notifier()
        self._pause = Pause()
        self._events: Counter[str] = Counter()
        self._stop_reason = ""
        self._reload_wanted = False
        self._snapshot_wanted = False
        self._last: Frame | None = None
        self._status_written_s = float("-inf")
        self._next_state_s = 0.0
        self._stack = ExitStack()

    def __enter__(self) -> Service:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        config = self.config
        # The outbox first: from here on an alert has a safe place; and its lock tells a second
        # daemon on the same state before that one takes the camera.
        self._outbox = Outbox(config.outbox)
        self._stack.callback(self._outbox.close)
        self._publisher = Publisher(
            config.mqtt, self._outbox, device=config.device, clock=self._clock
        )
        self._unfinished = UnfinishedViolations(self._outbox)
        self._models = ModelSwapper(
            open_first(_wanted_model(config)),
            config.swap,
            model=lambda: _wanted_model(self.config),
        )
        self._stack.callback(self._models.stop)
        detector = self._models.detector
        self._alerter = Alerter(
            self._publisher,
            self._clock,
            self._note_event,
            shown_score=detector.makers_thresholds.score,
        )
        selector = CaptureSelector(
            config.captures,
            chance=random.Random(),
            thresholds={HELMET: config.rules.helmet_score, HEAD: config.rules.bare_score},
        )
        self.pipeline = Pipeline(
            detector=detector,
            tracker=Tracker(config.tracker, config.rules),
            rules=RuleEngine(config.rules, config.zones, EventIds()),
            gate=MotionGate(config.motion),
            selector=selector,
        )
        self._recorder = self._open_recorder(selector)
        self._source = open_source(config.source, detector.input_size)
        self._capture = Capture(self._source, stall_timeout_s=config.source.stall_timeout_s)
        self._reporter = Reporter(
            config,
            models=self._models,
            rules=self.pipeline.rules,
            source=self._source,
            capture=self._capture,
            outbox=self._outbox,
            publisher=self._publisher,
            recorder=self._recorder,
            meter=self._meter,
            pause=self._pause,
        )
        self._end_what_a_kill_left_open()
        self._publisher.start()
        self._stack.callback(self._publisher.stop, PUBLISHER_STOP_S)
        self._stack.callback(self._drain)
        self._stack.callback(self._finish)
        self._serve_metrics()
        self._stack.enter_context(self._capture)
        self._models.start()
        self._notifier.status(f"opening {self._source.description}")

    def request_stop(self, reason: str) -> None:
        """Ends :meth:`run` after the frame in hand; safe in a signal handler."""
        self._stop_reason = reason

    def request_reload(self) -> None:
        """Reads the configuration again after the frame in hand; safe in a signal handler."""
        self._reload_wanted = True

    def run(self) -> RunSummary:
        """Looks at frames until the source ends or somebody asks to stop.

        Raises:
            SourceError: the source failed for good, or stalled.
            SitewatchError: too many frames failed one after another; the last one's error.
        """
        try:
            while not self._stop_reason and not self._capture.ended:
                frame = self._capture.next(FRAME_WAIT_S)
                if frame is not None:
                    self._last = frame
                    self._guarded_look(frame)
                self._attend()
                self._models.idle()
        except SitewatchError as error:
            self._meter.last_error = str(error)
            self._notifier.stopping(str(error))
            raise
        self._notifier.stopping(self._stop_reason or "the source has ended")
        return self.summary()

    def summary(self) -> RunSummary:
        """What came of the run so far, with open violations ended."""
        self._finish()
        if self._recorder is not None:
            self._recorder.stop(CAPTURE_STOP_S)
        self._drain()
        kept = self._recorder.counts().kept if self._recorder is not None else 0
        self._write_status()
        media_s = self._last.media_time_s if self._last is not None else 0.0
        return summarise(self._reporter.status(), self._events, media_s=media_s, captures=kept)

    def _open_recorder(self, selector: CaptureSelector) -> CaptureRecorder | None:
        """The captures; without them (a full or broken disk) the camera still watches."""
        config = self.config.captures
        try:
            buffer = CaptureBuffer(config, self.config.device.id, clock=self._clock)
        except StorageError as error:
            _log.error("no pictures will be kept: %s", error)
            self._meter.last_error = str(error)
            return None
        recorder = CaptureRecorder(
            selector,
            buffer,
            # Asked for at each picture, since a reload may change it.
            lambda rgb: encode_jpeg(rgb, quality=self.config.captures.jpeg_quality),
        )
        recorder.start()
        self._stack.callback(recorder.stop, CAPTURE_STOP_S)
        return recorder

    def _serve_metrics(self) -> None:
        """The metrics; a port that somebody else has is no reason not to watch."""
        try:
            server = metrics.serve(self.config.health.metrics_port, self._reporter.status)
        except ConfigError as error:
            _log.error("no metrics will be served: %s", error)
            self._meter.last_error = str(error)
            return
        if server is not None:
            self._stack.callback(server.server_close)
            self._stack.callback(server.shutdown)

    def _guarded_look(self, frame: Frame) -> None:
        """One frame; its failure is counted, and too many in a row end the process."""
        try:
            self._look(frame)
        except SitewatchError as error:
            self._meter.frame_failed(str(error))
            self._models.failed()
            _log.warning("frame %d failed: %s", frame.sequence, error)
            if self._meter.failed_in_a_row >= self.config.health.max_failed_frames:
                raise
        else:
            self._notifier.frame_processed(f"watching {self._source.description}")

    def _look(self, frame: Frame) -> None:
        if self._pause.left_s is not None:
            self._meter.frame_processed(still=True)
            self._models.looked(frame, None, 0.0, time.monotonic())
            self._answer_snapshot(frame, None)
            return
        look = self.pipeline.look(frame)
        self._meter.frame_processed(still=look.detections is None)
        self._models.looked(frame, look.detections, look.invoke_ms, time.monotonic())
        for event in look.events:
            self._raise(event, frame, look.detections)
        if look.detections is not None:
            self._meter.inference_took(
                invoke_ms=look.invoke_ms,
                look_ms=look.look_ms,
                delay_ms=(time.monotonic() - frame.captured_monotonic_s) * 1e3,
            )
        self._meter.people = sum(track.visible for track in look.tracks)
        self._keep(look.capture)
        self._answer_snapshot(frame, look.detections)

    def _keep(self, capture: CaptureDecision | None) -> None:
        if capture is not None and self.config.captures.enabled and self._recorder is not None:
            self._recorder.offer(capture)

    def _keep_disagreement(self) -> None:
        """Two models see different things in a frame of a moment ago; in a pause none is kept."""
        found = self._models.disagreement()
        if found is not None and self._pause.left_s is None:
            self._keep(self.pipeline.selector.review(found))

    def _raise(self, event: AlertEvent, frame: Frame, detections: Detections | None) -> None:
        self._unfinished.note(event)
        self._alerter.raise_alert(event, frame, detections)
        self._unfinished.ended(event)

    def _note_event(self, event: AlertEvent, stamp: Stamp) -> None:
        self._events[event.type.value] += 1
        if event.type is EventType.START:
            self._meter.violation_started(event.violation.value)
        self._listener(event, stamp)
        self._next_state_s = 0.0  # counts have changed: say so with the next frame

    def _finish(self) -> None:
        """Ends what is open: nobody watches it any more."""
        if self._last is None:
            return
        for event in self.pipeline.finish(self._last):
            self._raise(event, self._last, None)

    def _end_what_a_kill_left_open(self) -> None:
        for event in self._unfinished.left_over():
            _log.warning("violation %s was left open by the last run; ending it", event.event_id)
            self._publisher.publish_event(event, None, self._clock.stamp())
            self._unfinished.ended(event)

    def _drain(self) -> None:
        """Gives a connected broker a moment to take what waits."""
        until_s = time.monotonic() + PUBLISHER_STOP_S
        while time.monotonic() < until_s and self._outbox.stats().messages:
            if self._publisher.status().link not in (LinkState.ONLINE, LinkState.CONNECTING):
                return
            time.sleep(0.01)

    def _attend(self) -> None:
        """Between two frames: another model, its disagreements, commands, reload, status, state."""
        if self._models.pending is not None:
            self._change_model()
        self._keep_disagreement()
        self._publisher.check()
        self._obey_commands()
        if self._reload_wanted:
            self._reload_wanted = False
            self._take_over()
        now_s = time.monotonic()
        every_s = self.config.health.status_every_s
        if self._models.on_trial:
            every_s = min(every_s, TRIAL_STATUS_EVERY_S)
        if now_s >= self._status_written_s + every_s:
            self._status_written_s = now_s
            self._write_status()
        if now_s >= self._next_state_s:
            self._next_state_s = now_s + self.config.mqtt.state_every_s
            self._publisher.publish_state(self._reporter.state())

    def _change_model(self) -> None:
        """Lets the loaded model take over, frames before and after it being neighbours."""
        before = self._models.detector.model_version
        self._models.adopt()
        detector = self._models.detector
        detector.configure(_wanted_model(self.config))
        self.pipeline.change_detector(detector)
        self._alerter.show_from(detector.makers_thresholds.score)
        self._meter.model_changed()
        _log.info("model %s runs from now on, %s ran before", detector.model_version, before)
        self._status_written_s = float("-inf")
        self._next_state_s = 0.0

    def _write_status(self) -> None:
        try:
            self._reporter.write_status()
        except StorageError as error:
            self._meter.last_error = str(error)
            _log.error("%s", error)

    def _obey_commands(self) -> None:
        while True:
            try:
                command = self._publisher.commands.get_nowait()
            except queue.Empty:
                return
            self._obey(command)

    def _obey(self, command: Command) -> None:
        _log.info("command: %s", command)
        self._next_state_s = 0.0
        if command.name is CommandName.SNAPSHOT:
            self._snapshot_wanted = True
        elif command.name is CommandName.PAUSE and command.duration_s is not None:
            self._finish()
            self._pause.begin(command.duration_s)
            self._meter.people = 0
        elif command.name is CommandName.RESUME:
            self._pause.end()

    def _answer_snapshot(self, frame: Frame, detections: Detections | None) -> None:
        if not self._snapshot_wanted:
            return
        self._snapshot_wanted = False
        picture = frame.picture.rgb()
        if detections is not None:
            least = self.pipeline.detector.makers_thresholds.score
            picture = draw(picture, marks(detections, least_score=least))
        jpeg = encode_jpeg(
            picture, quality=SNAPSHOT_QUALITY, max_bytes=self._publisher.snapshot_max_bytes
        )
        if not self._publisher.publish_requested_snapshot(jpeg):
            _log.warning("the snapshot asked for could not be sent: the broker is away")

    def _take_over(self) -> None:
        """Takes over what a changed configuration allows, and says what it does not."""
        self._notifier.reloading()
        try:
            new = self._reload()
            found = changes(self.config, new)
            for name in found.restart:
                _log.warning("%s has changed; it needs a restart", name)
            self._apply(take_live(self.config, new))
            _log.info("reloaded: %s", ", ".join(found.live) or "nothing changed")
        except SitewatchError as error:
            _log.error("the configuration stays as it was: %s", error)
            self._meter.last_error = str(error)
        self._notifier.reloaded()

    def _apply(self, config: Config) -> None:
        """Hands each part its section; a part takes what can change while it runs."""
        self.pipeline.rules.reconfigure(config.rules, config.zones)
        self.pipeline.tracker.configure(config.tracker, config.rules)
        self.pipeline.gate.config = config.motion
        self.pipeline.detector.configure(_wanted_model(config))
        self.pipeline.selector.configure(config.captures)
        if self._recorder is not None:
            self._recorder.configure(config.captures)
        self._publisher.reload(config.mqtt)
        set_level(config.health.log_level)
        self.config = config


def _wanted_model(config: Config) -> ModelConfig:
    """The model's section with a score threshold that serves everybody behind the detector.

    A bundle's own threshold is where its makers would cut for good. The tracker goes on with
    weaker detections of somebody it knows, and the captures look for just those; both cut later.
    """
    if config.model.score_threshold:
        return config.model
    least = min(config.tracker.low_score, config.captures.band_low)
    return replace(config.model, score_threshold=least)
