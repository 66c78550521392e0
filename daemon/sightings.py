"""Who is in one frame: each person with the head that belongs to it, and heads without a person.

Geometry of a single frame only; time comes in with :mod:`daemon.tracker` and
:mod:`daemon.evidence`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from daemon.assignment import assign
from daemon.detections import HEAD, HELMET, PERSON, Detection, Detections
from daemon.frames import Box

MOST_BOXES = 64
"""Strongest bodies, and heads, that are looked at: more people than a camera can tell apart, and a
bound on the work that one strange frame can cause."""

SAME_HEAD_INSIDE = 0.6
"""Head boxes of either class are opinions on one head if this share of the smaller lies in the
larger; heads of two people overlap less, even shoulder to shoulder."""

UPPER_PART = 0.3
"""Share of an upright person's box, from the top, in which the centre of the head lies: usually at
0.07, with the arms raised over the head down to here. A helmet carried in the hand is lower."""

UPPER_PART_SQUAT = 0.45
"""The same for a box that is not upright: of somebody bent over, sitting, or cut at the hips."""

ABOVE_TOP = 0.12
"""How far over the person's box the head's centre may lie, in heights of the box: a detector often
cuts a helmet off the person."""

BESIDE = 0.6
"""How far from the person's middle line the head's centre may lie, in widths of the box: a person
who leans or reaches has the head at the edge of the box."""

HEAD_SIZE = (0.06, 0.85)
"""Least and greatest size of a head in heights of the person's box: half of what a standing person
has (1/7.5), and a close-up of head and shoulders. The size is the larger side, since the picture's
edge may cut the other."""

DOUBLE_INSIDE = 0.8
DOUBLE_SHIFT = 0.25
"""A person box is a second one of the same person if this share of it lies in the other, and top
and middle line differ by at most so many of its sides: both would have the same head."""

EDGE = 0.01
"""A box nearer to the picture's edge than this share of its height is cut by it."""

UPRIGHT = 1.8
"""Height over width from which a box shows a whole standing person, head included. Squatter are
people bent or sitting, head and shoulders, and legs alone at the picture's upper edge."""


