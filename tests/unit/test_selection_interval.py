from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.selection.interval import T_975, paired
from updater.errors import UsageError


def test_a_worked_example() -> None:
    # Differences 1, 2, 3, 4, 5: mean 3, standard deviation sqrt(2.5), t(4) = 2.776.
    span = paired([11.0, 12.0, 13.0, 14.0, 15.0], [10.0, 10.0, 10.0, 10.0, 10.0])
    assert span.mean == pytest.approx(3.0)
    assert span.high - span.mean == pytest.approx(2.776 * math.sqrt(2.5) / math.sqrt(5))
    assert span.mean - span.low == pytest.approx(span.high - span.mean)


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=max(T_975) + 1),
    st.floats(-1, 1),
)
def test_what_both_have_in_common_drops_out(pairs: list[tuple[float, float]], same: float) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    plain = paired(first, second)
    moved = paired([a + same for a in first], [b + same for b in second])
    swapped = paired(second, first)
    assert moved.mean == pytest.approx(plain.mean, abs=1e-9)
    assert moved.high == pytest.approx(plain.high, abs=1e-6)
    assert swapped.low == pytest.approx(-plain.high, abs=1e-9)


def test_it_holds_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(0)
    within = []
    for _ in range(2000):
        drawn = [chance.gauss(0.5, 2.0) for _ in range(5)]
        span = paired(drawn, [0.0] * 5)
        within.append(span.low <= 0.5 <= span.high)
    assert statistics.fmean(within) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("first", "second"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([], []), ([0.0] * 99, [0.0] * 99)]
)
def test_what_is_no_sample_is_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(UsageError, match="pairs"):
        paired(first, second)
