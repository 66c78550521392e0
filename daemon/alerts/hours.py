"""Active hours: when in the week the rules apply, on the wall clock of the site."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from updater.errors import ConfigError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 24 * 60
MOST_SPANS = 100
_SPAN = re.compile(r"([a-z]{3}(?:\s*[-,]\s*[a-z]{3})*)\s+(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)")
_HINT = "Write it like 'Mon-Fri 06:30-18:00' or 'Sat,Sun 22:00-06:00'"


@dataclass(frozen=True, slots=True)
class _Span:
    """Days of the week (0 is Monday) on which the span begins, and its minutes of the day.

    ``end_min`` is beyond ``DAY_MIN`` where the span runs over midnight.
    """

    days: frozenset[int]
    start_min: int
    end_min: int


class ActiveHours:
    """A set of weekly spans.

    Spans are read on the wall clock: when the clocks change, 06:30 stays 06:30, a span over the
    skipped hour is one hour shorter and one over the repeated hour one hour longer.

    Args:
        spans: for example ``("Mon-Fri 06:30-18:00", "Sat 22:00-06:00")``. The end is exclusive; an
            end before the start lies on the next day; ``24:00`` is midnight at the day's end. None
            at all means always.
        timezone: IANA name of the site's time zone; empty: times are taken as they come.
        where: the configuration field, for errors.

    Raises:
        ConfigError: a span that cannot be read, or a time zone that this system does not know.
    """

    def __init__(
        self, spans: tuple[str, ...], timezone: str = "", *, where: str = "rules.active_hours"
    ) -> None:
        if len(spans) > MOST_SPANS:
            raise ConfigError(f"more than {MOST_SPANS} spans", where=where)
        self._spans = tuple(_parse(text, f"{where}[{i}]") for i, text in enumerate(spans))
        self._zone = _zone(timezone) if timezone else None

    def contain(self, local_time: datetime) -> bool:
        """Whether the rules apply at this moment.

        Args:
            local_time: an aware time (it is converted to the time zone given), or, without a time
                zone, the wall clock itself.
        """
        if not self._spans:
            return True
        now = local_time.astimezone(self._zone) if self._zone else local_time
        minute = now.hour * 60 + now.minute
        today = now.weekday()
        yesterday = (now - timedelta(days=1)).weekday()
        return any(
            (today in span.days and span.start_min <= minute < span.end_min)
            or (yesterday in span.days and minute < span.end_min - DAY_MIN)
            for span in self._spans
        )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"'{name}' is not a time zone known here",
            where="rules.timezone",
            hint="Use an IANA name, one of 'timedatectl list-timezones'",
        ) from error


def _parse(text: str, where: str) -> _Span:
    found = _SPAN.fullmatch(text.strip().lower())
    if not found:
        raise ConfigError(f"'{text}' cannot be read", where=where, hint=_HINT)
    start_min = _minute(found[2], found[3], text, where)
    end_min = _minute(found[4], found[5], text, where)
    if start_min == DAY_MIN:
        raise ConfigError(f"'{text}' starts at 24:00", where=where, hint="Use 00:00 of next day")
    if end_min == start_min:
        raise ConfigError(f"'{text}' has no length", where=where, hint="A whole day is 00:00-24:00")
    if end_min < start_min:
        end_min += DAY_MIN
    days: set[int] = set()
    for part in found[1].replace(" ", "").split(","):
        days |= _days(part, text, where)
    return _Span(frozenset(days), start_min, end_min)


def _minute(hour: str, minute: str, text: str, where: str) -> int:
    value = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or value > DAY_MIN:
        raise ConfigError(f"'{text}' has a time past 24:00", where=where, hint=_HINT)
    return value


def _days(part: str, text: str, where: str) -> set[int]:
    names = part.split("-")
    unknown = [name for name in names if name not in DAYS]
    if unknown or len(names) > 2:
        raise ConfigError(
            f"'{text}' has no days of the week", where=where, hint="Days are Mon, Tue, … Sun"
        )
    first, last = DAYS.index(names[0]), DAYS.index(names[-1])
    return {(first + i) % 7 for i in range((last - first) % 7 + 1)}
