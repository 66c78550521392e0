"""Augmentation of training pictures: mosaic, scale, translation, flip, colour, poor optics.

All are functions of their arguments and a generator: the same seed gives the same picture.
The bounds of the *visible* rule: an object cut to less than ``min_visible`` of its area is no
longer a fair positive and not yet a fair negative, so it becomes a box to be ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Picture = NDArray[np.uint8]

_PAD_GREY = 114  # letterbox colour of YOLOv5; the device uses the same
_IGNORE = -1.0


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How strongly pictures are changed.

    Attributes:
        scale: Least and greatest magnification over the letterboxed size (log-uniform).
        translate: Greatest shift, as a share of the output size.
        hue, saturation, value: Greatest relative change of each.
        flip: Probability of a mirrored picture.
        degrade: Probability of blur, JPEG artefacts or grey (surveillance cameras).
        min_visible: Share of its area that must remain for an object to stay a positive.
        min_side_px: Least side of a positive, in output pixels.
    """

    scale: tuple[float, float] = (0.4, 2.0)
    translate: float = 0.12
    hue: float = 0.015
    saturation: float = 0.6
    value: float = 0.4
    flip: float = 0.5
    degrade: float = 0.15
    min_visible: float = 0.35
    min_side_px: float = 3.0


def augment(
    sources: Sequence[tuple[Picture, Boxes]],
    size_px: int,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> tuple[Picture, Boxes]:
    """Make one square training picture.

    Args:
        sources: One picture with boxes, or four for a mosaic. Boxes are ``[N,5]``: class and
            corners in pixels.
        size_px: Side of the result.
        settings: Strength.
        rng: Source of chance.

    Returns:
        RGB ``[size_px,size_px,3]`` and boxes ``[M,5]`` inside it.

    Raises:
        ValueError: If there are neither one nor four sources.
    """
    canvas = np.full((size_px, size_px, 3), _PAD_GREY, np.uint8)
    if len(sources) == 1:
        tiles = [(0, 0, size_px, size_px)]
    elif len(sources) == 4:
        cx, cy = (int(v) for v in rng.uniform(0.3, 0.7, 2) * size_px)
        tiles = [
            (0, 0, cx, cy),
            (cx, 0, size_px, cy),
            (0, cy, cx, size_px),
            (cx, cy, size_px, size_px),
        ]
    else:
        raise ValueError(f"a mosaic has 4 pictures, a plain sample 1; got {len(sources)}")
    kept = []
    for (picture, boxes), tile in zip(sources, tiles, strict=True):
        matrix = _placement(picture.shape[:2], tile, size_px, settings, rng)
        x1, y1, x2, y2 = tile
        # Boxes are in coordinates of pixel edges, OpenCV's matrices in those of pixel centres.
        half = (np.diag(matrix[:, :2]) - 1) / 2
        shift = np.asarray([[0, 0, half[0] - x1], [0, 0, half[1] - y1]], np.float32)
        into_tile = matrix + shift
        canvas[y1:y2, x1:x2] = cv2.warpAffine(
            picture,
            into_tile,
            (x2 - x1, y2 - y1),
            flags=cv2.INTER_AREA if abs(matrix[0, 0]) < 0.5 else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(_PAD_GREY, _PAD_GREY, _PAD_GREY),
        )
        kept.append(move_boxes(boxes, matrix, tile, settings))
    canvas = _colour(canvas, settings, rng)
    if rng.random() < settings.degrade:
        canvas = _degrade(canvas, rng)
    return canvas, np.concatenate(kept)


def _placement(
    shape: tuple[int, ...],
    tile: tuple[int, int, int, int],
    size_px: int,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """The 2x3 matrix from source pixels to canvas pixels."""
    height, width = shape[:2]
    low, high = np.log(settings.scale)
    scale = size_px / max(height, width) * float(np.exp(rng.uniform(low, high)))
    x1, y1, x2, y2 = tile
    single = (x2 - x1, y2 - y1) == (size_px, size_px)
    offset = []
    for start, end, length in ((x1, x2, width * scale), (y1, y2, height * scale)):
        room = (end - start) - length
        if single:
            shift = rng.uniform(-1, 1) * settings.translate * size_px
            # A magnified picture is cropped anywhere, not only around its middle.
            free = rng.uniform(min(room, 0.0), max(room, 0.0)) if room < 0 else room / 2
            offset.append(start + free + (0.0 if room < 0 else shift))
        elif room < 0:
            offset.append(start + rng.uniform(room, 0.0))
        else:  # too small for its quarter: against the middle of the mosaic
            offset.append(start + (room if start == 0 else 0.0))
    if rng.random() < settings.flip:
        return np.asarray(
            [[-scale, 0, offset[0] + width * scale], [0, scale, offset[1]]], np.float32
        )
    return np.asarray([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float32)


def move_boxes(
    boxes: Boxes,
    matrix: NDArray[np.float32],
    tile: tuple[int, int, int, int],
    settings: AugmentSettings,
) -> Boxes:
    """Map boxes by an axis-parallel ``matrix`` and cut them to ``tile``.

    Returns:
        The boxes still to be seen; those cut or shrunk below the settings' bounds have become
        boxes to be ignored (class -1), those out of sight are gone.
    """
    if not len(boxes):
        return boxes.reshape(0, 5)
    x = boxes[:, [1, 3]] * matrix[0, 0] + matrix[0, 2]
    y = boxes[:, [2, 4]] * matrix[1, 1] + matrix[1, 2]
    x.sort(axis=1)
    y.sort(axis=1)
    area = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
    x = x.clip(tile[0], tile[2])
    y = y.clip(tile[1], tile[3])
    width, height = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    moved = np.stack((boxes[:, 0], x[:, 0], y[:, 0], x[:, 1], y[:, 1]), 1).astype(np.float32)
    poor = (width * height < settings.min_visible * area) | (
        np.minimum(width, height) < settings.min_side_px
    )
    moved[poor, 0] = _IGNORE
    seen: Boxes = moved[(width > 1.0) & (height > 1.0)]
    return seen


def _colour(picture: Picture, settings: AugmentSettings, rng: np.random.Generator) -> Picture:
    """Jitter hue, saturation and value by tables, as cheap as a look-up."""
    gain = rng.uniform(-1, 1, 3) * (settings.hue, settings.saturation, settings.value) + 1
    levels = np.arange(256)
    tables = (
        (levels * gain[0]) % 180,
        np.clip(levels * gain[1], 0, 255),
        np.clip(levels * gain[2], 0, 255),
    )
    channels = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    changed = [
        cv2.LUT(channel, table.astype(np.uint8))
        for channel, table in zip(channels, tables, strict=True)
    ]
    return cv2.cvtColor(cv2.merge(changed), cv2.COLOR_HSV2RGB).astype(np.uint8, copy=False)


def _degrade(picture: Picture, rng: np.random.Generator) -> Picture:
    """Blur, compress or take the colour away."""
    kind = int(rng.integers(3))
    if kind == 0:
        return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.5, 1.6))).astype(np.uint8)
    if kind == 1:
        quality = int(rng.integers(20, 60))
        ok, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not ok:
            raise RuntimeError("OpenCV could not encode a JPEG in memory")
        unpacked = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        if unpacked is None:
            raise RuntimeError("OpenCV could not decode its own JPEG")
        return unpacked.astype(np.uint8, copy=False)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