@dataclass(frozen=True, slots=True)
class Head:
    """One head: the boxes of both classes that lie on it.

    Attributes:
        box: of the stronger class.
        helmet_score: 0 where no helmet box lies on it.
        bare_score: 0 where no bare-head box lies on it.
    """

    box: Box
    helmet_score: float
    bare_score: float

    @property
    def score(self) -> float:
        """Of the stronger class."""
        return max(self.helmet_score, self.bare_score)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One person in one frame.

    Attributes:
        body: the person's box, None where only a head was found.
        body_score: of that box, 0 without.
        head: the head, None where none was found.
        head_in_view: whether a head would have been found if the model could: false where the
            person is too small, cut by the upper edge, or behind somebody else's head. True
            wherever a head was found.
        fresh: whether this may be a person nobody has seen yet; false for a stray head box within
            somebody else's body.
    """

    body: Box | None
    body_score: float
    head: Head | None
    head_in_view: bool
    fresh: bool = True

    @property
    def box(self) -> Box:
        """The body, or the head where there is no body."""
        if self.body is not None:
            return self.body
        assert self.head is not None
        return self.head.box

    @property
    def score(self) -> float:
        """How sure it is that somebody is here: the better of body and head."""
        return max(self.body_score, self.head.score if self.head else 0.0)


def sightings(
    detections: Detections, *, least_score: float, least_head_view_px: float
) -> tuple[Sighting, ...]:
    """Sorts the boxes of a frame into people.

    Each head goes to at most one person and each person gets at most one, by the best fit over all
    of them together, so that people who overlap do not take each other's helmets.

    Args:
        detections: of one frame, in any order.
        least_score: boxes below are noise.
        least_head_view_px: height of a person in pixels under which a missing helmet says nothing.

    Returns:
        People, surest first.
    """
    bodies = _strongest(detections.of_class(PERSON), least_score)
    heads = _heads(_strongest(detections.of_class(HELMET) + detections.of_class(HEAD), least_score))
    fits = np.array(
        [[_misfit(body.box, head.box) for head in heads] for body in bodies], np.float64
    ).reshape(len(bodies), len(heads))
    owner = dict(assign(fits, _WORST_FIT))
    taken = set(owner.values())
    people: list[Sighting] = []
    for row, body in enumerate(bodies):
        head = heads[owner[row]] if row in owner else None
        in_view = head is not None or (
            body.box.height >= least_head_view_px
            and not _cut_at_top(body.box)
            and not np.isfinite(fits[row]).any()
        )
        people.append(Sighting(body.box, body.score, head, in_view))
    people = _without_doubles(people)
    for column, head in enumerate(heads):
        if column not in taken:
            fresh = bool(np.isfinite(fits[:, column]).any()) or not any(
                _holds(body.box, head.box) for body in bodies
            )
            people.append(Sighting(None, 0.0, head, True, fresh))
    return tuple(sorted(people, key=lambda person: (-person.score, person.box.as_tuple())))


def _strongest(found: tuple[Detection, ...], least_score: float) -> list[Detection]:
    usable = [one for one in found if one.score >= least_score and one.box.area > 0]
    usable.sort(key=lambda one: (-one.score, one.class_name, one.box.as_tuple()))
    return usable[:MOST_BOXES]


def _heads(found: list[Detection]) -> list[Head]:
    """Joins boxes that lie on one head, around the strongest of them."""
    groups: list[list[Detection]] = []
    for one in found:
        for group in groups:
            smaller = min(one.box.area, group[0].box.area)
            if _shared_area(one.box, group[0].box) >= SAME_HEAD_INSIDE * smaller:
                group.append(one)
                break
        else:
            groups.append([one])
    return [
        Head(
            group[0].box,
            max((one.score for one in group if one.class_name == HELMET), default=0.0),
            max((one.score for one in group if one.class_name == HEAD), default=0.0),
        )
        for group in groups
    ]


_WORST_FIT = math.hypot(2 * BESIDE, 4 * UPPER_PART_SQUAT)


def _misfit(body: Box, head: Box) -> float:
    """How badly a head fits a body: 0 at the top of its middle line, infinity where it cannot.

    A quarter of the body's height downward counts as much as half of its width sideways: about
    the same length on a standing person.
    """
    head_x, head_y = (head.x1 + head.x2) / 2, (head.y1 + head.y2) / 2
    aside = (head_x - (body.x1 + body.x2) / 2) / body.width
    down = (head_y - body.y1) / body.height
    possible = (
        abs(aside) <= BESIDE
        and -ABOVE_TOP <= down <= (UPPER_PART if _upright(body) else UPPER_PART_SQUAT)
        and sizes_fit(body, head)
        and head.width <= 1.2 * body.width
    )
    if not possible:
        return math.inf
    return math.hypot(2 * aside, 4 * (head.y1 - body.y1) / body.height)


def sizes_fit(body: Box, head: Box) -> bool:
    """Whether a head may be of the same person as a body, by its size."""
    share = max(head.height, head.width) / max(body.height, 1.0)
    return HEAD_SIZE[0] <= share <= HEAD_SIZE[1]


def _without_doubles(people: list[Sighting]) -> list[Sighting]:
    """Drops a second body box around the same head, unless each has a head of its own."""
    kept: list[Sighting] = []
    for person in people:
        twin = next((i for i, one in enumerate(kept) if _doubles(one, person)), None)
        if twin is None:
            kept.append(person)
        elif kept[twin].head is None and person.head is not None:
            kept[twin] = replace(kept[twin], head=person.head, head_in_view=True)
    return kept


def _doubles(one: Sighting, other: Sighting) -> bool:
    if one.head is not None and other.head is not None:
        return False
    a, b = one.box, other.box
    small = a if a.area <= b.area else b
    middle_apart = abs((a.x1 + a.x2) - (b.x1 + b.x2)) / 2
    return (
        _shared_area(a, b) >= DOUBLE_INSIDE * small.area
        and abs(a.y1 - b.y1) <= DOUBLE_SHIFT * small.height
        and middle_apart <= DOUBLE_SHIFT * small.width
    )


def _cut_at_top(body: Box) -> bool:
    return body.y1 <= EDGE * body.height and not _upright(body)


def _upright(body: Box) -> bool:
    return body.height >= UPRIGHT * body.width


def _holds(body: Box, head: Box) -> bool:
    x, y = (head.x1 + head.x2) / 2, (head.y1 + head.y2) / 2
    return body.x1 <= x <= body.x2 and body.y1 <= y <= body.y2


def overlap(a: Box, b: Box) -> float:
    """IoU of two boxes, 0 to 1."""
    shared = _shared_area(a, b)
    return shared / (a.area + b.area - shared) if shared else 0.0


def _shared_area(a: Box, b: Box) -> float:
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    return max(0.0, width) * max(0.0, height)
