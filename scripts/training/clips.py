"""In how many frames of a clip each class is seen: what a user feels, without labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from training.dataset import CLASSES, DatasetError, Picture
from training.predict import Maps, detect


def read_frames(path: Path, every: int = 1) -> Iterator[Picture]:
    """Every ``every``-th frame of a video, RGB.

    Raises:
        DatasetError: If the file is not a readable video.
    """
    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    except (av.error.FFmpegError, OSError) as error:
        raise DatasetError(f"cannot be decoded: {error}", where=str(path)) from error


def frames_with(
    frames: Iterator[Picture], size_px: int, maps: Maps, least_score: float
) -> dict[str, int]:
    """Number of frames, and of frames with at least one detection of each class."""
    counts = {"frames": 0, **dict.fromkeys(CLASSES, 0)}
    for picture in frames:
        counts["frames"] += 1
        seen = detect(picture, size_px, maps, least_score)
        for number, name in enumerate(CLASSES):
            counts[name] += bool((seen.classes == number).any())
    return counts
