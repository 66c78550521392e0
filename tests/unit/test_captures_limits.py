from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.captures.limits import (
    SLOTS,
    WINDOWS_S,
    Rates,
    charge,
    counted,
    empty,
    full_window,
)

OPEN = Rates(per_minute=10_000, per_hour=100_000, per_day=1_000_000, random_per_hour=0.0)


def admitted(times_s: list[float], rates: Rates, *, privileged: bool = False) -> list[float]:
    counts, kept = empty(), []
    for at_s in times_s:
        if full_window(counts, rates, at_s, privileged=privileged) is None:
            counts = charge(counts, at_s)
            kept.append(at_s)
    return kept


@pytest.mark.parametrize("window", WINDOWS_S)
def test_each_window_closes_and_opens_again(window: str) -> None:
    limits = {"minute": 10_000, "hour": 100_000, "day": 1_000_000} | {window: 3}
    rates = Rates(limits["minute"], limits["hour"], limits["day"], 0.0)
    length_s = WINDOWS_S[window]
    eager = [i * length_s / 200 for i in range(500)]
    kept = admitted(eager, rates)
    assert kept[:3] == eager[:3]
    assert length_s < kept[3] <= length_s * (1 + 2 / SLOTS) + eager[2]


@given(
    st.lists(st.floats(0, 200_000), max_size=150).map(sorted),
    st.integers(0, 5), st.integers(0, 10), st.integers(0, 20),
)  # fmt: skip
def test_no_window_ever_holds_more(
    times_s: list[float], per_minute: int, per_hour: int, per_day: int
) -> None:
    kept = admitted(times_s, Rates(per_minute, per_hour, per_day, 0.0))
    for length_s, most in zip(WINDOWS_S.values(), (per_minute, per_hour, per_day), strict=True):
        for start_s in kept:
            assert sum(start_s <= at_s < start_s + length_s for at_s in kept) <= most


def test_a_limit_of_zero_keeps_nothing() -> None:
    assert admitted([0.0, 1e6], Rates(0, 10, 10, 1.0), privileged=True) == []


def test_room_is_kept_for_the_random_share() -> None:
    rates = Rates(per_minute=4, per_hour=40, per_day=200, random_per_hour=1.0)
    assert [rates.reserve(window) for window in WINDOWS_S] == [1, 3, 34]
    assert len(admitted([0.0] * 10, rates)) == 3
    counts = empty()
    for _ in range(3):
        counts = charge(counts, 0.0)
    assert full_window(counts, rates, 0.0, privileged=False) == "minute"
    assert full_window(counts, rates, 0.0, privileged=True) is None


def test_the_reserve_is_at_most_half() -> None:
    assert Rates(2, 2, 2, 3600.0).reserve("day") == 1
    assert OPEN.reserve("day") == 0


@given(st.lists(st.floats(0, 1e7), max_size=400).map(sorted))
def test_memory_is_bounded(times_s: list[float]) -> None:
    counts = empty()
    for at_s in times_s:
        counts = charge(counts, at_s)
    assert all(len(slots) <= SLOTS + 1 for slots in counts.values())


@given(st.lists(st.floats(0, 80_000), max_size=60).map(sorted))
def test_counts_can_be_made_again_from_the_times(times_s: list[float]) -> None:
    counts = empty()
    for at_s in times_s:
        counts = charge(counts, at_s)
    assert counted(reversed(times_s), times_s[-1] if times_s else 0.0) == counts
