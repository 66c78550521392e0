"""Drawn variety of heads: long hair from behind and in front, hair and hats of other colours.

The bare heads of the training set are nearly all short and dark, its hats few in colour. A model
that learns "short and dark" calls long hair seen from behind a helmet. So heads of training
pictures are painted over with drawn hair, and hats and hair recoloured, before any other
augmentation. Everything is drawn from chance; no other picture is involved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

_HELMET: Final = 0
_HEAD: Final = 1
_LEAST_SIDE_PX = 7  # on smaller heads there is nothing to see of hair

#: Hair in RGB: black, dark brown, brown, light brown, blond, red, grey.
_HAIR_RGB: Final = np.asarray(
    [
        [22, 20, 22],
        [52, 38, 30],
        [95, 66, 45],
        [140, 104, 70],
        [196, 164, 112],
        [132, 64, 36],
        [150, 148, 146],
    ],
    np.float64,
)
_HAIR_SHARES: Final = np.asarray([0.34, 0.18, 0.14, 0.10, 0.12, 0.05, 0.07])


@dataclass(frozen=True, slots=True)
class HeadwearSettings:
    """How often each change is made.

    Attributes:
        back: Share of bare heads that become long hair seen from behind.
        front: Share of bare heads that get long hair around the face.
        recolour_hair: Share of bare heads whose dark hair gets another colour.
        recolour_hat: Share of hats that get another colour.
        bare: Share of hats that disappear under drawn hair and become bare heads.
    """

    back: float = 0.15
    front: float = 0.2
    recolour_hair: float = 0.35
    recolour_hat: float = 0.1
    bare: float = 0.1


def vary(
    picture: Picture, boxes: Boxes, settings: HeadwearSettings, rng: np.random.Generator
) -> tuple[Picture, Boxes]:
    """Change some heads and hats of a picture.

    Args:
        picture: RGB ``[H,W,3]``; not changed itself.
        boxes: ``[N,5]``: class and corners in pixels; not changed itself.
        settings: How often.
        rng: Source of chance.

    Returns:
        The changed picture, and the boxes, in which a hat that was painted over is a head.
    """
    picture, boxes = picture.copy(), boxes.copy()
    for box in boxes:
        if box[0] not in (_HELMET, _HEAD):
            continue
        chance = rng.random()
        if min(box[3] - box[1], box[4] - box[2]) < _LEAST_SIDE_PX:
            continue
        if box[0] == _HEAD:
            if chance < settings.back:
                paint_hair(picture, box[1:], rng, face=False)
            elif chance < settings.back + settings.front:
                paint_hair(picture, box[1:], rng, face=True)
            elif chance < settings.back + settings.front + settings.recolour_hair:
                _recolour_hair(picture, box[1:], rng)
        elif chance < settings.bare:
            paint_hair(picture, box[1:], rng, face=False)
            box[0] = _HEAD
        elif chance < settings.bare + settings.recolour_hat:
            _recolour_hat(picture, box[1:], rng)
    return picture, boxes


def paint_hair(picture: Picture, box: Boxes, rng: np.random.Generator, *, face: bool) -> None:
    """Paint hair over a head, in place.

    A cap of hair over the skull, from which hair falls to somewhere between chin and back;
    where ``face``, an oval of the face stays free.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    width, height = x2 - x1, y2 - y1
    fall = rng.uniform(-0.15, 1.3) * height  # below the chin
    left, right = int(x1 - 0.35 * width), int(x2 + 0.35 * width) + 1
    top, bottom = int(y1 - 0.1 * height), int(y2 + max(fall, 0.0) + 0.1 * height) + 1
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, picture.shape[1]), min(bottom, picture.shape[0])
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float64) + 0.5
    u = (columns - (x1 + x2) / 2) / (0.52 * width)
    v = (rows - y1) / height
    # The outline: a superellipse over the skull, below it a fall that widens and waves.
    power = rng.uniform(2.0, 2.8)
    skull = np.abs(u) ** power + np.abs((v - 0.5) / 0.52) ** power < 1
    spread = rng.uniform(-0.15, 0.25)
    wave = rng.uniform(0.0, 0.08) * np.sin(v * rng.uniform(4, 12) + rng.uniform(0, 6))
    end = 1 + fall / height + 0.08 * np.cos(u * rng.uniform(2, 5) + rng.uniform(0, 6))
    falling = (v > 0.45) & (v < end) & (np.abs(u + wave) < 0.92 + spread * (v - 0.45))
    mask = (skull | falling).astype(np.float64)
    if face:
        centre, low = rng.uniform(-0.12, 0.12), rng.uniform(0.58, 0.68)
        oval = ((u - centre) / rng.uniform(0.58, 0.74)) ** 2 + ((v - low) / 0.42) ** 2 < 1
        below = (v > 0.9) & (np.abs(u - centre) < 0.45)
        mask[oval | below] = 0.0
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.4, 0.03 * width))
    colour = _hair_colour(rng) * _shading(u, v, mask.shape, rng)[..., None]
    patch = picture[top:bottom, left:right]
    blended = patch + mask[..., None] * (colour - patch)
    picture[top:bottom, left:right] = np.clip(blended, 0, 255).astype(np.uint8)


