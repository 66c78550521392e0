"""Does anything move? A cheap gate in front of inference, on the model's small picture.

The picture is averaged to cells of 4x4 pixels of brightness: noise of the sensor shrinks to a
quarter, and a walking person still covers several cells. It is compared with the last picture that
was *looked at*, not with the last one seen, so that slow movement adds up until it counts. Before
that, one gain and one offset for the whole picture are fitted and taken out: automatic exposure
and a cloud before the sun change brightness everywhere alike, and are no movement.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from daemon.config import MotionConfig
from daemon.frames import RgbImage

Cells = NDArray[np.float32]
"""Mean brightness of each cell, 0 to 255, shape (rows, columns)."""

CELL_PX = 4
"""Side of a cell in pixels of the small picture. At 320 pixels across, a person 14 m away under a
90 degree lens (28 m across, so 11 pixels to the metre) is 20 pixels high and 6 to 8 wide: about two
by five cells, more than the default area of 0.002 (7 of 3600)."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""

_CELL_WEIGHTS = np.tile(_LUMA, CELL_PX) / CELL_PX**2
"""For the sums of a cell's columns: red, green, blue, red, …"""

_GAIN_RANGE = (0.5, 2.0)
"""A larger jump of exposure than one stop between two looks counts as movement: better one look
too many than a scene explained away."""


class Reason(StrEnum):
    """Why a frame is looked at."""

    DISABLED = "gate switched off"
    FIRST = "first frame"
    FOLLOWED = "somebody is being followed"
    MOTION = "something moved"
    FORCED = "forced look"


def brightness_cells(small: RgbImage) -> Cells:
    """Mean brightness of each cell of 4x4 pixels; an incomplete last row or column is left out.

    Args:
        small: shape (height, width, 3), at least 4x4.
    """
    rows, columns = small.shape[0] // CELL_PX, small.shape[1] // CELL_PX
    cut = np.ascontiguousarray(small[: rows * CELL_PX, : columns * CELL_PX])
    # First down the columns, in integers over whole rows, which numpy does in SIMD code.
    bands = cut.reshape(rows, CELL_PX, columns * CELL_PX * 3)
    sums = bands[:, 0].astype(np.uint16)
    for row in range(1, CELL_PX):
        sums += bands[:, row]
    cells: Cells = sums.reshape(rows * columns, CELL_PX * 3).astype(np.float32) @ _CELL_WEIGHTS
    return cells.reshape(rows, columns)


def moved_fraction(reference: Cells, current: Cells, *, pixel_threshold: float) -> float:
    """The share of cells whose brightness changed otherwise than everywhere.

    A line ``current = gain * reference + offset`` is fitted by least squares, twice: the second
    time without the cells that the first line explains badly, which are those that moved.

    Args:
        reference: the cells of the picture to compare with.
        current: the cells of this picture, of the same shape.
        pixel_threshold: change of brightness, of 255, that counts.

    Returns:
        0 to 1.
    """
    x, y = reference.ravel(), current.ravel()
    if float(np.abs(y - x).max(initial=0.0)) <= pixel_threshold:
        return 0.0  # the usual case, spared the fit
    residual = np.abs(y - _fitted(x, y, x))
    still = residual <= max(pixel_threshold, 2.0 * float(residual.mean()))
    residual = np.abs(y - _fitted(x[still], y[still], x))
    moved = int(np.count_nonzero(residual > pixel_threshold))
    return moved / int(residual.size)


def _fitted(
    x: NDArray[np.float32], y: NDArray[np.float32], at: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The least-squares line through (x, y), its gain kept in range, at other places."""
    x_mean, y_mean = x.mean(), y.mean()
    centred = x - x_mean
    spread = float(centred @ centred)
    # A flat picture (night, lens cap) has no gain to find.
    gain = float(centred @ (y - y_mean)) / spread if spread > x.size else 1.0
    gain = min(max(gain, _GAIN_RANGE[0]), _GAIN_RANGE[1])
    fitted: NDArray[np.float32] = np.float32(gain) * (at - x_mean) + y_mean
    return fitted


class MotionGate:
    """Says which frames are worth a look by the model.

    Args:
        config: thresholds and the greatest time between two looks; may be replaced while running.
    """

    def __init__(self, config: MotionConfig) -> None:
        self.config = config
        self._looked_at: Cells | None = None
        self._looked_s = 0.0

    def wants(self, small: RgbImage, media_time_s: float, *, followed: bool) -> Reason | None:
        """Whether to look at this frame. If so, it is the one that later frames are compared with.

        Args:
            small: the picture in the model's size, shape (height, width, 3).
            media_time_s: the frame's time.
            followed: whether a track is alive; then every frame counts.

        Returns:
            Why, or None to spare the model.
        """
        if not self.config.enabled:
            return Reason.DISABLED
        cells = brightness_cells(small)
        reason = self._reason(cells, media_time_s, followed=followed)
        if reason is not None:
            self._looked_at = cells
            self._looked_s = media_time_s
        return reason

    def _reason(self, cells: Cells, media_time_s: float, *, followed: bool) -> Reason | None:
        if self._looked_at is None or self._looked_at.shape != cells.shape:
            return Reason.FIRST
        if followed:
            return Reason.FOLLOWED
        if media_time_s - self._looked_s >= self.config.forced_look_s:
            return Reason.FORCED
        moved = moved_fraction(self._looked_at, cells, pixel_threshold=self.config.pixel_threshold)
        return Reason.MOTION if moved > self.config.area_fraction else None
