from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.alerts.hours import MOST_SPANS, ActiveHours
from updater.errors import ConfigError


def at(text: str) -> datetime:
    """'Mon 06:30' in the week of 3 June 2024, a Monday."""
    day, clock = text.split()
    date = 3 + ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].index(day)
    return datetime.fromisoformat(f"2024-06-{date:02}T{clock}:00+00:00")


@pytest.mark.parametrize(
    ("spans", "inside", "outside"),
    [
        (
            ("Mon-Fri 06:30-18:00",),
            ("Mon 06:30", "Wed 12:00", "Fri 17:59"),
            ("Mon 06:29", "Fri 18:00", "Sat 12:00"),
        ),
        (
            ("Sat 22:00-06:00",),
            ("Sat 22:00", "Sat 23:59", "Sun 00:00", "Sun 05:59"),
            ("Sat 05:00", "Sun 06:00", "Sun 23:00", "Mon 01:00"),
        ),
        (("Sun 22:00-02:00",), ("Sun 23:00", "Mon 01:59"), ("Mon 02:00", "Sat 23:00")),
        (("Fri-Mon 00:00-24:00",), ("Fri 00:00", "Sun 23:59", "Mon 12:00"), ("Tue 00:00",)),
        (("mon , WED 7:00 - 8:00",), ("Mon 07:30", "Wed 07:00"), ("Tue 07:30", "Mon 08:00")),
        (
            ("Mon-Wed,Fri 07:00-09:00", "Sat 10:00-11:00"),
            ("Tue 08:00", "Fri 08:00", "Sat 10:30"),
            ("Thu 08:00", "Sat 08:00"),
        ),
        (("Mon 00:00-00:01",), ("Mon 00:00",), ("Mon 00:01", "Sun 23:59")),
        ((), ("Mon 00:00", "Sun 23:59"), ()),
    ],
)
def test_spans(spans: tuple[str, ...], inside: tuple[str, ...], outside: tuple[str, ...]) -> None:
    hours = ActiveHours(spans)
    assert [moment for moment in inside if not hours.contain(at(moment))] == []
    assert [moment for moment in outside if hours.contain(at(moment))] == []


@pytest.mark.parametrize(
    "text",
    [
        "", "Mon", "06:30-18:00", "Mon 06:30", "Mon 25:00-26:00", "Mon 06:60-07:00",
        "Mon 24:00-06:00", "Mon 24:01-06:00", "Mon 06:00-06:00", "Xyz 06:00-07:00",
        "Mon-Tue-Wed 06:00-07:00", "Mon-Xyz 06:00-07:00", "Mon 06:00-07:00 and more",
        "Montag 06:00-07:00",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ActiveHours(("Mon 06:00-07:00", text))
    assert caught.value.where == "rules.active_hours[1]"
    assert repr(text) in caught.value.what


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../../etc/passwd", "Europe", "\0"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ActiveHours((), name)
    assert caught.value.where == "rules.timezone"


def test_spans_are_bounded() -> None:
    with pytest.raises(ConfigError, match="more than"):
        ActiveHours(("Mon 06:00-07:00",) * (MOST_SPANS + 1))


@pytest.mark.parametrize(
    ("utc", "inside"),
    [
        ("2024-03-30T05:29", False),  # winter: 06:29 in Berlin
        ("2024-03-30T05:30", True),
        ("2024-03-31T04:29", False),  # summer: 06:29
        ("2024-03-31T04:30", True),
        ("2024-10-26T16:00", False),  # summer: 18:00
        ("2024-10-27T16:59", True),  # winter: 17:59
        ("2024-10-27T17:00", False),
    ],
)
def test_the_wall_clock_of_the_site_counts_on_both_sides_of_a_change(
    utc: str, inside: bool
) -> None:
    hours = ActiveHours(("Sat-Sun 06:30-18:00",), "Europe/Berlin")
    assert hours.contain(datetime.fromisoformat(f"{utc}:00+00:00")) is inside


@pytest.mark.parametrize(("day", "length_min"), [(30, 60), (31, 0)])
def test_a_skipped_hour_is_not_there(day: int, length_min: int) -> None:
    hours = ActiveHours(("Sat-Sun 02:00-03:00",), "Europe/Berlin")
    start = datetime(2024, 3, day, tzinfo=UTC)
    minutes = [hours.contain(start + timedelta(minutes=i)) for i in range(600)]
    assert sum(minutes) == length_min


def test_a_repeated_hour_is_there_twice() -> None:
    hours = ActiveHours(("Sun 02:00-03:00",), "Europe/Berlin")
    start = datetime(2024, 10, 27, tzinfo=UTC)
    assert sum(hours.contain(start + timedelta(minutes=i)) for i in range(600)) == 120


@given(st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1439), st.integers(0, 7 * 1440 - 1))
def test_a_span_is_as_long_as_it_says(day: int, start_min: int, length_min: int, now: int) -> None:
    def clock(minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    name = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day]
    end_min = (start_min + length_min) % 1440
    hours = ActiveHours((f"{name} {clock(start_min)}-{clock(end_min)}",))
    since_start = (now - day * 1440 - start_min) % (7 * 1440)
    moment = datetime(2024, 6, 3, tzinfo=UTC) + timedelta(minutes=now)
    assert hours.contain(moment) is (since_start < length_min)