def _shading(u: Floats, v: Floats, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Brightness of hair: strands, a gloss on the crown, darker sides."""
    strands = cv2.GaussianBlur(
        rng.normal(0, 1, shape), (0, 0), sigmaX=0.7, sigmaY=max(1.0, 0.12 * shape[0])
    )
    strands *= rng.uniform(0.08, 0.35) / (strands.std() + 1e-6)
    gloss = rng.uniform(0.0, 0.5) * np.exp(
        -(((v - rng.uniform(0.15, 0.35)) / 0.1) ** 2) - (u - rng.uniform(-0.4, 0.4)) ** 2 / 0.3
    )
    sides = 1 - rng.uniform(0.1, 0.4) * np.clip(np.abs(u), 0, 1) ** 2
    fade = 1 + rng.uniform(-0.15, 0.35) * np.clip(v - 0.4, 0, 1)  # lighter ends
    result: Floats = (1 + strands + gloss) * sides * fade * rng.uniform(0.75, 1.25)
    return result


def _hair_colour(rng: np.random.Generator) -> Floats:
    base = _HAIR_RGB[rng.choice(len(_HAIR_RGB), p=_HAIR_SHARES)]
    colour: Floats = np.clip(base * rng.uniform(0.8, 1.2, 3), 5, 235)
    return colour


def _soft_oval(width: int, height: int, centre: float, half: float) -> Floats:
    """1 inside an oval of the box's width, around ``centre`` of its height; soft at the edge."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64) + 0.5
    radius = ((columns / width - 0.5) / 0.5) ** 2 + ((rows / height - centre) / half) ** 2
    oval: Floats = np.clip((1.1 - radius) / 0.25, 0, 1)
    return oval


def _patch(picture: Picture, box: Boxes) -> Picture:
    x1, y1, x2, y2 = (round(float(v)) for v in box)
    return picture[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]


def _recolour_hair(picture: Picture, box: Boxes, rng: np.random.Generator) -> None:
    """Give the dark pixels of a head's upper part another hair colour, in place."""
    patch = _patch(picture, box)
    grey = patch.mean(2).astype(np.float64)
    dark = np.clip((110 - grey) / 40, 0, 1)
    mask = dark * _soft_oval(patch.shape[1], patch.shape[0], 0.35, 0.42)
    light = 0.75 + (grey - 30) / 120
    colour = _hair_colour(rng) * light[..., None]
    patch[:] = np.clip(patch + mask[..., None] * (colour - patch), 0, 255).astype(np.uint8)


def _recolour_hat(picture: Picture, box: Boxes, rng: np.random.Generator) -> None:
    """Turn the hue of a hat, and make it a little paler, lighter or darker, in place.

    Not much darker: a first try painted hats nearly black, and dark hair became a hat.
    """
    patch = _patch(picture, box)
    hsv = cv2.cvtColor(patch, cv2.COLOR_RGB2HSV).astype(np.float64)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(0, 180)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.6, 1.3), 0, 255)
    hsv[..., 2] = np.clip(hsv[..., 2] * rng.uniform(0.6, 1.15), 0, 255)
    colour = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    mask = _soft_oval(patch.shape[1], patch.shape[0], 0.28, 0.40)[..., None]
    patch[:] = np.clip(patch + mask * (colour.astype(np.float64) - patch), 0, 255).astype(np.uint8)
