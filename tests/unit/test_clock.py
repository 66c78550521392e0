from __future__ import annotations

import ctypes
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon import clock
from daemon.clock import Clock, clock_synchronised, read_boot_id
from updater.errors import StorageError


def test_a_stamp_says_all_it_knows() -> None:
    made = Clock(
        wall_s=lambda: 1_669_132_800.5,
        monotonic_s=lambda: 17.25,
        synchronised=lambda: False,
        boot_id="b",
    ).stamp()
    assert made.time == datetime(2022, 11, 22, 16, 0, 0, 500_000, tzinfo=UTC)
    assert (made.clock_synchronised, made.monotonic_s, made.boot_id) == (False, 17.25, "b")


def test_an_earlier_moment_follows_a_clock_that_was_corrected_since() -> None:
    wall_s = 0.0  # 1970: the time at boot without a network
    ticking = Clock(
        wall_s=lambda: wall_s,
        monotonic_s=lambda: 100.0,
        synchronised=lambda: True,
        boot_id="b",
    )
    wall_s = 1_669_132_800.0
    stamp = ticking.stamp_of(98.5)
    assert stamp.time.timestamp() == pytest.approx(1_669_132_798.5)
    assert stamp.monotonic_s == 98.5


def test_the_kernel_knows_this_boot() -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", read_boot_id())
    assert str(uuid.UUID(read_boot_id())) == Clock().boot_id


def test_without_proc_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Is /proc mounted"):
        read_boot_id(tmp_path / "boot_id")


def test_the_kernel_is_asked_and_answers() -> None:
    state = clock._Timex()
    if clock._adjtimex(ctypes.byref(state)) < 0:
        pytest.skip("this sandbox forbids adjtimex(2), even to read")
    assert 0 < state.maxerror <= 16_000_000, "the structure is not laid out as the kernel's"
    assert clock_synchronised() == (state.maxerror < 16_000_000)


@pytest.mark.parametrize("exists", [True, False])
def test_where_the_kernel_may_not_be_asked_timesyncd_answers(
    exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "synchronized"
    if exists:
        file.touch()
    monkeypatch.setattr(clock, "_adjtimex", lambda _: -1)  # EPERM under ProtectClock=
    monkeypatch.setattr(clock, "TIMESYNCD_FILE", file)
    assert clock_synchronised() is exists
