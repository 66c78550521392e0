"""Pictures on disk: their content hash, their size as shown, and what they look like."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from daemon.captures.phash import phash

PICTURE_MAX_BYTES: Final = 64 * 1024 * 1024
PICTURE_MAX_PIXELS: Final = 100_000_000
#: Side of the square of grey cells that :mod:`scripts.labelling.duplicates` compares.
GRID_PX: Final = 32
_SUFFIXES: Final = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png"}
#: EXIF tag 0x0112; values from 5 to 8 swap width and height.
_ORIENTATION: Final = 0x0112

Grid = NDArray[np.uint8]


class PictureError(Exception):
    """A file is no picture that can be trained on; caught where it is left out and reported."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a file holds.

    Attributes:
        sha256: Of its bytes.
        width, height: In pixels as it is shown, after its EXIF orientation: so every labelling
            tool and OpenCV see it.
        suffix: ``.jpg`` or ``.png``, by content.
        phash: Perceptual hash, 64 bits.
        grid: Mean grey of its cells, shape (32, 32).
    """

    sha256: str
    width: int
    height: int
    suffix: str
    phash: int
    grid: Grid


def measure(path: Path) -> Measured:
    """Read a picture to its end.

    Raises:
        PictureError: It cannot be read, is too large, no JPEG or PNG, or cut off.
    """
    try:
        with path.open("rb") as file:
            data = file.read(PICTURE_MAX_BYTES + 1)
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror}") from error
    if len(data) > PICTURE_MAX_BYTES:
        raise PictureError(f"larger than {PICTURE_MAX_BYTES} bytes")
    image, width, height, kind = _decode(data, shrink_to_px=8 * GRID_PX)
    small = image.resize((8 * GRID_PX, 8 * GRID_PX), Image.Resampling.BOX)
    grid = small.convert("L").resize((GRID_PX, GRID_PX), Image.Resampling.BOX)
    return Measured(
        sha256=hashlib.sha256(data).hexdigest(),
        width=width,
        height=height,
        suffix=_SUFFIXES[kind],
        phash=phash(np.asarray(small)),
        grid=np.asarray(grid),
    )


def open_upright(path: Path, shrink_to_px: int) -> Image.Image:
    """A picture as it is shown, RGB, perhaps in reduced size but not below ``shrink_to_px``.

    Raises:
        PictureError: As :func:`measure`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror}") from error
    return _decode(data, shrink_to_px)[0]


def _decode(data: bytes, shrink_to_px: int) -> tuple[Image.Image, int, int, str]:
    """The picture upright, its full width and height so, and its format."""
    try:
        with warnings.catch_warnings():
            # Of odd metadata, and of a size that is checked below.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
                kind, (width, height) = str(image.format), image.size
                if width * height > PICTURE_MAX_PIXELS:
                    raise PictureError(f"{width}x{height} pixels are too many")
                if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8):
                    width, height = height, width
                # JPEG only, and it still reads the file to its end.
                image.draft("RGB", (shrink_to_px, shrink_to_px))
                upright = ImageOps.exif_transpose(image)
                return upright.convert("RGB"), width, height, kind
    except PictureError:
        raise
    # Pillow's decoders and its EXIF parser raise all of these on damaged files.
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        KeyError,
        TypeError,
        OverflowError,
    ) as error:
        raise PictureError(f"no readable JPEG or PNG: {error}") from error
