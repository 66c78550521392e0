"""What is sent first, and what in this run at all. Pure.

Most valuable first; of equal value the oldest, which will be deleted soonest. Pictures drawn at
random are the exception. They measure the model on what the camera really sees, so nothing in them
may decide whether they arrive: they go in the order in which they were taken, and every fourth
picture sent is one of them, wherever a run ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

RANDOM_EVERY = 4
"""As in the folder, where a quarter of the budget is theirs (daemon/captures/budget.py)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A capture that is not stored yet.

    Attributes:
        name: of its files; names sort by age.
        value: 0 to 1.
        random: whether it belongs to the random share.
        size_bytes: picture and sidecar together.
    """

    name: str
    value: float
    random: bool
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Budget:
    """What one run may send.

    Attributes:
        max_files: captures; a picture and its sidecar are one.
        max_bytes: of pictures and sidecars.
    """

    max_files: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run sends.

    Attributes:
        chosen: in this order.
        left: how many do not fit the budget, for the next run.
    """

    chosen: tuple[Candidate, ...]
    left: int


def make(candidates: Iterable[Candidate], budget: Budget) -> Plan:
    """Chooses and orders what is sent.

    A picture too large for what is left of the bytes is passed over for smaller ones. Not so among
    the random pictures, of which a choice by size would be a choice by content: the first that does
    not fit ends them for this run, unless it could never fit.
    """
    ordered = in_order(candidates)
    chosen: list[Candidate] = []
    left_bytes, random_too = budget.max_bytes, True
    for candidate in ordered:
        if len(chosen) == budget.max_files:
            break
        if candidate.random and not random_too:
            continue
        if candidate.size_bytes <= left_bytes:
            chosen.append(candidate)
            left_bytes -= candidate.size_bytes
        elif candidate.random and candidate.size_bytes <= budget.max_bytes:
            random_too = False
    return Plan(tuple(chosen), len(ordered) - len(chosen))


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """All of them, the first to send first."""
    by_age = sorted(candidates, key=lambda one: one.name)
    drawn = [one for one in by_age if one.random]
    ordered = sorted((one for one in by_age if not one.random), key=lambda one: -one.value)
    for number, one in enumerate(drawn, 1):
        ordered.insert(min(number * RANDOM_EVERY - 1, len(ordered)), one)
    return ordered
