"""Where a run is struck: every recorded call that touches what must survive. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.crash.trace import Call

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Point:
    """One call of a run.

    Attributes:
        call: name of the system call.
        number: which of the calls of this name, from 1.
        paths: that it is about, for people.
    """

    call: str
    number: int
    paths: tuple[str, ...]


def points(calls: Iterable[Call], roots: Sequence[str], *, network: bool = False) -> list[Point]:
    """The calls at which a run can be struck, in the order in which it makes them.

    Args:
        calls: of a whole run.
        roots: folders whose content must survive.
        network: whether what goes to another process counts too.
    """
    return [
        Point(call.name, call.number, call.paths)
        for call in calls
        if call.touches(roots) or (network and call.is_over_network)
    ]


def is_at(calls: Sequence[Call], point: Point, roots: Sequence[str]) -> bool:
    """Whether the call that was struck is the one meant, and not one of a run gone otherwise."""
    found = next((c for c in calls if (c.name, c.number) == (point.call, point.number)), None)
    return found is not None and (found.touches(roots) or found.is_over_network)


def spread(found: Sequence[T], count: int, *, kind: Callable[[T], str]) -> list[T]:
    """So many of them, the same each time: every kind at least once, then evenly.

    Args:
        found: in order.
        count: about so many, but never fewer than there are kinds.
        kind: of one, e.g. the name of its call.
    """
    places: dict[str, list[int]] = {}
    for place, each in enumerate(found):
        places.setdefault(kind(each), []).append(place)
    chosen: list[int] = []
    for own in places.values():
        share = min(len(own), max(1, round(count * len(own) / len(found))))
        chosen += (own[(2 * step + 1) * len(own) // (2 * share)] for step in range(share))
    return [found[place] for place in sorted(chosen)]
