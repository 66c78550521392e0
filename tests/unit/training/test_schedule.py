from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from training.ema import WeightAverage
from training.schedule import Schedule


def test_rate_warms_up_then_falls_to_the_floor() -> None:
    schedule = Schedule(rate=1.0, warmup_steps=10, total_steps=100)
    rates = [schedule.rate_at(step, schedule.progress(step, 0.0)) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates.index(max(rates)) == 9
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[100] == pytest.approx(0.01)


def test_time_ends_a_run_that_steps_would_not() -> None:
    schedule = Schedule(rate=1.0, warmup_steps=1, total_steps=1000, budget_s=60.0)
    assert schedule.progress(10, 30.0) == pytest.approx(0.5)
    assert schedule.progress(900, 30.0) == pytest.approx(0.9)
    assert schedule.progress(10, 90.0) == 1.0


def test_average_follows_and_takes_over_counters() -> None:
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, decay=0.9, ramp_steps=1)
    with torch.no_grad():
        network.weight.fill_(5.0)
    network.num_batches_tracked = torch.tensor(7)
    values = []
    for _ in range(60):
        average.update(network)
        values.append(float(average.network.weight.detach()[0]))
    assert values == sorted(values)
    assert 1.0 < values[0] < 5.0
    assert values[-1] == pytest.approx(5.0, abs=0.05)
    assert average.network.num_batches_tracked == 7
