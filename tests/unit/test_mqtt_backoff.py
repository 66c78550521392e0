from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.mqtt.backoff import LOST_FIRST_S, LOST_MOST_S, REFUSED_FIRST_S, REFUSED_MOST_S, Backoff

jitters = st.floats(0, 1)


@given(st.integers(1, 10**9), st.booleans(), jitters)
def test_a_wait_is_never_nothing_and_never_for_ever(
    failures: int, refused: bool, jitter: float
) -> None:
    delay_s = Backoff(failures).delay_s(refused=refused, jitter=jitter)
    first_s, most_s = (REFUSED_FIRST_S, REFUSED_MOST_S) if refused else (LOST_FIRST_S, LOST_MOST_S)
    assert first_s / 10 <= delay_s <= most_s


@given(st.integers(1, 100), st.booleans(), jitters)
def test_the_more_failures_the_longer(failures: int, refused: bool, jitter: float) -> None:
    sooner = Backoff(failures).delay_s(refused=refused, jitter=jitter)
    assert Backoff(failures).failed().delay_s(refused=refused, jitter=jitter) >= sooner


def test_the_first_waits_are_short_and_double() -> None:
    backoff = Backoff().failed()
    assert backoff.delay_s(refused=False, jitter=1.0) == 1.0
    assert backoff.failed().delay_s(refused=False, jitter=1.0) == 2.0
    assert backoff.delay_s(refused=True, jitter=1.0) == 15.0
