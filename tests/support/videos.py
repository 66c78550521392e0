"""Small real videos, written by libav into a test's own folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from daemon.frames import RgbImage

WIDTH, HEIGHT = 160, 96


def grey_levels(count: int) -> list[int]:
    """A level for each frame by which it can be told from its neighbours."""
    return [20 + (7 * number) % 200 for number in range(count)]


def make_video(
    path: Path,
    *,
    frames: int = 20,
    rate: int = 10,
    codec: str = "mpeg4",
    stamps: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    rotation_degrees: int = 0,
    pictures: Sequence[NDArray[np.uint8]] = (),
) -> Path:
    """Writes a video: flat grey frames, each with its level of :func:`grey_levels`.

    Args:
        path: the file; its ending decides the container.
        frames: how many.
        rate: frames a second.
        codec: libav's name.
        stamps: the frames' times in units of 1/rate; 0, 1, 2, … if None.
        options: the container's options.
        rotation_degrees: written into the container as the way the picture lies (PyAV >= 18).
        pictures: these instead of grey ones, all of one shape (height, width, 3).
    """
    with av.open(str(path), "w", options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        height, width = pictures[0].shape[:2] if pictures else (HEIGHT, WIDTH)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        if rotation_degrees:
            stream.set_display_rotation(rotation_degrees)
        for number, picture in enumerate(pictures or _grey_pictures(frames)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = stamps[number] if stamps is not None else number
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_video(path: Path, pictures: Iterable[RgbImage], *, rate: int) -> Path:
    """Writes RGB pictures of one size, however many, as MPEG-4 at ``rate`` frames a second."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=rate)
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _grey_pictures(count: int) -> list[NDArray[np.uint8]]:
    return [np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in grey_levels(count)]
