"""Cameras from files: an RTSP server for each, which shows photographs without end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from scripts.looping.narration import NotShownError
from scripts.looping.photographs import Photograph
from tests.support import rtsp

SIDE_PX = 416
"""Of a camera's square picture; the set's photographs are at most as long."""

HELD_FRAMES = 4
"""Frames for which one photograph is shown: the comparison of two models asks for neighbours."""

GREY = (114, 114, 114)
_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a photograph lies in the camera's picture.

    Attributes:
        left, top: its upper left corner, in pixels.
    """

    left: int
    top: int


def place(width: int, height: int) -> Placed:
    """In the middle, at its own size."""
    return Placed((SIDE_PX - width) // 2, (SIDE_PX - height) // 2)


def shown(photograph: Photograph) -> Image.Image:
    """What a camera sees of a photograph, RGB."""
    canvas = Image.new("RGB", (SIDE_PX, SIDE_PX), GREY)
    at = place(photograph.width, photograph.height)
    with Image.open(photograph.path) as image:
        canvas.paste(image.convert("RGB"), (at.left, at.top))
    return canvas


def write_frames(folder: Path, photographs: Sequence[Photograph]) -> str:
    """Writes a camera's frames, each photograph for some of them.

    Returns:
        The files as GStreamer counts them, with ``%04d``.
    """
    folder.mkdir(parents=True)
    for number, photograph in enumerate(photographs):
        first = folder / f"{number * HELD_FRAMES:04}.jpg"
        shown(photograph).save(first, "JPEG", quality=_QUALITY, subsampling=0)
        for further in range(1, HELD_FRAMES):
            os.link(first, folder / f"{number * HELD_FRAMES + further:04}.jpg")
    return str(folder / "%04d.jpg")


class Cameras:
    """RTSP servers, one a camera; they run while this is open.

    Attributes:
        urls: where each is watched.

    Args:
        folder: for the frames; made.
        views: what each camera shows.
        frames_per_s: how fast.
    """

    def __init__(
        self, folder: Path, views: Sequence[Sequence[Photograph]], frames_per_s: int
    ) -> None:
        self.urls: list[str] = []
        self._views = views
        self._folder, self._frames_per_s = folder, frames_per_s
        self._servers = ExitStack()

    def __enter__(self) -> Cameras:
        """Starts them.

        Raises:
            NotShownError: the server's packages are missing.
        """
        if missing := rtsp.missing():
            raise NotShownError(f"no RTSP server: {missing}", hint="Run: scripts/setup --tests")
        size = f"{SIDE_PX}x{SIDE_PX}"
        with ExitStack() as starting:
            for number, photographs in enumerate(self._views, 1):
                frames = write_frames(self._folder / f"{number:03}", photographs)
                options = ("--pictures", frames, "--rate", str(self._frames_per_s), "--size", size)
                server = starting.enter_context(rtsp.RtspServer(options=options))
                self.urls.append(server.url)
            self._servers = starting.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._servers.close()
