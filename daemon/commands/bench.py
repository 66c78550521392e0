"""``sitewatch bench``: what a frame costs, next to what the bare model costs."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from daemon.commands.options import add_model_options, frame_count, model_config
from daemon.detection.detector import Detector
from daemon.detection.model import read_model
from daemon.detection.runtime import installed
from daemon.detection.runtime_choice import machine
from daemon.frames import Picture, RgbImage
from daemon.memory import resident_bytes
from daemon.sources.folder import read_picture
from daemon.sources.picture import ArrayPicture, FrameConverter, LibavPicture
from updater import manifest
from updater.errors import UsageError

FRAME_WIDTH_PX = 1280
FRAME_HEIGHT_PX = 720
PIXEL_FORMAT = "yuv420p"
"""What H.264 cameras deliver; libav hands it on without a conversion."""

RING = 8
"""Frames taken in turn: 11 MB together, more than a Pi's cache, as with a camera's buffers."""

WARM_UP_FRAMES = 10
DEFAULT_FRAMES = 200
DEFAULT_THREADS = 1
NOISE_LEVELS = 24

EPILOG = """\
examples:
  sitewatch bench
  sitewatch bench --json --threads 2 --frames 500 --picture site.jpg

Times are medians in milliseconds. Bare invokes and whole frames alternate, so that whatever else
the machine does hits both alike. A frame is 1280x720 in yuv420p, as libav hands it on from a
camera; a frame's time runs from there to the detections in its own pixels.

exit codes: 0 done, 2 arguments, 4 a damaged bundle, 5 no runtime can run the model
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured; times are medians in milliseconds.

    Attributes:
        model: the ``.tflite`` file.
        model_version: of the bundle.
        model_bytes: size of the file.
        runtime: name and version.
        threads: of the runtime.
        machine: architecture and processor.
        input: width and height of the model's input, pixels.
        frame: what a frame is.
        frames: measured.
        detections: on the last frame.
        invoke_ms: the bare model.
        frame_ms: from a frame to its detections.
        overhead_ratio: ``frame_ms / invoke_ms``.
        prepare_ms: part of ``frame_ms``: scaling and letterboxing.
        decode_ms: part of ``frame_ms``: decoding, suppression, mapping back.
        rgb_frame_ms: like ``frame_ms``, from an RGB array of the same size.
        rgb_overhead_ratio: the same against the bare invokes that alternated with it.
        rss_mb: resident memory of this process at the end, 1 MB = 10^6 bytes.
    """

    model: str
    model_version: str
    model_bytes: int
    runtime: str
    threads: int
    machine: str
    input: tuple[int, int]
    frame: str
    frames: int
    detections: int
    invoke_ms: float
    frame_ms: float
    overhead_ratio: float
    prepare_ms: float
    decode_ms: float
    rgb_frame_ms: float
    rgb_overhead_ratio: float
    rss_mb: float


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "bench",
        help="measure the model and everything around it",
        description="Measures what a frame costs on this machine, next to the bare model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(parser, threads=DEFAULT_THREADS)
    parser.add_argument(
        "--frames",
        type=frame_count,
        default=DEFAULT_FRAMES,
        help=f"frames to measure (default: {DEFAULT_FRAMES})",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        help="what the frames show (default: a golden picture of the bundle, else noise)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; the exit code.

    Raises:
        BundleError: the bundle is damaged, or there is none.
        ModelError: no runtime can run the model.
        SourceError: ``--picture`` cannot be read.
    """
    report = measure(arguments)
    values = {name: getattr(report, name) for name in Report.__slots__}
    if arguments.json:
        print(json.dumps(values))
    else:
        for name, value in values.items():
            print(f"{name:<19} {value:.3f}" if isinstance(value, float) else f"{name:<19} {value}")
    return 0


def measure(arguments: argparse.Namespace) -> Report:
    """Measures; see :func:`run` for the errors."""
    config = model_config(arguments)
    files = read_model(config)
    rgb = _scene(arguments.picture, files.where.parent)
    yuv_ring, rgb_ring = _rings(rgb)
    detector = Detector.open(config)
    try:
        from_rgb = _alternate(detector, rgb_ring, arguments.frames)
        from_yuv = _alternate(detector, yuv_ring, arguments.frames)
        found = len(detector.detect(yuv_ring[0]))
        kind = detector.runtime.kind
        version = next(version for present, version in installed() if present == kind)
        return Report(
            model=str(files.where),
            model_version=files.version,
            model_bytes=len(files.content),
            runtime=f"{kind.name} {version}",
            threads=config.threads,
            machine=machine(),
            input=detector.input_size,
            frame=f"{FRAME_WIDTH_PX}x{FRAME_HEIGHT_PX} {PIXEL_FORMAT}",
            frames=arguments.frames,
            detections=found,
            invoke_ms=round(from_yuv.bare_ms, 3),
            frame_ms=round(from_yuv.frame_ms, 3),
            overhead_ratio=round(from_yuv.frame_ms / from_yuv.bare_ms, 4),
            prepare_ms=round(from_yuv.prepare_ms, 3),
            decode_ms=round(from_yuv.decode_ms, 3),
            rgb_frame_ms=round(from_rgb.frame_ms, 3),
            rgb_overhead_ratio=round(from_rgb.frame_ms / from_rgb.bare_ms, 4),
            rss_mb=round(resident_bytes() / 1e6, 1),
        )
    finally:
        detector.close()


def _scene(picture: Path | None, folder: Path) -> RgbImage:
    """What the frames show, 1280x720."""
    if picture is None and (folder / manifest.MANIFEST_NAME).is_file():
        golden = manifest.read(folder).golden
        picture = folder / golden[0].file if golden else None
    if picture is None:
        return np.random.default_rng(0).integers(
            0, NOISE_LEVELS, (FRAME_HEIGHT_PX, FRAME_WIDTH_PX, 3), dtype=np.uint8
        )
    if picture.is_dir():
        raise UsageError("is a folder, not a picture", where=f"--picture {picture}")
    scaled = Image.fromarray(read_picture(picture)).resize(
        (FRAME_WIDTH_PX, FRAME_HEIGHT_PX), Image.Resampling.BILINEAR
    )
    return np.asarray(scaled)


def _rings(rgb: RgbImage) -> tuple[list[Picture], list[Picture]]:
    """The scene several times over, as libav frames and as RGB arrays."""
    converter = FrameConverter()
    yuv: list[Picture] = []
    arrays: list[Picture] = []
    for _ in range(RING):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
        yuv.append(LibavPicture(frame.reformat(format=PIXEL_FORMAT), converter))
        arrays.append(ArrayPicture(rgb.copy()))
    return yuv, arrays


@dataclass(frozen=True, slots=True)
class _Medians:
    bare_ms: float
    frame_ms: float
    prepare_ms: float
    decode_ms: float


def _alternate(detector: Detector, ring: Sequence[Picture], frames: int) -> _Medians:
    """A bare invoke and a whole frame in turn, so that noise of the machine hits both alike."""
    rows = []
    detector.detect(ring[0])  # sets the input that the bare invokes run on
    for index in range(-WARM_UP_FRAMES, frames):
        start_s = time.perf_counter()
        detector.runtime.invoke_only()
        bare_s = time.perf_counter()
        detector.detect(ring[index % RING])
        done_s = time.perf_counter()
        timing = detector.timing
        if index >= 0:
            bare_ms, frame_ms = (bare_s - start_s) * 1000, (done_s - bare_s) * 1000
            rows.append((bare_ms, frame_ms, timing.prepare_ms, timing.decode_ms))
    return _Medians(*map(statistics.median, zip(*rows, strict=True)))
