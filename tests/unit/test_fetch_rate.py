from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.fetch.rate import StallWatch, TokenBucket


@given(
    rate=st.floats(1.0, 1e6),
    burst=st.floats(0.0, 1e6),
    portions=st.lists(
        st.tuples(st.integers(0, 100_000), st.floats(0.0, 10.0)), min_size=1, max_size=50
    ),
)
def test_the_bucket_never_lets_more_through(
    rate: float, burst: float, portions: list[tuple[int, float]]
) -> None:
    now_s = 100.0
    bucket = TokenBucket(rate, now_s, burst_bytes=burst)
    passed = 0.0
    for count, pause_s in portions:
        now_s += pause_s
        # What has come before this portion was within the cap at this moment.
        assert passed <= (burst + rate * (now_s - 100.0)) * (1 + 1e-9) + 1e-3
        now_s += bucket.take(count, now_s)
        passed += count


def test_the_mean_rate_is_the_cap() -> None:
    now_s = 0.0
    bucket = TokenBucket(1000.0, now_s)
    for _ in range(100):
        now_s += bucket.take(100, now_s)
    assert now_s == pytest.approx(9.0), "10000 bytes, of which those of one second came at once"


def test_no_cap() -> None:
    assert TokenBucket(0.0, 0.0).take(10**9, 0.0) == 0.0


def test_a_trickle_is_a_stall() -> None:
    watch = StallWatch(1000.0, 10.0, 0.0)
    assert [watch.stalled(100, float(second)) for second in range(1, 11)] == [False] * 9 + [True]


def test_a_burst_hides_a_stall_for_one_window_only() -> None:
    watch = StallWatch(1000.0, 10.0, 0.0)
    assert not watch.stalled(1_000_000, 1.0)
    assert not watch.stalled(0, 10.0)
    assert watch.stalled(0, 20.0)


def test_a_steady_stream_is_none() -> None:
    watch = StallWatch(1000.0, 10.0, 0.0)
    assert not any(watch.stalled(1000, float(second)) for second in range(1, 100))


def test_one_long_silence_counts_with_all_its_length() -> None:
    watch = StallWatch(1000.0, 10.0, 0.0)
    assert watch.stalled(15_000, 40.0)


def test_any_speed_is_enough_where_none_is_asked() -> None:
    watch = StallWatch(0.0, 10.0, 0.0)
    assert not watch.stalled(0, 1000.0)
