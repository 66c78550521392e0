from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from daemon.alerts.eventid import EventIds


def test_is_a_uuid_of_version_7() -> None:
    made = uuid.UUID(EventIds(lambda: 1_700_000_000.123)())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_700_000_000_123


@given(st.lists(st.floats(-1e3, 2e9), min_size=1, max_size=50))
def test_ids_rise_whatever_the_clock_does(clock: list[float]) -> None:
    times = iter(clock)
    ids = EventIds(lambda: next(times))
    made = [ids() for _ in clock]
    assert made == sorted(set(made))


def test_ids_rise_past_the_end_of_the_counter() -> None:
    ids = EventIds(lambda: 1.0)
    made = [ids() for _ in range(5000)]
    assert made == sorted(set(made))


def test_a_restart_at_the_same_wrong_time_gives_other_ids() -> None:
    made = {EventIds(lambda: 0.0)() for _ in range(100)}
    assert len(made) == 100
