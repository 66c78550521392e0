"""Who is in one frame: each person with the head that belongs to it, and heads without a person.

Geometry of a single frame only; time comes in with :mod:`daemon.tracking.tracker` and
:mod:`daemon.tracking.evidence`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from daemon.detection.detections import HEAD, HELMET, PERSON, Detection, Detections
from daemon.frames import Box
from daemon.tracking.assignment import assign

MOST_BOXES = 64
"""Strongest bodies, and heads, that are looked at: more people than a camera can tell apart, and a
bound on the work that one strange frame can cause."""

SAME_HEAD_INSIDE = 0.5
"""Head boxes of either class are opinions on one head if this share of the smaller lies in the
larger; heads of two people overlap less, even shoulder to shoulder."""

LOWEST_TOP = 0.25
LOWEST_TOP_SQUAT = 0.4
"""How far below the top of a person's box the top of the head may lie, in heights of the box. On
an upright person it is at the top, with arms raised over the head at 0.2; the further to the side,
the nearer to the top it must be, since there are the hands, and a helmet carried in them. In a
squat box (of somebody bent over, sitting, or cut at the hips) it lies down to here at any side."""

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

DOUBLE_INSIDE = 0.7
DOUBLE_AREAS = 2.5
"""Two body boxes with one head between them are one person if this share of the smaller lies in
the larger, and the larger has at most so many times its area: head and chest are about half of a
person. A smaller box is of somebody further away."""

DOUBLE_WITH_HEAD = 0.5
"""The share of the smaller that is enough where the one head fits both bodies."""

EDGE = 0.01
"""A box nearer to the picture's edge than this share of the picture's side is cut by it."""

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
        head_in_view: whether a head, found or not, is where the model can see it: false for a body
            without one that the picture's edge cuts, or that is behind somebody else's head.
        fresh: whether this may be a person nobody has seen yet; false for a second box around a
            body, and for a stray head box within somebody else's body.
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


def sightings(detections: Detections, least_score: float) -> tuple[Sighting, ...]:
    """Sorts the boxes of a frame into people.

    Each head goes to at most one person and each person gets at most one, by the best fit over all
    of them together, so that people who overlap do not take each other's helmets.

    Args:
        detections: of one frame, in any order.
        least_score: boxes below are noise.

    Returns:
        People, surest first.
    """
    bodies = _strongest(detections.of_class(PERSON), least_score)
    heads = _heads(_strongest(detections.of_class(HELMET) + detections.of_class(HEAD), least_score))
    fits = np.array(
        [[_misfit(body.box, head) for head in heads] for body in bodies], np.float64
    ).reshape(len(bodies), len(heads))
    owner = dict(assign(fits, _WORST_FIT))
    taken = set(owner.values())
    people: list[Sighting] = []
    for row, body in enumerate(bodies):
        head = heads[owner[row]] if row in owner else None
        in_view = head is not None or (
            _head_in_view(body.box, detections.width, detections.height)
            and not np.isfinite(fits[row]).any()
        )
        people.append(Sighting(body.box, body.score, head, in_view))
    people = _with_doubles_marked(people)
    owned = [heads[column] for column in taken]
    for column, head in enumerate(heads):
        if column not in taken:
            beside = bool(np.isfinite(fits[:, column]).any())
            fresh = all(_apart(head.box, other.box) for other in owned) and (
                beside or not any(_holds(body.box, head.box) for body in bodies)
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


_WORST_FIT = math.hypot(2 * BESIDE, 4 * LOWEST_TOP_SQUAT) + 1


def _misfit(body: Box, found: Head) -> float:
    """How badly a head fits a body: 0 for a sure one at the top of its middle line.

    A quarter of the body's height downward counts as much as half of its width sideways (about
    the same length on a standing person), and as much as a score of 0 instead of 1. Infinity
    where the head cannot be this person's.
    """
    head = found.box
    aside = abs(head.x1 + head.x2 - body.x1 - body.x2) / 2 / body.width
    down = (head.y1 - body.y1) / body.height
    middle_down = down + head.height / 2 / body.height
    possible = (
        aside <= BESIDE
        and middle_down >= -ABOVE_TOP
        and down <= (LOWEST_TOP * (1 - aside / BESIDE) if _upright(body) else LOWEST_TOP_SQUAT)
        and head.width <= 1.2 * body.width
        and sizes_fit(body, head)
    )
    return math.hypot(2 * aside, 4 * down) + 1 - found.score if possible else math.inf


def sizes_fit(body: Box, head: Box) -> bool:
    """Whether a head may be of the same person as a body, by its size."""
    share = max(head.height, head.width) / max(body.height, 1.0)
    return HEAD_SIZE[0] <= share <= HEAD_SIZE[1]


def _with_doubles_marked(people: list[Sighting]) -> list[Sighting]:
    """Marks second body boxes around one person as not ``fresh``.

    Of two the one with the head counts, else the surer one (``people`` are in that order).
    """
    counted: list[Sighting] = []
    result: list[Sighting] = []
    for person in sorted(people, key=lambda one: one.head is None):
        if person.head is None and any(_doubles(one, person) for one in counted):
            result.append(replace(person, fresh=False))
        else:
            counted.append(person)
            result.append(person)
    return result


def _doubles(one: Sighting, headless: Sighting) -> bool:
    """Whether a body without a head is only another box around ``one``."""
    small, large = sorted((one.box, headless.box), key=lambda box: box.area)
    inside = _shared_area(small, large) / small.area
    if one.head is not None and math.isfinite(_misfit(headless.box, one.head)):
        return inside >= DOUBLE_WITH_HEAD
    return inside >= DOUBLE_INSIDE and large.area <= DOUBLE_AREAS * small.area


def _apart(head: Box, other: Box) -> bool:
    """Whether two head boxes lie at least a head beside or above each other."""
    x, y = (
        (head.x1 + head.x2 - other.x1 - other.x2) / 2,
        (head.y1 + head.y2 - other.y1 - other.y2) / 2,
    )
    return abs(x) >= max(head.width, other.width) or abs(y) >= max(head.height, other.height)


def _head_in_view(body: Box, width: int, height: int) -> bool:
    """Whether the head of a body, on which none was found, is in the picture and in its place.

    Not where the left or right edge cuts the body, nor where the upper edge cuts one that is not
    a whole person, nor in a box broader than high: there is no telling where its head is.
    """
    at_side = body.x1 <= EDGE * width or body.x2 >= (1 - EDGE) * width
    at_top, at_bottom = body.y1 <= EDGE * height, body.y2 >= (1 - EDGE) * height
    headless = at_top and (at_bottom or not _upright(body))
    return not at_side and not headless and body.height >= body.width


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
