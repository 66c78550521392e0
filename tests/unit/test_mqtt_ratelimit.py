from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.mqtt.ratelimit import TokenBucket


@given(
    st.integers(1, 10),
    st.floats(0.1, 10),
    st.lists(st.floats(0, 20), max_size=60),
)
def test_never_more_than_the_burst_and_the_rate(
    burst: int, every_s: float, gaps: list[float]
) -> None:
    bucket = TokenBucket(burst=burst, every_s=every_s)
    now_s, passed = 0.0, []
    for gap in gaps:
        now_s += gap
        if bucket.take(now_s):
            passed.append(now_s)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = burst + (passed[last] - passed[first]) / every_s + 1e-6
            assert last - first + 1 <= allowed


def test_a_slow_caller_is_never_refused() -> None:
    bucket = TokenBucket(burst=1, every_s=2.0)
    assert all(bucket.take(now_s * 2.0) for now_s in range(100))
