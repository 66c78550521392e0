"""What the outbox gives up when it is full. Pure: numbers in, a plan out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its snapshot, which are kept or dropped together.

    Attributes:
        sequence: the event's number; a smaller one is older.
        expendable: whether it is an ``update``, which says again what its ``start`` said.
        messages: how many messages it has, at least 1.
        size_bytes: what they take together.
    """

    sequence: int
    expendable: bool
    messages: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the outbox may hold.

    Attributes:
        max_messages: most messages.
        max_bytes: most bytes of messages.
    """

    max_messages: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with an entry that arrives.

    Attributes:
        accept: whether it is kept.
        drop: what goes for it, in the order of dropping; empty if it is not kept.
    """

    accept: bool
    drop: tuple[Entry, ...]


def make_room(
    incoming: Entry,
    *,
    held_messages: int,
    held_bytes: int,
    limits: Limits,
    expendable: Iterable[Entry],
    lasting: Iterable[Entry],
) -> Plan:
    """Which entries go so that ``incoming`` fits: updates, oldest first, then the oldest others.

    An update never pushes out a start or an end: where dropping older updates does not make room
    for it, it goes itself and they stay.

    Args:
        incoming: the entry that arrives.
        held_messages: messages held now.
        held_bytes: their bytes.
        limits: how much may be held.
        expendable: the updates held, oldest first; read only as far as needed.
        lasting: the starts and ends held, oldest first; read only as far as needed.
    """
    messages = held_messages + incoming.messages
    size_bytes = held_bytes + incoming.size_bytes
    drop: list[Entry] = []
    for candidates in (expendable,) if incoming.expendable else (expendable, lasting):
        for entry in candidates:
            if messages <= limits.max_messages and size_bytes <= limits.max_bytes:
                break
            drop.append(entry)
            messages -= entry.messages
            size_bytes -= entry.size_bytes
    if messages <= limits.max_messages and size_bytes <= limits.max_bytes:
        return Plan(accept=True, drop=tuple(drop))
    return Plan(accept=False, drop=())
