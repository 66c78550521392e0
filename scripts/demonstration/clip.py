"""Makes the sample clip: a hand-held camera pans along a wall with posters on it.

Nobody who could object is on it. The person is scikit-image's ``astronaut`` (Eileen Collins, NASA,
public domain), once bare-headed and once under a hard hat that we draw; between them hangs a cup
of coffee (CC0), as round as a helmet and no person at all.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Rgb = NDArray[np.uint8]

WIDTH_PX, HEIGHT_PX = 1280, 720
FRAMES_PER_S = 10
PAN_PX_PER_S = 320.0
"""Each poster is in view for 5.6 s, longer than the rules' longest waiting time (3 s)."""
POSTER_WIDTH_PX = 520
POSTER_GAP_PX = 1280
"""One camera's width of bare wall between posters, so that never two are in view at once."""
FRAME_PX = 14
EXPECTED_STARTS = 1
"""Violations on the clip: the bare head, and nothing else."""

PORTRAIT_CROP = (75, 0, 375, 330)
"""What is shown of the portrait: left, top, right, bottom. Without flag and rocket, and without the
space helmet in the lap: whether that is a safety helmet is not for a sample clip to say."""
HEAD = (77, 14, 227, 190)
"""Face and hair on that part."""


def portrait() -> Image.Image:
    """The bare-headed portrait."""
    return _packaged("astronaut.png").crop(PORTRAIT_CROP)


def portrait_with_hard_hat() -> Image.Image:
    """The same portrait with a yellow hard hat drawn on: shell, rib, brim, a highlight."""
    scale = 4  # drawn large and reduced, for smooth edges
    picture = portrait()
    large = picture.resize((picture.width * scale, picture.height * scale))
    left, top, right, bottom = (value * scale for value in HEAD)
    centre, width, height = (left + right) / 2, right - left, bottom - top
    brim = top + 0.36 * height
    shell = (left, brim - 0.42 * height, right, brim + 0.42 * height)
    draw = ImageDraw.Draw(large)
    draw.pieslice(shell, 180, 360, fill=(238, 182, 24))
    shade = Image.new("L", large.size)
    ImageDraw.Draw(shade).pieslice(shell, 180, 360, fill=110)
    light = Image.new("L", large.size)
    ImageDraw.Draw(light).ellipse(
        (centre - 0.42 * width, brim - 0.40 * height, centre + 0.10 * width, brim - 0.05 * height),
        fill=150,
    )
    blurred = light.filter(ImageFilter.GaussianBlur(0.10 * width))
    large.paste((255, 226, 110), mask=Image.composite(blurred, Image.new("L", large.size), shade))
    draw.ellipse(
        (centre - 0.07 * width, brim - 0.45 * height, centre + 0.07 * width, brim - 0.05 * height),
        fill=(250, 204, 52),
    )
    draw.ellipse(
        (centre - 0.60 * width, brim - 0.07 * height, centre + 0.60 * width, brim + 0.07 * height),
        fill=(214, 158, 16),
    )
    return large.resize(picture.size, Image.Resampling.LANCZOS)


def cup() -> Image.Image:
    """A cup of coffee, seen from above."""
    return _packaged("coffee.png")


def _packaged(name: str) -> Image.Image:
    """A picture that scikit-image carries; read without importing it, which takes seconds."""
    with resources.as_file(resources.files("skimage.data") / name) as path:
        return Image.open(path).convert("RGB")


def wall() -> Rgb:
    """The whole wall with its posters, RGB of shape (720, width, 3): plaster, light from above."""
    posters = (portrait(), cup(), portrait_with_hard_hat())
    width = POSTER_GAP_PX + len(posters) * (POSTER_WIDTH_PX + POSTER_GAP_PX)
    grain = np.random.default_rng(1).normal(0, 4, (HEIGHT_PX, width, 1))
    light = np.linspace(200, 140, HEIGHT_PX)[:, None, None] + grain
    plaster = np.clip(light * (1.0, 0.97, 0.92), 0, 255).astype(np.uint8)
    canvas = Image.fromarray(plaster).filter(ImageFilter.GaussianBlur(1))
    for index, poster in enumerate(posters):
        height = round(POSTER_WIDTH_PX * poster.height / poster.width)
        left = POSTER_GAP_PX + index * (POSTER_WIDTH_PX + POSTER_GAP_PX)
        top = (HEIGHT_PX - height) // 2
        frame = (
            left - FRAME_PX,
            top - FRAME_PX,
            left + POSTER_WIDTH_PX + FRAME_PX,
            top + height + FRAME_PX,
        )
        canvas.paste((240, 238, 232), frame)
        canvas.paste(
            poster.resize((POSTER_WIDTH_PX, height), Image.Resampling.LANCZOS), (left, top)
        )
    return np.asarray(canvas)


def frames() -> Iterator[Rgb]:
    """The clip's pictures, RGB of shape (720, 1280, 3); the same ones every time."""
    canvas = wall()
    last = canvas.shape[1] - WIDTH_PX
    for number in range(int(last / PAN_PX_PER_S * FRAMES_PER_S)):
        time_s = number / FRAMES_PER_S
        shake = 3 * math.sin(2 * math.pi * 0.7 * time_s)  # a hand, not a tripod
        left = min(max(round(time_s * PAN_PX_PER_S + shake), 0), last)
        yield np.ascontiguousarray(canvas[:, left : left + WIDTH_PX])


def write(path: Path) -> None:
    """Writes the clip as H.264 in MP4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_S)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "22"}
        for rgb in frames():
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def main() -> None:
    """Writes the clip where the command line says."""
    parser = argparse.ArgumentParser(description="Writes the demonstration's sample clip.")
    parser.add_argument("path", type=Path, help="the MP4 file to write")
    path = parser.parse_args().path
    write(path)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
