"""Which picture goes when the folder is full: pure rules over what is kept.

Two pools share the budget of files and bytes:

- the *chosen* pictures, kept for what is seen in them. The one that is worth least now goes first;
  a picture loses half of its value every seven days, since newer ones show the site and the model
  as they are.
- the *random* pictures, an unbiased sample for evaluation. Choosing among them by value would undo
  that, so none ever goes for its value: they own a quarter of the budget, and when they hold more
  than that, the oldest goes.

Pictures that are stored elsewhere (uploaded) go before all others, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

RANDOM_SHARE = 0.25
"""Of the budget; at the default rate of 24 a day and 2000 files, three weeks."""

HALF_LIFE_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One capture in the folder.

    Attributes:
        name: of its files, without suffix.
        size_bytes: picture and sidecar together.
        value: 0 to 1, when it was kept.
        elapsed_s: when it was kept, on the captures' count of time; infinite where unknown.
        random: whether it belongs to the random share.
        stored: whether it lies safely elsewhere.
        reasons: why it was kept.
    """

    name: str
    size_bytes: int
    value: float
    elapsed_s: float
    random: bool
    stored: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """What the folder may hold.

    Attributes:
        max_files: captures.
        max_bytes: of pictures and sidecars.
    """

    max_files: int
    max_bytes: int


def value_now(entry: Entry, now_s: float) -> float:
    """A picture's value after its age: halved every :data:`HALF_LIFE_S`."""
    return float(entry.value * 0.5 ** (max(0.0, now_s - entry.elapsed_s) / HALF_LIFE_S))


def expired(entries: Iterable[Entry], now_s: float, max_age_s: float) -> list[Entry]:
    """Entries older than the age limit."""
    return [entry for entry in entries if now_s - entry.elapsed_s > max_age_s]


def make_room(
    entries: Iterable[Entry], budget: Budget, now_s: float, incoming: Entry | None = None
) -> list[Entry] | None:
    """Which entries must go so that the rest and a new one fit.

    Args:
        entries: what is kept.
        budget: what may be kept.
        now_s: elapsed seconds.
        incoming: the new one, not among ``entries``; None when only the budget has shrunk.

    Returns:
        The entries that must go, in order; None if the new one is worth less than what would have
        to go for it, or is larger than the whole budget.
    """
    left = list(entries)
    stored = sorted((e for e in left if e.stored), key=lambda e: e.elapsed_s, reverse=True)
    drawn = sorted(
        (e for e in left if e.random and not e.stored), key=lambda e: e.elapsed_s, reverse=True
    )
    chosen = sorted(
        (e for e in left if not e.random and not e.stored),
        key=lambda e: value_now(e, now_s),
        reverse=True,
    )
    files, size = len(left), sum(entry.size_bytes for entry in left)
    drawn_size = sum(entry.size_bytes for entry in drawn)
    if incoming is not None:
        files, size = files + 1, size + incoming.size_bytes
    going: list[Entry] = []
    while files > budget.max_files or size > budget.max_bytes:
        if stored:
            victim = stored.pop()
        elif drawn and (not chosen or _over_share(drawn, drawn_size, incoming, budget)):
            if (
                incoming is not None
                and not incoming.random
                and not _over_share(drawn, drawn_size, None, budget)
            ):
                return None
            victim = drawn.pop()
            drawn_size -= victim.size_bytes
        elif chosen:
            victim = chosen.pop()
            worth_more = incoming is None or incoming.random
            if not worth_more and incoming and value_now(victim, now_s) > incoming.value:
                return None
        else:
            return None
        going.append(victim)
        files, size = files - 1, size - victim.size_bytes
    return going


def _over_share(
    drawn: list[Entry], drawn_size: int, incoming: Entry | None, budget: Budget
) -> bool:
    """Whether the random pictures, the new one included, hold more than their share."""
    files = len(drawn)
    if incoming is not None and incoming.random:
        files, drawn_size = files + 1, drawn_size + incoming.size_bytes
    return (
        files > max(1, round(RANDOM_SHARE * budget.max_files))
        or drawn_size > RANDOM_SHARE * budget.max_bytes
    )
