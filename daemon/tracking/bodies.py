"""Proportions of a standing person, to tell a body's size and ground from a part of it."""

from __future__ import annotations

from daemon.detection.detections import HEAD
from daemon.frames import Box

BODY_HEADS = 7.5
"""Height of a standing adult in heads: the usual canon of figure drawing."""

SHOULDERS = 2.0
"""Least height of a body in widths of its box. A whole person's box is 2 to 4 times as high as
wide; one that is squatter is cut, bent or sitting, and the width tells more than the height."""


def body_px(subject: str, box: Box) -> float:
    """Size of the whole person in pixels, at least 1, from a body or from a head alone."""
    if subject == HEAD:
        return max(BODY_HEADS * box.height, 1.0)
    return max(box.height, SHOULDERS * box.width, 1.0)


def ground_px(subject: str, box: Box) -> tuple[float, float]:
    """Where the person stands, in pixels: the bottom centre of the body.

    Under a head alone the feet are taken to be ``BODY_HEADS`` head heights below its top; that may
    be below the picture.
    """
    x, y = box.bottom_centre
    return (x, box.y1 + BODY_HEADS * box.height) if subject == HEAD else (x, y)


def centre(box: Box) -> tuple[float, float]:
    """The middle of a box, pixels."""
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def crown(box: Box) -> tuple[float, float]:
    """The middle of a box's upper side: about the same point on a body and on its head alone."""
    return (box.x1 + box.x2) / 2, box.y1
