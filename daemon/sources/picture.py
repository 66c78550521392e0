"""Pictures behind a frame: an RGB array, a libav frame in its own pixel format, two camera streams.

The small picture for the model is made by libswscale in two steps, because that is both the
fastest and the most faithful way there is in PyAV. Scaling the planes of a 1280x720 yuv420p frame
to 320x180 by area (``SWS_AREA``: every source pixel counts with its share) stays in SIMD code;
turning the small planes to RGB then takes libswscale's unscaled converter. 0.2 ms together on the
x86-64 development machine, against 0.35 to 0.7 ms for one call that does both, 0.2 ms for
FAST_BILINEAR, which skips pixels and aliases, and 1.3 ms for Pillow on an RGB array.
"""

from __future__ import annotations

import threading
from typing import Any

import av
import av.logging
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

from daemon.frames import RgbImage

# The pixel format in which a small picture is made before it becomes RGB. 4:2:2 keeps the chroma
# rows that 4:2:0 would average away once more. Full-range formats ("yuvj…") stay full-range.
# Formats that are not listed go to RGB in one step.
_SMALL_FORMAT = {
    "yuv420p": "yuv422p",
    "yuv422p": "yuv422p",
    "yuv444p": "yuv444p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "nv12": "yuv422p",
    "nv21": "yuv422p",
    "yuvj420p": "yuvj422p",
    "yuvj422p": "yuvj422p",
    "yuvj444p": "yuvj444p",
}

# As plain integers: looking up a member of an enumeration and its value takes longer than a frame
# should wait.
_AREA = int(Interpolation.AREA)
_BILINEAR = int(Interpolation.BILINEAR)

_DEGREES_OF_A_QUARTER_TURN = 90


class ArrayPicture:
    """A picture that already is an RGB array.

    Args:
        rgb: shape (height, width, 3), uint8. It is kept, not copied.
    """

    def __init__(self, rgb: RgbImage) -> None:
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            msg = f"an RGB picture is uint8 (height, width, 3), not {rgb.dtype} {rgb.shape}"
            raise ValueError(msg)
        self._rgb = np.ascontiguousarray(rgb)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self._rgb.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self._rgb.shape[0])

    def resized(self, width: int, height: int) -> RgbImage:
        """The whole picture scaled to exactly this size."""
        if (width, height) == (self.width, self.height):
            return self._rgb
        # reducing_gap=1.0: first the exact mean over whole blocks, then the rest by a triangle
        # filter. Same picture as the plain filter to a quarter of a grey level, at a quarter of
        # the time.
        image = Image.fromarray(self._rgb).resize(
            (width, height), Image.Resampling.BILINEAR, reducing_gap=1.0
        )
        return np.asarray(image)

    def rgb(self) -> RgbImage:
        """The picture itself."""
        return self._rgb


class FrameConverter:
    """Scales libav frames and turns them to RGB; one for each source, shared by its pictures.

    A libswscale context is costly to build and cheap to use again, and each ``VideoReformatter``
    remembers only its last one, so each of the three kinds of conversion has its own. A context
    must not be used by two threads at once; pictures are (inference on one thread, a snapshot on
    another), hence the lock.
    """

    def __init__(self) -> None:
        # Damaged streams make libav write many lines a second, which wears an SD card. We count
        # and report damage ourselves.
        av.logging.set_level(av.logging.PANIC)
        self._lock = threading.Lock()
        self._scale = VideoReformatter()
        self._small_to_rgb = VideoReformatter()
        self._full_to_rgb = VideoReformatter()
        self._options = _single_thread_option()

    def resized(self, frame: av.VideoFrame, width: int, height: int) -> RgbImage:
        """The whole frame scaled to exactly this size.

        Args:
            frame: in any pixel format.
            width: pixels.
            height: pixels.

        Returns:
            Shape (height, width, 3); a view of libav's memory where its rows have no padding.
        """
        # AREA only makes sense when pixels get fewer.
        shrinks = width <= frame.width and height <= frame.height
        interpolation = _AREA if shrinks else _BILINEAR
        small_format = _SMALL_FORMAT.get(frame.format.name, "rgb24")
        with self._lock:
            small = self._scale.reformat(
                frame, width, height, small_format, interpolation=interpolation, **self._options
            )
            if small_format != "rgb24":
                small = self._small_to_rgb.reformat(small, width, height, "rgb24", **self._options)
        return _rgb_array(small)

    def rgb(self, frame: av.VideoFrame) -> RgbImage:
        """The frame in its own size: shape (height, width, 3)."""
        with self._lock:
            converted = self._full_to_rgb.reformat(
                frame, frame.width, frame.height, "rgb24", **self._options
            )
        return _rgb_array(converted)


