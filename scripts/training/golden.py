"""Golden pictures of a bundle: made by our own code from pictures that anybody may use.

The portrait is scikit-image's ``astronaut`` (NASA, public domain), the cat its ``chelsea``
(CC0). Boxes are drawn by hand on the portrait and carried through every change of it, so a
golden picture says what *is* there, not what some model said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from training.dataset import Picture

Corners = tuple[float, float, float, float]

#: The face and hair, and the person, in pixels of the uncropped portrait.
_HEAD: Final[Corners] = (152.0, 14.0, 302.0, 190.0)
_PERSON: Final[Corners] = (22.0, 14.0, 380.0, 512.0)
#: Below this row the portrait shows a space helmet, about whose class one can argue.
_PORTRAIT_ROWS_PX = 330
#: Columns of the portrait with head and shoulders, without the flag and the model shuttle.
_SHOULDERS_PX = (110, 345)
_SMALL = 0.6  # how they are scaled there
_FADE_PX = 10  # width of the soft edge where they are set into another picture

# The drawn hat, in shares of the head's width and height.
_BRIM_AT_SHARE = 0.36  # the brim's height below the top of the head: above the eyebrows
_SHELL_SHARE = 0.40  # height of the shell over the brim
_BRIM_SHARE = 0.56  # half the width of the brim


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and the objects in it.

    Attributes:
        name: File name without suffix.
        picture: RGB ``[H,W,3]``.
        objects: Class name and corners in pixels, of everything that must be found.
    """

    name: str
    picture: Picture
    objects: tuple[tuple[str, Corners], ...]


def scenes() -> list[Scene]:
    """All golden scenes."""
    return [make() for make in _MAKERS]


def _portrait() -> Scene:
    """A bare head, close by."""
    picture = data.astronaut()[:_PORTRAIT_ROWS_PX].astype(np.uint8)
    person = (*_PERSON[:3], float(_PORTRAIT_ROWS_PX))
    return Scene("bare-head", picture, (("head", _HEAD), ("person", person)))


def _helmet() -> Scene:
    """The same person under a drawn yellow hard hat."""
    bare = _portrait()
    x1, y1, x2, y2 = _HEAD
    side = (_BRIM_SHARE - 0.5) * (x2 - x1)
    top = (_SHELL_SHARE - _BRIM_AT_SHARE) * (y2 - y1)
    hat = (x1 - side, y1 - top, x2 + side, y2)
    picture = draw_hard_hat(bare.picture, _HEAD)
    return Scene("hard-hat", picture, (("helmet", hat), bare.objects[1]))


def _mirrored_small() -> Scene:
    """Head and shoulders mirrored, smaller, against a wide wall."""
    left_px, right_px = _SHOULDERS_PX
    bust = _portrait().picture[:, left_px:right_px][:, ::-1]
    small = cv2.resize(bust, None, fx=_SMALL, fy=_SMALL, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    wall = _wall(360, 640)
    left, top = 300, 360 - height
    # A soft edge: a sharp frame would make it a picture in the picture.
    inside = np.zeros((height, width), np.float64)
    inside[_FADE_PX:, _FADE_PX:-_FADE_PX] = 1.0
    alpha = cv2.GaussianBlur(inside, (0, 0), _FADE_PX / 2)[..., None]
    under = wall[top:, left : left + width]
    wall[top:, left : left + width] = (alpha * small + (1 - alpha) * under).astype(np.uint8)

    def moved(box: Corners) -> Corners:
        x1, y1, x2, y2 = box
        x1, x2 = max(x1, left_px), min(x2, right_px)
        return (
            (right_px - x2) * _SMALL + left,
            y1 * _SMALL + top,
            (right_px - x1) * _SMALL + left,
            min(y2, _PORTRAIT_ROWS_PX) * _SMALL + top,
        )

    objects = (("head", moved(_HEAD)), ("person", moved(_PERSON)))
    return Scene("bare-head-small", wall, objects)


def _nobody() -> Scene:
    """A cat: round, furry, and no person."""
    cat = data.chelsea().astype(np.uint8)
    return Scene("nobody", cat, ())


def _empty_wall() -> Scene:
    """A wall and nothing else."""
    return Scene("empty", _wall(360, 640), ())


_MAKERS: Final[tuple[Callable[[], Scene], ...]] = (
    _portrait,
    _helmet,
    _mirrored_small,
    _nobody,
    _empty_wall,
)


def _wall(height: int, width: int) -> Picture:
    """A plastered wall: soft light from the left, fine grain."""
    light = np.linspace(205, 150, width)[None, :] + np.linspace(10, -25, height)[:, None]
    grain = np.random.default_rng(7).normal(0, 4, (height, width))
    grey = np.clip(light + grain, 0, 255)
    return np.stack((grey, grey * 0.98, grey * 0.94), axis=2).astype(np.uint8)


def draw_hard_hat(picture: Picture, head: Corners) -> Picture:
    """Put a yellow hard hat on the upper part of a head: shell, rib, brim, light."""
    x1, y1, x2, y2 = head
    width, height = x2 - x1, y2 - y1
    cx, brim_y = (x1 + x2) / 2, y1 + _BRIM_AT_SHARE * height
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float64)
    u, v = (columns - cx) / (0.5 * width), (rows - brim_y) / (_SHELL_SHARE * height)
    shell = (u**2 + v**2 < 1) & (v < 0.05)
    rib = shell & (np.abs(u) < 0.10 * np.sqrt(np.clip(1 - v**2, 0.2, 1)))
    across, along = (columns - cx) / (_BRIM_SHARE * width), (rows - brim_y) / (0.075 * height)
    brim = across**2 + along**2 < 1
    # Lambert light from the upper left on a half sphere, and a small highlight.
    normal_z = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
    light = np.clip(0.50 + 0.30 * normal_z - 0.22 * u - 0.22 * v, 0.25, 1.1)
    shine = np.exp(-((u + 0.35) ** 2 + (v + 0.55) ** 2) / 0.02)
    yellow = np.asarray([250.0, 200.0, 30.0])
    result = picture.astype(np.float64)
    _paint(result, shell, yellow * light[..., None] + 90 * shine[..., None])
    _paint(result, rib, yellow * (light[..., None] * 1.10))
    _paint(result, brim, yellow * np.clip(0.82 - 0.25 * u, 0.4, 1.0)[..., None])
    return np.clip(cv2.GaussianBlur(result, (0, 0), 0.7), 0, 255).astype(np.uint8)


def _paint(
    canvas: NDArray[np.float64], where: NDArray[np.bool_], colour: NDArray[np.float64]
) -> None:
    canvas[where] = colour[where]
