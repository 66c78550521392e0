"""Counters, percentiles and what Prometheus reads of them."""

from __future__ import annotations

import socket
import urllib.request
from collections import deque
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon import metrics
from daemon.health import (
    LATENCIES_KEPT,
    FrameCounts,
    Meter,
    OutboxCounts,
    Percentiles,
    Status,
    disk_free_bytes,
    percentiles,
    temperature_celsius,
)
from scripts.processes import free_port
from updater.errors import ConfigError

STATUS = Status(
    device="gate",
    pid=4711,
    written_monotonic_s=99.5,
    model_version="2026.11.22",
    model_digest="ab" * 32,
    trial=None,
    runtime="litert",
    source="file clip.mp4",
    uptime_s=12.5,
    frames=FrameCounts(captured=10, overtaken=1, processed=9, still=4, failed=2, damaged=0),
    frames_per_second=4.5,
    invoke=Percentiles(12.0, 15.0),
    look=Percentiles(13.0, 17.0),
    delay=Percentiles(20.0, 30.0),
    people=2,
    starts={"bare_head": 3},
    outbox=OutboxCounts(queued=7, dropped=1, delivered=5, connected=True),
    captures_kept=6,
    captures_bytes=1000,
    captures_failed=0,
    temperature_celsius=None,
    disk_free_bytes=10_000,
    paused=False,
    last_error="",
)


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles(deque()) == Percentiles(0.0, 0.0)
    assert percentiles(deque([7.0])) == Percentiles(7.0, 7.0)
    assert percentiles(deque(float(n) for n in range(101))) == Percentiles(50.0, 95.0)


def test_the_meter_counts_and_forgets() -> None:
    meter = Meter()
    meter.frame_failed("no picture")
    meter.frame_failed("no picture")
    assert (meter.failed, meter.failed_in_a_row, meter.last_error) == (2, 2, "no picture")
    for number in range(LATENCIES_KEPT + 100):
        meter.frame_processed(still=number % 2 == 0)
        meter.inference_took(invoke_ms=float(number), look_ms=0.0, delay_ms=0.0)
    assert meter.failed_in_a_row == 0
    assert meter.processed == LATENCIES_KEPT + 100
    assert meter.still == (LATENCIES_KEPT + 100) / 2
    invoke, _, _ = meter.latencies()
    assert invoke.p50 >= 100 + LATENCIES_KEPT / 2 - 1  # the oldest hundred are gone
    assert meter.frames_per_second() > 0


def test_the_temperature_is_read_where_there_is_one(tmp_path: Path) -> None:
    zone = tmp_path / "temp"
    assert temperature_celsius(zone) is None
    zone.write_text("48312\n")
    assert temperature_celsius(zone) == 48.312
    zone.write_text("")
    assert temperature_celsius(zone) is None


def test_the_disk(tmp_path: Path) -> None:
    assert disk_free_bytes(tmp_path) > 0
    assert disk_free_bytes(tmp_path / "none") == 0


def test_prometheus_reads_it_over_http() -> None:
    port = free_port()
    server = metrics.serve(port, lambda: STATUS)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["sitewatch_frames_total", "still"] == 4
    assert samples["sitewatch_violations_total", "bare_head"] == 3
    assert samples["sitewatch_latency_seconds", "0.95", "invoke"] == 0.015
    assert samples["sitewatch_model_info", "2026.11.22", "litert"] == 1
    assert samples[("sitewatch_outbox_queued",)] == 7
    assert samples[("sitewatch_broker_connected",)] == 1
    assert ("sitewatch_temperature_celsius",) not in samples


def test_a_taken_port_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"health.metrics_port: port {port} is taken"):
            metrics.serve(port, lambda: STATUS)


def test_port_zero_serves_nothing() -> None:
    assert metrics.serve(0, lambda: STATUS) is None