class LibavPicture:
    """A decoded frame, kept in its own pixel format until somebody asks.

    Args:
        frame: the decoded frame; libav must not write into it any more.
        converter: the source's converter.
        rotation_degrees: how far the picture must be turned counter-clockwise to stand upright
            (telephones write their videos lying on the side); a multiple of 90.
    """

    __slots__ = ("_converter", "_frame", "_quarter_turns")

    def __init__(
        self, frame: av.VideoFrame, converter: FrameConverter, *, rotation_degrees: int = 0
    ) -> None:
        self._frame = frame
        self._converter = converter
        self._quarter_turns = round(rotation_degrees / _DEGREES_OF_A_QUARTER_TURN) % 4

    @property
    def width(self) -> int:
        """Pixels, upright."""
        return self._frame.height if self._quarter_turns % 2 else self._frame.width

    @property
    def height(self) -> int:
        """Pixels, upright."""
        return self._frame.width if self._quarter_turns % 2 else self._frame.height

    def resized(self, width: int, height: int) -> RgbImage:
        """The whole picture scaled to exactly this size."""
        if self._quarter_turns % 2:
            width, height = height, width
        return self._upright(self._converter.resized(self._frame, width, height))

    def rgb(self) -> RgbImage:
        """The picture in full resolution."""
        return self._upright(self._converter.rgb(self._frame))

    def _upright(self, rgb: RgbImage) -> RgbImage:
        if not self._quarter_turns:
            return rgb
        return np.ascontiguousarray(np.rot90(rgb, self._quarter_turns))


class CameraPicture:
    """Two streams of one exposure: a large one for pictures, a small one made by the camera's ISP.

    Asked for the size that the ISP delivers, it only has to convert; any other size comes from
    the large stream.

    Args:
        main: the large stream.
        small: the same exposure and field of view in the small size.
        converter: the source's converter for the large stream.
        small_converter: the source's converter for the small stream, apart so that neither
            pushes out the other's context.
    """

    __slots__ = ("_main", "_small", "_small_converter")

    def __init__(
        self,
        main: av.VideoFrame,
        small: av.VideoFrame,
        converter: FrameConverter,
        small_converter: FrameConverter,
    ) -> None:
        self._main = LibavPicture(main, converter)
        self._small = small
        self._small_converter = small_converter

    @property
    def width(self) -> int:
        """Pixels of the large stream."""
        return self._main.width

    @property
    def height(self) -> int:
        """Pixels of the large stream."""
        return self._main.height

    def resized(self, width: int, height: int) -> RgbImage:
        """The whole picture scaled to exactly this size; free in the small stream's size."""
        if (width, height) == (self._small.width, self._small.height):
            return self._small_converter.rgb(self._small)
        return self._main.resized(width, height)

    def rgb(self) -> RgbImage:
        """The large stream."""
        return self._main.rgb()


def _rgb_array(frame: av.VideoFrame) -> RgbImage:
    """The pixels of an rgb24 frame, without a copy where libav did not pad its rows."""
    plane: Any = frame.planes[0]  # a buffer, which its type information does not say
    stride = plane.line_size
    # One call: numpy's routines are not in the processor's caches when a frame's turn comes.
    rgb: RgbImage = np.ndarray(
        (frame.height, frame.width, 3), np.uint8, plane, strides=(stride, 3, 1)
    )
    return rgb if stride == frame.width * 3 else np.ascontiguousarray(rgb)


def _single_thread_option() -> dict[str, int]:
    """``threads=1`` where PyAV has it: from version 17 on it starts a thread a core otherwise.

    Older versions always use one thread and do not know the argument.
    """
    try:
        VideoReformatter().reformat(av.VideoFrame(16, 16, "rgb24"), 16, 16, "rgb24", threads=1)
    except TypeError:
        return {}
    return {"threads": 1}
