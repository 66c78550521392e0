"""What the process says about itself: status file, metrics and MQTT state from one snapshot."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict

from daemon.alerts.rules import RuleEngine
from daemon.captures.recorder import CaptureRecorder
from daemon.config import Config
from daemon.health import (
    FrameCounts,
    Meter,
    OutboxCounts,
    Status,
    disk_free_bytes,
    temperature_celsius,
)
from daemon.mqtt.messages import DeviceState
from daemon.mqtt.publisher import LinkState, Publisher
from daemon.outbox.outbox import Outbox
from daemon.pause import Pause
from daemon.sources import Source
from daemon.sources.capture import Capture
from daemon.swap.swapper import ModelSwapper
from updater.atomic import write_atomically
from updater.version import VERSION


class Reporter:
    """Asks every part how it is.

    Args:
        config: names the device and where the status file goes.
        models: the running model, and its trial.
        rules: knows the open violations.
        source: the camera.
        capture: its thread.
        outbox: alerts that wait.
        publisher: the way to the broker.
        recorder: the captures, None where the disk refuses them.
        meter: the loop's own counts.
        pause: whether alerts are paused.
    """

    def __init__(
        self,
        config: Config,
        *,
        models: ModelSwapper,
        rules: RuleEngine,
        source: Source,
        capture: Capture,
        outbox: Outbox,
        publisher: Publisher,
        recorder: CaptureRecorder | None,
        meter: Meter,
        pause: Pause,
    ) -> None:
        self._config = config
        self._models = models
        self._rules = rules
        self._source = source
        self._capture = capture
        self._outbox = outbox
        self._publisher = publisher
        self._recorder = recorder
        self._meter = meter
        self._pause = pause

    def status(self) -> Status:
        """A snapshot of everything; may be called from any thread."""
        meter, counts = self._meter, self._recorder.counts() if self._recorder else None
        invoke, look, delay = meter.latencies()
        link, stats = self._publisher.status(), self._outbox.stats()
        model = self._models.running
        return Status(
            device=self._config.device.id,
            pid=os.getpid(),
            written_monotonic_s=time.monotonic(),
            model_version=model.detector.model_version,
            model_digest=model.digest,
            trial=self._models.trial(),
            runtime=model.detector.runtime.kind.name,
            source=self._source.description,
            uptime_s=time.monotonic() - meter.started_s,
            frames=FrameCounts(
                captured=self._capture.captured,
                overtaken=self._capture.overtaken,
                processed=meter.processed,
                still=meter.still,
                failed=meter.failed,
                damaged=self._source.damaged,
            ),
            frames_per_second=meter.frames_per_second(),
            invoke=invoke,
            look=look,
            delay=delay,
            people=meter.people,
            starts=dict(meter.starts),
            outbox=OutboxCounts(
                queued=stats.messages,
                dropped=stats.dropped,
                delivered=link.delivered,
                connected=link.link is LinkState.ONLINE,
            ),
            captures_kept=counts.files if counts else 0,
            captures_bytes=counts.size_bytes if counts else 0,
            captures_failed=counts.failed if counts else 0,
            temperature_celsius=temperature_celsius(),
            disk_free_bytes=disk_free_bytes(self._config.outbox.path.parent),
            paused=self._pause.left_s is not None,
            last_error=meter.last_error or stats.last_error or link.last_error,
        )

    def state(self) -> DeviceState:
        """The same for the state message."""
        status = self.status()
        return DeviceState(
            violations_today=self._meter.starts_today(),
            open_violations=self._rules.open_count,
            people_in_view=status.people,
            frames_per_second=status.frames_per_second,
            invoke_ms=status.invoke.p50 or None,
            model_version=status.model_version,
            runtime=status.runtime,
            temperature_celsius=status.temperature_celsius,
            disk_free_bytes=status.disk_free_bytes,
            queued_messages=status.outbox.queued,
            dropped_messages=status.outbox.dropped,
            paused=status.paused,
            paused_for_s=self._pause.left_s,
            uptime_s=status.uptime_s,
            last_error=status.last_error or None,
            software_version=VERSION,
        )

    def write_status(self) -> None:
        """Replaces the status file.

        Raises:
            StorageError: it cannot be written.
        """
        data = json.dumps(asdict(self.status()), indent=2).encode() + b"\n"
        # Not durable: it means nothing after a reboot, and lies in memory (/run) anyway.
        write_atomically(self._config.health.status_file, data, durable=False)
