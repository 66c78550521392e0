"""Perceptual hash: pictures that look alike have hashes that differ in few bits.

The DCT hash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
Upper Austria University of Applied Sciences, 2010, section 3.2: grey, 32x32, two-dimensional
DCT-II, the 8x8 coefficients next to the lowest row and column, each compared with their median.
Brightness only moves the row and column left out, contrast scales all coefficients alike, and
sensor noise sits in the frequencies left out above. One change: a coefficient must exceed the
median by more than noise does, or a dark, empty picture would hash to something new each time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daemon.frames import RgbImage

HASH_BITS = 64
GRID_PX = 32
"""The picture is scaled to this square before the transform (Zauner)."""

BLOCK = 8
"""Coefficients kept in each direction: 8 times 8 are 64 bits."""

NOISE_FLOOR = 64.0
"""Of an unscaled coefficient: three standard deviations under sensor noise of 10 grey levels, of
which the mean of the 50 pixels under a cell of the grid leaves 1.4 and the transform makes 16 times
as much. In photographs nine of ten coefficients are larger than twice this."""


def _dct_rows() -> NDArray[np.float32]:
    """Rows 1 to 8 of the DCT-II matrix of length 32, shape (8, 32); no scale, a median needs none.

    Entry (k, n) is ``cos(pi (2 n + 1) k / 64)`` (Ahmed, Natarajan, Rao: Discrete Cosine Transform,
    IEEE Trans. Computers C-23, 1974).
    """
    k = np.arange(1, BLOCK + 1)[:, None]
    n = np.arange(GRID_PX)[None, :]
    rows: NDArray[np.float32] = np.cos(np.pi * (2 * n + 1) * k / (2 * GRID_PX)).astype(np.float32)
    return rows


_ROWS = _dct_rows()


def phash(picture: RgbImage) -> int:
    """The hash of a picture.

    Args:
        picture: shape (height, width, 3), RGB; a small one (the detector's) is enough.

    Returns:
        64 bits; the most significant one is the lowest frequency.
    """
    grey = Image.fromarray(picture).convert("L").resize((GRID_PX, GRID_PX), Image.Resampling.BOX)
    coefficients = _ROWS @ np.asarray(grey, dtype=np.float32) @ _ROWS.T
    bits = coefficients > np.median(coefficients) + NOISE_FLOOR
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hamming(first: int, second: int) -> int:
    """Bits in which two hashes differ, 0 to 64."""
    return (first ^ second).bit_count()


def to_hex(value: int) -> str:
    """16 lower-case hex digits."""
    return f"{value:016x}"
