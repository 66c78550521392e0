"""Pictures are judged against a plain float block mean, written here apart from the code."""

from __future__ import annotations

import threading

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.frames import Picture, RgbImage
from daemon.sources.picture import ArrayPicture, CameraPicture, FrameConverter, LibavPicture

WIDTH, HEIGHT = 1280, 720


def scene(width: int = WIDTH, height: int = HEIGHT) -> RgbImage:
    """Coloured squares, smooth gradients and a little noise."""
    rng = np.random.default_rng(7)
    squares = rng.integers(40, 216, (height // 40, width // 40, 3)).repeat(40, 0).repeat(40, 1)
    noise = rng.normal(0, 6, squares.shape)
    return np.clip(squares + noise, 0, 255).astype(np.uint8)


def block_mean(rgb: RgbImage, factor: int) -> NDArray[np.float64]:
    height, width, _ = rgb.shape
    blocks = rgb.reshape(height // factor, factor, width // factor, factor, 3)
    return np.asarray(blocks.astype(np.float64).mean(axis=(1, 3)))


def libav_frame(rgb: RgbImage, pixel_format: str) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)


PIXEL_FORMATS = [
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuyv422", "nv12", "rgb24", "bgr24",
    "rgba",
]  # fmt: skip


@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
def test_small_picture_is_the_block_mean_of_the_large_one(pixel_format: str) -> None:
    picture: Picture = LibavPicture(libav_frame(scene(), pixel_format), FrameConverter())
    expected = block_mean(picture.rgb(), 4)

    small = picture.resized(320, 180)

    assert small.shape == (180, 320, 3)
    assert small.dtype == np.uint8
    error = small.astype(np.float64) - expected
    assert abs(error.mean()) < 1.0
    assert np.abs(error).mean() < 2.0


def test_array_picture_is_the_block_mean() -> None:
    rgb = scene()
    picture: Picture = ArrayPicture(rgb)

    assert (picture.width, picture.height) == (WIDTH, HEIGHT)
    assert np.abs(picture.resized(320, 180) - block_mean(rgb, 4)).mean() < 0.5
    assert picture.rgb() is rgb
    assert picture.resized(WIDTH, HEIGHT) is rgb


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuvj422p", "yuyv422"])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_black_and_white_keep_their_range(pixel_format: str, grey: int) -> None:
    flat = np.full((96, 128, 3), grey, np.uint8)
    picture = LibavPicture(libav_frame(flat, pixel_format), FrameConverter())

    assert np.abs(picture.resized(32, 24).astype(int) - grey).max() <= 2
    assert np.abs(picture.rgb().astype(int) - grey).max() <= 3


@pytest.mark.parametrize("size", [(319, 179), (321, 181), (33, 17), (200, 150), (1920, 1080)])
def test_any_size_comes_back_whole_and_contiguous(size: tuple[int, int]) -> None:
    width, height = size
    rgb = scene()
    for picture in (LibavPicture(libav_frame(rgb, "yuv420p"), FrameConverter()), ArrayPicture(rgb)):
        small = picture.resized(width, height)
        assert small.shape == (height, width, 3)
        assert small.flags.c_contiguous
        assert abs(float(small.mean()) - float(rgb.mean())) < 3


def test_colours_are_red_green_blue_in_this_order() -> None:
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:, :32, 0] = rgb[:, 32:64, 1] = rgb[:, 64:, 2] = 255
    small = LibavPicture(libav_frame(rgb, "yuv444p"), FrameConverter()).resized(48, 32)

    assert [int(small[16, x].argmax()) for x in (8, 24, 40)] == [0, 1, 2]


def test_a_picture_lying_on_its_side_is_turned_upright() -> None:
    rgb = scene(320, 160)
    lying = np.ascontiguousarray(np.rot90(rgb, -1))  # turned clockwise by 90°
    picture = LibavPicture(libav_frame(lying, "yuv444p"), FrameConverter(), rotation_degrees=90)

    assert (picture.width, picture.height) == (320, 160)
    assert np.abs(picture.rgb().astype(int) - rgb).mean() < 3
    small = picture.resized(160, 80)
    assert np.abs(small - block_mean(rgb, 2)).mean() < 3


def test_camera_picture_takes_the_small_stream_for_its_size_and_the_main_one_otherwise() -> None:
    main = libav_frame(np.full((720, 1280, 3), 200, np.uint8), "yuvj420p")
    small = libav_frame(np.full((180, 320, 3), 50, np.uint8), "yuvj420p")
    picture: Picture = CameraPicture(main, small, FrameConverter(), FrameConverter())

    assert (picture.width, picture.height) == (1280, 720)
    assert abs(float(picture.resized(320, 180).mean()) - 50) < 2
    assert abs(float(picture.resized(160, 90).mean()) - 200) < 2
    assert abs(float(picture.rgb().mean()) - 200) < 2


def test_the_small_picture_outlives_its_frame() -> None:
    converter = FrameConverter()
    small = LibavPicture(libav_frame(scene(), "yuv420p"), converter).resized(320, 180)
    before = small.copy()
    for grey in (0, 255):  # would overwrite the memory if it had been given back
        flat = np.full((HEIGHT, WIDTH, 3), grey, np.uint8)
        LibavPicture(libav_frame(flat, "yuv420p"), converter).resized(320, 180)

    assert np.array_equal(small, before)


def test_two_threads_may_use_one_picture() -> None:
    picture = LibavPicture(libav_frame(scene(), "yuv420p"), FrameConverter())
    expected_small, expected_full = picture.resized(320, 180).copy(), picture.rgb().copy()
    wrong: list[str] = []

    def use(small: bool) -> None:
        for turn in range(30):
            if small:
                # Changing sizes makes the converter rebuild its context again and again.
                width = 320 if turn % 2 else 160
                got = picture.resized(width, width * 9 // 16)
                if width == 320 and not np.array_equal(got, expected_small):
                    wrong.append("small")
            elif not np.array_equal(picture.rgb(), expected_full):
                wrong.append("full")

    threads = [threading.Thread(target=use, args=(small,)) for small in (True, False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_an_array_that_is_no_rgb_picture_is_refused(array: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="RGB picture"):
        ArrayPicture(array)
