from __future__ import annotations

import numpy as np
import pytest

from daemon.detection.layout import InputLayout
from daemon.detection.prepare import Canvas
from daemon.detection.quantisation import pixel_table
from daemon.detection.tensors import TensorInfo
from updater.errors import ModelError

SIZE = 32
KINDS = [
    ("int8", 1 / 255, -128),  # the XOR
    ("int8", 0.99 / 255, -128),  # not quite: calibration never saw white
    ("int8", 2 / 255, 0),  # the table
    ("uint8", 1 / 255, 0),
    ("uint8", 0.0, 0),
    ("float32", 0.0, 0),
]


def taken(dtype: str, scale: float, zero: int, *, channels_first: bool) -> InputLayout:
    shape = (1, 3, SIZE, SIZE) if channels_first else (1, SIZE, SIZE, 3)
    return InputLayout(TensorInfo("i", shape, dtype, scale, zero), SIZE, SIZE, channels_first, 1.0)


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize(("dtype", "scale", "zero"), KINDS)
def test_the_picture_lies_in_a_grey_border(
    dtype: str, scale: float, zero: int, channels_first: bool
) -> None:
    layout = taken(dtype, scale, zero, channels_first=channels_first)
    canvas = Canvas(layout)
    rng = np.random.default_rng(3)
    for width, height in ((64, 36), (30, 64), (64, 64), (64, 36)):
        place = canvas.place(width, height)
        small = rng.integers(0, 256, (place.inner_height, place.inner_width, 3), dtype=np.uint8)

        values = canvas.fill(small, place)

        assert values.shape == layout.tensor.shape
        assert values.dtype == np.dtype(dtype)
        expected = np.full((SIZE, SIZE, 3), 114, np.uint8)
        expected[
            place.top : place.top + place.inner_height,
            place.left : place.left + place.inner_width,
        ] = small
        exact = pixel_table(layout.tensor, layout.white)[expected].astype(np.float64)
        got = values[0].transpose(1, 2, 0) if channels_first else values[0]
        # One step where the shortcut stands for a scale that is not quite 1/255.
        tolerance = 1.0 if scale == 0.99 / 255 else 0.0
        assert np.abs(got - exact).max() <= tolerance


def test_the_buffer_is_used_again() -> None:
    canvas = Canvas(taken("int8", 1 / 255, -128, channels_first=False))
    place = canvas.place(64, 36)
    small = np.zeros((place.inner_height, place.inner_width, 3), np.uint8)
    assert canvas.fill(small, place) is canvas.fill(small, canvas.place(64, 36))


def test_blank_wipes_the_last_picture() -> None:
    canvas = Canvas(taken("uint8", 1 / 255, 0, channels_first=False))
    place = canvas.place(64, 64)
    small = np.full((SIZE, SIZE, 3), 7, np.uint8)
    canvas.fill(small, place)

    assert (canvas.blank() == 114).all()
    assert (canvas.fill(small, canvas.place(64, 64)) == 7).all()


@pytest.mark.parametrize("shape", [(18, 31, 3), (32, 32, 3), (18, 32, 4)])
def test_a_scaled_picture_of_the_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    canvas = Canvas(taken("int8", 1 / 255, -128, channels_first=False))
    place = canvas.place(64, 36)
    with pytest.raises(ModelError, match="32x18 RGB"):
        canvas.fill(np.zeros(shape, np.uint8), place)
