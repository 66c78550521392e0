from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.detection import letterbox
from updater.errors import ModelError

sizes = st.integers(1, 5000)
input_sizes = st.integers(32, 1280)
shares = st.floats(0, 1, allow_nan=False)


@given(sizes, sizes, input_sizes, input_sizes, st.lists(st.tuples(*[shares] * 4), min_size=1))
def test_there_and_back_is_the_same_box(
    source_width: int,
    source_height: int,
    input_width: int,
    input_height: int,
    rows: list[tuple[float, float, float, float]],
) -> None:
    place = letterbox.fit(source_width, source_height, input_width, input_height)
    boxes = np.array(rows, np.float64) * ([source_width, source_height] * 2)

    back = [place.to_source(place.to_input(box)) for box in boxes.tolist()]

    # Double precision over at most 5000 pixels: twelve digits and more remain.
    np.testing.assert_allclose(back, boxes, rtol=0, atol=1e-8)


@given(sizes, sizes, input_sizes, input_sizes)
def test_the_picture_touches_two_sides_and_keeps_its_aspect(
    source_width: int, source_height: int, input_width: int, input_height: int
) -> None:
    place = letterbox.fit(source_width, source_height, input_width, input_height)

    assert place.inner_width == input_width or place.inner_height == input_height
    assert 0 <= place.left <= input_width - place.inner_width
    assert 0 <= place.top <= input_height - place.inner_height
    # The border is the same on both sides, but for the odd pixel.
    assert abs(input_width - place.inner_width - 2 * place.left) <= 1
    assert abs(input_height - place.inner_height - 2 * place.top) <= 1
    exact = min(input_width / source_width, input_height / source_height)
    assert abs(place.inner_width - max(1, source_width * exact)) <= 0.5 + 1e-9
    assert abs(place.inner_height - max(1, source_height * exact)) <= 0.5 + 1e-9


@given(sizes, sizes, input_sizes, input_sizes)
def test_corners_of_the_picture_are_corners_of_its_place(
    source_width: int, source_height: int, input_width: int, input_height: int
) -> None:
    place = letterbox.fit(source_width, source_height, input_width, input_height)

    corners = place.to_input((0.0, 0.0, source_width, source_height))

    right, bottom = place.left + place.inner_width, place.top + place.inner_height
    np.testing.assert_allclose(corners, [place.left, place.top, right, bottom], atol=1e-9)


def test_a_camera_frame_at_320() -> None:
    place = letterbox.fit(1280, 720, 320, 320)

    assert (place.inner_width, place.inner_height) == (320, 180)
    assert (place.left, place.top) == (0, 70)
    assert place.to_source((0.0, 70.0, 320.0, 250.0)) == (0, 0, 1280, 720)


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ModelError, match="0x720"):
        letterbox.fit(0, 720, 320, 320)
