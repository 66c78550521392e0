from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.upload.body import PORTIONS_PER_S, Pace, PacedBody

RATE = 100_000


class Time:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.longest_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.longest_s = max(self.longest_s, seconds)

    def pace(self, rate: int) -> Pace:
        return Pace(rate, sleep=self.sleep, monotonic_s=lambda: self.now_s)


def send(body: PacedBody, portion: int = 16_384) -> bytes:
    body.sending()
    return b"".join(iter(lambda: body.read(portion), b""))


@given(st.binary(max_size=5000), st.integers(1, 10_000), st.integers(1, 6000))
def test_what_is_sent_is_the_file(data: bytes, rate: int, portion: int) -> None:
    assert send(PacedBody(io.BytesIO(data), Time().pace(rate)), portion) == data
    assert send(PacedBody(io.BytesIO(data), Time().pace(0)), -1) == data


def test_the_mean_rate_holds_over_many_files() -> None:
    time = Time()
    pace = time.pace(RATE)
    for _ in range(20):
        send(PacedBody(io.BytesIO(bytes(RATE)), pace))
    assert 18.0 <= time.now_s <= 20.0
    assert time.longest_s <= 1.0 / PORTIONS_PER_S + 1e-6, "the connection never rests for long"


def test_signing_is_not_sending() -> None:
    time = Time()
    body = PacedBody(io.BytesIO(bytes(10 * RATE)), time.pace(RATE))
    while body.read(1_048_576):
        pass
    assert time.now_s == 0.0
    body.seek(0)
    send(body)
    assert time.now_s > 8.0
    sent_s = time.now_s
    body.seek(0)
    assert len(body.read()) == 10 * RATE
    assert time.now_s == sent_s, "read again from the beginning: to be signed again"


def test_the_size_can_be_found_out() -> None:
    body = PacedBody(io.BytesIO(bytes(17)), Time().pace(0))
    assert body.seek(0, os.SEEK_END) == 17
    assert body.tell() == 17
    assert body.seek(0) == 0


def test_a_disk_that_fails_is_remembered() -> None:
    class Broken(io.BytesIO):
        def read(self, count: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    body = PacedBody(Broken(), Time().pace(0))
    with pytest.raises(OSError, match="Input/output error"):
        body.read(10)
    assert body.error is not None
    assert body.error.errno == 5
