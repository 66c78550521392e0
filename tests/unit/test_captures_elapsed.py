from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.captures.elapsed import Elapsed, advance, begin
from tests.support.captures import BASE_UNIX_S, SetClock

DAY_S = 86400.0


def read(clock: SetClock, before: Elapsed | None = None) -> Elapsed:
    now = clock.clock().stamp()
    return begin(now) if before is None else advance(before, now)


def test_within_a_boot_the_monotonic_clock_counts() -> None:
    clock = SetClock()
    start = read(clock)
    clock.passes(100)
    assert read(clock, start).elapsed_s == 100


@pytest.mark.parametrize("jump_s", [-10 * 365 * DAY_S, -3600, 3600, 10 * 365 * DAY_S])
@pytest.mark.parametrize("synchronised", [True, False])
def test_a_jump_of_the_wall_clock_counts_for_nothing(jump_s: float, synchronised: bool) -> None:
    clock = SetClock(synchronised=synchronised)
    start = read(clock)
    clock.unix_s += jump_s
    clock.passes(5)
    assert read(clock, start).elapsed_s == 5


def test_a_reboot_counts_the_time_since_the_boot() -> None:
    clock = SetClock()
    start = read(clock)
    clock.reboots(unix_s=BASE_UNIX_S - 365 * DAY_S)
    once = read(clock, start)
    assert once.elapsed_s == 10  # seconds since the boot
    assert read(clock, once).elapsed_s == 10  # and not twice


def test_a_synchronised_clock_tells_how_long_the_device_was_off() -> None:
    clock = SetClock()
    start = read(clock)
    clock.reboots(unix_s=BASE_UNIX_S - 365 * DAY_S)
    woken = read(clock, start)
    clock.passes(30)
    clock.synchronised = True
    clock.unix_s = BASE_UNIX_S + 2 * DAY_S
    assert read(clock, woken).elapsed_s == pytest.approx(2 * DAY_S)


def test_a_clock_set_back_while_off_takes_nothing_away() -> None:
    clock = SetClock()
    start = read(clock)
    clock.passes(1000)
    before = read(clock, start)
    clock.reboots(unix_s=BASE_UNIX_S - DAY_S)
    clock.synchronised = True
    assert read(clock, before).elapsed_s == 1010


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e5),  # seconds that pass
            st.floats(-1e9, 1e9),  # jump of the wall clock, while it is not synchronised
            st.booleans(),  # a reboot, with this many seconds off
            st.floats(0, 1e6),
            st.booleans(),  # whether a time server is found
        ),
        max_size=20,
    )
)
def test_it_never_goes_back_and_never_overtakes_the_truth(
    steps: list[tuple[float, float, bool, float, bool]],
) -> None:
    clock = SetClock(synchronised=False)
    true_unix_s = clock.unix_s
    now = read(clock)
    true_elapsed_s = 0.0
    for passes_s, jump_s, reboot, off_s, synchronised in steps:
        clock.passes(passes_s)
        true_elapsed_s += passes_s
        if reboot:
            clock.reboots(unix_s=clock.unix_s)
            true_elapsed_s += off_s + clock.monotonic_s
        clock.unix_s = min(max(clock.unix_s + jump_s, 0.0), 4e9)
        clock.synchronised = synchronised
        if synchronised:
            clock.unix_s = true_unix_s + true_elapsed_s
        before, now = now, read(clock, now)
        assert now.elapsed_s >= before.elapsed_s
        assert now.elapsed_s <= true_elapsed_s + 1e-3
