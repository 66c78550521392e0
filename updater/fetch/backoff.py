"""When to try again, and how long to wait before."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime

TRANSIENT_STATUSES = frozenset({408, 425, 429})
"""Beside all of 5xx: request time-out, too early, too many requests."""

EXPONENT_MAX = 32
_SECONDS = re.compile(r"[0-9]{1,10}")


class TransientError(Exception):
    """An attempt that failed, and may succeed when it is made again; never leaves the package.

    Args:
        what: went wrong; in our words, without anything secret.
        asked_s: seconds that the server asks us to wait; None if it does not.
    """

    def __init__(self, what: str, asked_s: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.asked_s = asked_s


def is_transient(status: int) -> bool:
    """Whether the same request may be answered better a little later."""
    return status in TRANSIENT_STATUSES or 500 <= status <= 599


def wait_s(
    failures: int,
    *,
    base_s: float,
    max_s: float,
    random: Callable[[], float],
    asked_s: float | None = None,
    asked_max_s: float = 0.0,
) -> float:
    """Seconds to wait before the next attempt: exponential with full jitter.

    The wait is drawn evenly from nothing up to the exponential bound, which spreads a fleet that
    lost its server at the same moment best (M. Brooker, "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015). What the server asks for is a least wait, not jittered away.

    Args:
        failures: attempts that failed in a row, at least 1.
        base_s: bound of the first wait.
        max_s: bound of all.
        random: draws from 0 to 1.
        asked_s: what the server asked for, None if it did not.
        asked_max_s: what of that is granted.
    """
    bound_s = min(max_s, base_s * 2.0 ** min(failures - 1, EXPONENT_MAX))
    drawn_s = random() * bound_s
    if asked_s is None:
        return drawn_s
    return max(drawn_s, min(asked_s, asked_max_s))


def retry_after_s(value: str | None, date: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for; None if there is none or it makes no sense.

    Args:
        value: the header: seconds, or a date (RFC 9110, section 10.2.3).
        date: the answer's ``Date``. A date is measured against it: our own clock may be wrong.
    """
    if value is None:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return float(value)
    if date is None:
        return None
    try:
        asked = parsedate_to_datetime(value) - parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, asked.total_seconds())
