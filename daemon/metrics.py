"""Prometheus metrics over HTTP on loopback, from the same snapshot as everything else."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.health import Status
from updater.errors import ConfigError

LOOPBACK = "127.0.0.1"


class StatusCollector(Collector):
    """Turns a :class:`Status` into metrics at each scrape.

    Args:
        status: makes the snapshot; called in the server's thread.
    """

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """All metrics, each with its unit in its name."""
        status = self._status()
        frames = CounterMetricFamily(
            "sitewatch_frames", "Frames by what became of them.", labels=["outcome"]
        )
        for outcome in ("captured", "overtaken", "processed", "still", "failed", "damaged"):
            frames.add_metric([outcome], getattr(status.frames, outcome))
        yield frames
        starts = CounterMetricFamily(
            "sitewatch_violations", "Violations started, by kind.", labels=["violation"]
        )
        for violation, count in status.starts.items():
            starts.add_metric([violation], count)
        yield starts
        latency = GaugeMetricFamily(
            "sitewatch_latency_seconds", "Recent latencies.", labels=["part", "quantile"]
        )
        for part in ("invoke", "look", "delay"):
            values = getattr(status, part)
            latency.add_metric([part, "0.5"], values.p50 / 1000)
            latency.add_metric([part, "0.95"], values.p95 / 1000)
        yield latency
        model = GaugeMetricFamily(
            "sitewatch_model_info", "The running model.", labels=["version", "runtime"]
        )
        model.add_metric([status.model_version, status.runtime], 1)
        yield model
        yield CounterMetricFamily(
            "sitewatch_outbox_delivered", "Messages acknowledged by the broker.",
            status.outbox.delivered,
        )  # fmt: skip
        yield CounterMetricFamily(
            "sitewatch_outbox_dropped", "Messages given up, outbox full.", status.outbox.dropped
        )
        yield CounterMetricFamily(
            "sitewatch_captures_failed", "Pictures that could not be kept.", status.captures_failed
        )
        gauges: dict[str, tuple[str, float | None]] = {
            "frames_per_second": ("Frames processed a second.", status.frames_per_second),
            "people": ("People in view.", status.people),
            "outbox_queued": ("Messages on disk.", status.outbox.queued),
            "broker_connected": ("1 while the broker is there.", status.outbox.connected),
            "captures_kept": ("Pictures in the folder.", status.captures_kept),
            "captures_bytes": ("Their size.", status.captures_bytes),
            "disk_free_bytes": ("Free on the state disk.", status.disk_free_bytes),
            "temperature_celsius": ("Of the processor.", status.temperature_celsius),
            "paused": ("1 while alerts are paused.", status.paused),
            "uptime_seconds": ("Since the process started.", status.uptime_s),
        }
        for name, (text, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(f"sitewatch_{name}", text, float(value))


def serve(port: int, status: Callable[[], Status]) -> WSGIServer | None:
    """Serves the metrics on loopback in a thread of its own.

    Args:
        port: TCP port; 0 serves nothing and returns None.
        status: makes the snapshot.

    Returns:
        The running server; ``shutdown()`` and ``server_close()`` end it.

    Raises:
        ConfigError: the port is taken or not allowed.
    """
    if not port:
        return None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatusCollector(status))
    try:
        started = start_http_server(port, addr=LOOPBACK, registry=registry)
    except OSError as error:
        taken = "is taken" if error.errno == errno.EADDRINUSE else f"fails: {error.strerror}"
        raise ConfigError(
            f"port {port} {taken}",
            where="health.metrics_port",
            hint="Choose another port, or 0 for no metrics",
        ) from error
    # prometheus-client before 0.19 (Debian 12 has 0.16) returns nothing; its thread is a daemon.
    return started[0] if started else None
