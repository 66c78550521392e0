"""The worst errors of a model, as small pictures with the boxes drawn in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from scripts.labelling.page import colour
from training.dataset import CLASSES, IGNORE, Example
from training.decode import Found
from training.evaluate import MAIN_CLASSES
from training.matching import Matching

KINDS: Final = ("confused", "false", "missed")
_SIDE_PX: Final = 240
_CONTEXT: Final = 4.0  # side of the cut to the longer side of the box
_LEAST_CUT_PX: Final = 96
_JPEG_QUALITY: Final = 75
_SHOWN: Final = tuple(CLASSES.index(name) for name in MAIN_CLASSES)


@dataclass(frozen=True, slots=True)
class Error:
    """One of them.

    Attributes:
        kind: Of `KINDS`.
        caption: What is what, and where.
        weight: The greater the worse: the score of what was seen, or the size in pixels of what
            was not.
        box: Corners around which to look.
        example, seen: The picture, and its detections at the working threshold.
    """

    kind: str
    caption: str
    weight: float
    box: tuple[float, float, float, float]
    example: Example
    seen: Found


def worst(pictures: Sequence[tuple[Example, Found, Matching]], most: int) -> list[Error]:
    """The worst errors, at most ``most`` of each kind.

    Only helmets and heads: labels of persons come from another model, and tell no error of ours.
    """
    found: list[Error] = []
    for example, seen, joined in pictures:
        kinds = [CLASSES[int(kind)] if kind != IGNORE else "" for kind in example.boxes[:, 0]]
        boxes = [tuple(box) for box in example.boxes[:, 1:].tolist()]
        names = [CLASSES[int(kind)] for kind in seen.classes]
        for label, detection in joined.pairs:
            if kinds[label] != names[detection] and kinds[label] in MAIN_CLASSES:
                score = float(seen.scores[detection])
                caption = f"{kinds[label]} taken for {names[detection]} {score:.2f}"
                found.append(Error("confused", caption, score, boxes[label], example, seen))
        for label in joined.missed:
            if kinds[label] in MAIN_CLASSES:
                x1, y1, x2, y2 = boxes[label]
                side = min(x2 - x1, y2 - y1)
                caption = f"{kinds[label]} of {side:.0f} px"
                found.append(Error("missed", caption, side, boxes[label], example, seen))
        for detection in joined.false:
            if names[detection] in MAIN_CLASSES:
                score = float(seen.scores[detection])
                box = tuple(seen.boxes[detection].tolist())
                caption = f"{names[detection]} {score:.2f}"
                found.append(Error("false", caption, score, box, example, seen))
    found.sort(key=lambda error: -error.weight)
    return [
        error for kind in KINDS for error in [each for each in found if each.kind == kind][:most]
    ]


def draw(error: Error) -> bytes:
    """A JPEG of 240 x 240 px: labels thick, detections thin with their score."""
    height, width = error.example.picture.shape[:2]
    x1, y1, x2, y2 = error.box
    side = max(_CONTEXT * max(x2 - x1, y2 - y1), _LEAST_CUT_PX)
    left, top = (x1 + x2 - side) / 2, (y1 + y2 - side) / 2
    # Moved into the picture where it has the room; what is beyond its edges stays grey.
    left = min(max(left, 0.0), max(width - side, 0.0))
    top = min(max(top, 0.0), max(height - side, 0.0))
    image = Image.fromarray(error.example.picture).transform(
        (_SIDE_PX, _SIDE_PX),
        Image.Transform.EXTENT,
        (left, top, left + side, top + side),
        Image.Resampling.BICUBIC,
        fillcolor=(114, 114, 114),
    )
    pen = ImageDraw.Draw(image)
    scale = _SIDE_PX / side
    shift = np.asarray([left, top, left, top])
    for kind, *around in error.example.boxes.tolist():
        if kind in _SHOWN:
            line = colour(CLASSES[int(kind)], CLASSES)
            pen.rectangle(((np.asarray(around) - shift) * scale).tolist(), outline=line, width=3)
    shown = error.seen.where(np.isin(error.seen.classes, _SHOWN))
    for box, score, kind in zip(shown.boxes, shown.scores, shown.classes, strict=True):
        line = colour(CLASSES[int(kind)], CLASSES)
        corners = ((box - shift) * scale).tolist()
        pen.rectangle(corners, outline="white", width=2)
        pen.rectangle(corners, outline=line, width=1)
        place = (max(corners[0], 0) + 2, max(corners[1], 0) + 1)
        pen.text(place, f"{score:.2f}", fill="white", stroke_width=2, stroke_fill=line)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
