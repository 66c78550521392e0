"""How long a runtime is measured, with one whose runs take what the test says."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator

import pytest

from daemon.detection.runtime_probe import (
    CLEARLY_SLOWER,
    MAX_RUNNING_S,
    MAX_RUNS,
    WARM_UP_RUNS,
    median_invoke_ms,
)


class Timed:
    """A fake runtime and the clock that it moves; only what the probe asks of one."""

    def __init__(self, times_ms: Iterator[float], monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs = 0
        self._times_ms = times_ms
        self._now_s = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self._now_s)

    def invoke_only(self) -> None:
        self.runs += 1
        self._now_s += next(self._times_ms) / 1000


def steady(milliseconds: float) -> Iterator[float]:
    while True:
        yield milliseconds


def median(runtime: Timed, best_ms: float) -> float:
    return median_invoke_ms(runtime, best_ms)  # type: ignore[arg-type]


def test_the_first_is_measured_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Timed(steady(10.0), monkeypatch)
    assert median(runtime, math.inf) == pytest.approx(10.0)
    assert runtime.runs == WARM_UP_RUNS + MAX_RUNS


def test_a_clearly_slower_one_ends_with_its_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Timed(iter([90.0, 80.0]), monkeypatch)
    assert median(runtime, 12.0) == pytest.approx(80.0)
    assert runtime.runs == WARM_UP_RUNS


def test_one_slow_run_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def disturbed() -> Iterator[float]:
        yield 500.0
        yield from steady(8.0)

    runtime = Timed(disturbed(), monkeypatch)
    assert median(runtime, 12.0) == pytest.approx(8.0)


def test_one_that_is_only_a_little_slower_is_measured_in_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = [12.0 * CLEARLY_SLOWER - 1 - number for number in range(WARM_UP_RUNS + MAX_RUNS)]
    runtime = Timed(iter(times), monkeypatch)
    assert median(runtime, 12.0) == pytest.approx(statistics.median(times[WARM_UP_RUNS:]))


def test_a_slow_model_is_run_no_longer_than_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Timed(steady(1100.0), monkeypatch)
    assert median(runtime, math.inf) == pytest.approx(1100.0)
    assert runtime.runs == WARM_UP_RUNS + math.ceil(MAX_RUNNING_S / 1.1)
