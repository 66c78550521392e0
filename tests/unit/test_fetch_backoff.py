from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.fetch import backoff

_seconds = st.floats(0.0, 1e4)


def test_which_statuses_are_tried_again() -> None:
    transient = {status for status in range(100, 600) if backoff.is_transient(status)}
    assert transient == {408, 425, 429, *range(500, 600)}


def test_the_bound_doubles_until_its_limit() -> None:
    waits = [
        backoff.wait_s(failures, base_s=1.0, max_s=10.0, random=lambda: 1.0)
        for failures in range(1, 7)
    ]
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@given(
    failures=st.integers(1, 10_000),
    base_s=_seconds,
    max_s=_seconds,
    drawn=st.floats(0.0, 1.0),
    asked_s=st.none() | st.floats(0.0, 1e9),
    asked_max_s=_seconds,
)
def test_a_wait_is_bounded(
    failures: int,
    base_s: float,
    max_s: float,
    drawn: float,
    asked_s: float | None,
    asked_max_s: float,
) -> None:
    wait_s = backoff.wait_s(
        failures,
        base_s=base_s,
        max_s=max_s,
        random=lambda: drawn,
        asked_s=asked_s,
        asked_max_s=asked_max_s,
    )
    assert 0.0 <= wait_s <= max(max_s, asked_max_s)
    if asked_s is not None:
        assert wait_s >= min(asked_s, asked_max_s), "the server's wish is not jittered away"


def test_the_jitter_is_full() -> None:
    assert backoff.wait_s(5, base_s=1.0, max_s=60.0, random=lambda: 0.0) == 0.0


NOW = "Sun, 22 Nov 2026 20:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, NOW, None),
        ("120", None, 120.0),
        (" 0 ", None, 0.0),
        ("Sun, 22 Nov 2026 20:01:30 GMT", NOW, 90.0),
        ("Sun, 22 Nov 2026 19:00:00 GMT", NOW, 0.0),
        ("Sun, 22 Nov 2026 20:01:30 GMT", None, None),
        ("Sun, 22 Nov 2026 20:01:30 GMT", "yesterday", None),
        ("-5", NOW, None),
        ("1.5", NOW, None),
        ("soon", NOW, None),
        ("9" * 40, NOW, None),
        # One with and one without a zone cannot be compared.
        ("Sun, 22 Nov 2026 20:01:30 -0000", NOW, None),
    ],
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    assert backoff.retry_after_s(value, date) == seconds


@given(st.text(max_size=60), st.none() | st.text(max_size=60))
def test_retry_after_takes_any_text(value: str, date: str | None) -> None:
    seconds = backoff.retry_after_s(value, date)
    assert seconds is None or seconds >= 0.0
