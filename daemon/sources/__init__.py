"""Where frames come from: one small interface, five kinds behind it."""

from __future__ import annotations

from pathlib import Path

from daemon.config import SourceConfig
from daemon.sources.base import Source
from daemon.sources.folder import PICTURE_SUFFIXES, FolderSource
from daemon.sources.picamera import PicameraSource
from daemon.sources.rtsp import RtspSource
from daemon.sources.v4l2 import V4l2Source, attempts
from daemon.sources.videofile import VideoFileSource
from updater.errors import ConfigError

__all__ = ["Source", "guess_kind", "open_source"]

_MAX_NETWORK_TIMEOUT_S = 10.0
"""A camera that has not answered for so long is connected afresh."""


def open_source(config: SourceConfig, small_size: tuple[int, int]) -> Source:
    """The source that the configuration names, not yet opened: its context does that.

    Args:
        config: the section ``[source]``.
        small_size: width and height of the model's input, pixels. A camera with a second stream
            delivers the picture also in the largest size of its own shape that fits into it.

    Raises:
        ConfigError: the location is of no use for this kind of source.
    """
    path = Path(config.location)
    if config.kind == "folder":
        return FolderSource(path, frames_per_second=config.frames_per_second)
    if config.kind == "file":
        return VideoFileSource(path)
    if config.kind == "v4l2":
        return V4l2Source(
            config.location,
            option_sets=attempts(config),
            frames_per_second=config.frames_per_second,
        )
    if config.kind == "rtsp":
        return RtspSource(
            config.location,
            transport=config.rtsp_transport,
            frames_per_second=config.frames_per_second,
            password_file=config.rtsp_password_file,
            # Several attempts must fit in before the source counts as dead.
            network_timeout_s=min(_MAX_NETWORK_TIMEOUT_S, config.stall_timeout_s / 3),
        )
    return PicameraSource(
        _camera_number(config.location),
        width=config.width,
        height=config.height,
        small_size=small_size,
        frames_per_second=config.frames_per_second,
        stall_timeout_s=config.stall_timeout_s,
    )


def _camera_number(location: str) -> int:
    if not location:
        return 0
    if not (location.isascii() and location.isdigit()):
        raise ConfigError(
            f"{location!r} is no number of a camera",
            where="source.location",
            hint="For kind 'picamera2' it is empty or the camera's number, from 0 on",
        )
    return int(location)


def guess_kind(location: str) -> str:
    """The kind of source for a location given without its kind, as on a command line.

    Args:
        location: URL, device, folder, file, or the number of a Pi camera.
    """
    if location.startswith(("rtsp://", "rtsps://")):
        return "rtsp"
    if not location or location.isdigit():
        return "picamera2"
    if location.startswith("/dev/"):
        return "v4l2"
    path = Path(location)
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        return "folder"
    return "file"
