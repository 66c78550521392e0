"""From a scaled picture to the values of the model's input tensor."""

from __future__ import annotations

import numpy as np

from daemon.detection import letterbox
from daemon.detection.layout import CHANNELS, InputLayout
from daemon.detection.letterbox import Letterbox
from daemon.detection.quantisation import pixel_table
from daemon.detection.tensors import TensorValues
from daemon.frames import RgbImage
from updater.errors import ModelError

_SIGN_BIT = np.uint8(0x80)
"""XOR with it is ``- 128``: what turns a uint8 pixel into int8 of scale 1/255 and zero -128."""

_SAME_STEPS = 1
"""Calibration pictures without pure white make the scale a little less than 1/255. A shortcut that
is off by one step in the brighter half is 70 times as fast as the table, and a camera's noise is
several steps."""


class Canvas:
    """The input tensor's values, kept between frames: the border is written once a picture size.

    Args:
        taken: the input's layout.
    """

    def __init__(self, taken: InputLayout) -> None:
        self._taken = taken
        self._table = pixel_table(taken.tensor, taken.white)
        self._is_plain = _is_shift(self._table, np.uint8, 0)
        self._is_flip = _is_shift(self._table, np.int8, -128)
        self._values = np.empty(taken.tensor.shape, taken.tensor.dtype)
        self._place: Letterbox | None = None
        self._inner: TensorValues = self._values

    def place(self, source_width: int, source_height: int) -> Letterbox:
        """Where a picture of this size goes."""
        known = self._place
        if (
            known is None
            or known.source_width != source_width
            or known.source_height != source_height
        ):
            known = letterbox.fit(
                source_width, source_height, self._taken.width, self._taken.height
            )
            self._adopt(known)
        return known

    def fill(self, small: RgbImage, place: Letterbox) -> TensorValues:
        """Puts the scaled picture in its place.

        Args:
            small: uint8, shape (inner height, inner width, 3) of ``place``.
            place: from :meth:`place`.

        Returns:
            All values of the input tensor; the same array at every call.

        Raises:
            ModelError: ``small`` has another shape or type.
        """
        if small.shape != (place.inner_height, place.inner_width, CHANNELS):
            raise ModelError(
                f"a scaled picture of shape {small.shape} where "
                f"{place.inner_width}x{place.inner_height} RGB pixels belong"
            )
        if place is not self._place:
            self._adopt(place)
        if self._is_plain:
            np.copyto(self._inner, small)
        elif self._is_flip:
            np.bitwise_xor(small, _SIGN_BIT, out=self._inner)
        else:
            self._inner[...] = self._table[small]
        return self._values

    def blank(self) -> TensorValues:
        """The input of a picture that is all border."""
        self._place = None
        self._values[...] = self._table[letterbox.FILL]
        return self._values

    def _adopt(self, place: Letterbox) -> None:
        self.blank()
        values: TensorValues = self._values[0]
        picture = values.transpose(1, 2, 0) if self._taken.channels_first else values
        rows = slice(place.top, place.top + place.inner_height)
        columns = slice(place.left, place.left + place.inner_width)
        inner = picture[rows, columns]
        self._inner = inner.view(np.uint8) if self._is_plain or self._is_flip else inner
        self._place = place


def _is_shift(table: TensorValues, dtype: type, shift: int) -> bool:
    """Whether a table just adds a number to each pixel, to within ``_SAME_STEPS``."""
    if table.dtype != dtype:
        return False
    off = np.abs(table.astype(np.int64) - (np.arange(256) + shift))
    return bool(off.max() <= _SAME_STEPS)
