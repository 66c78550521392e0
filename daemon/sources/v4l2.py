"""A USB or other camera behind Video4Linux."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import av.error

from daemon.config import SourceConfig
from daemon.frames import Frame
from daemon.sources.base import RateLimit, Stamper
from daemon.sources.libav import DamagedPacketError, LibavStream, code, reason
from daemon.sources.picture import FrameConverter, LibavPicture
from updater.errors import SourceError

Options = dict[str, str]

_log = logging.getLogger(__name__)

_HINTS = {
    errno.ENOENT: "Is it plugged in? 'v4l2-ctl --list-devices' names the cameras there are",
    errno.ENODEV: "Was it unplugged? 'v4l2-ctl --list-devices' names the cameras there are",
    errno.ENXIO: "'v4l2-ctl --list-devices' names the cameras there are",
    errno.EACCES: "The user of this process must be in the group 'video'",
    errno.EPERM: "The user of this process must be in the group 'video'",
    errno.EBUSY: "Another program uses it: 'fuser -v DEVICE' tells which",
    errno.ENOTTY: "It is no video device",
}
"""Errors that another choice of options does not mend, and what does."""


def attempts(config: SourceConfig) -> tuple[Options, ...]:
    """The options to try one after another, the best first.

    Drivers round an unknown size or rate to the nearest they have, or refuse it: it depends on
    the driver. Motion JPEG comes first because over USB 2 most cameras deliver 1280x720 as raw
    pictures only at 10 frames a second or fewer, and because packets of it that are not wanted
    are dropped before decoding.

    Args:
        config: the section ``[source]``.
    """
    size = {"video_size": f"{config.width}x{config.height}"}
    rate = {"framerate": f"{config.frames_per_second:g}"}
    mjpeg = {"input_format": "mjpeg"}
    return (mjpeg | size | rate, mjpeg | size, size | rate, size, {})


class V4l2Source:
    """Reads a camera device, at most so many frames a second.

    A device that hangs inside the driver cannot be interrupted; the consumer notices by the
    missing frames.

    Args:
        device: path of the device.
        option_sets: libav's options, tried in this order.
        frames_per_second: the most frames taken; the rest are dropped, where the codec allows it
            before decoding.
        container_format: libav's input format. Any of its live formats works the same way.
    """

    live = True
    trouble = ""

    def __init__(
        self,
        device: str,
        *,
        option_sets: Sequence[Options],
        frames_per_second: float,
        container_format: str = "v4l2",
    ) -> None:
        self._device = device
        self._option_sets = option_sets
        self._format = container_format
        self.description = f"camera {device}"
        self.damaged = 0
        self._interrupted = threading.Event()
        self._limit = RateLimit(frames_per_second)
        self._converter = FrameConverter()
        self._stamper = Stamper()
        self._stream: LibavStream | None = None

    def __enter__(self) -> Self:
        failure: Exception | None = None
        for options in self._option_sets:
            try:
                self._stream = LibavStream(
                    self._device,
                    where=self._device,
                    container_format=self._format,
                    options=options,
                )
            except (av.error.FFmpegError, OSError, ValueError) as error:
                failure = error
                if code(error) in _HINTS:
                    break
                _log.debug("%s with %s: %s", self._device, options, reason(error))
            else:
                _log.info("%s: %s, %s", self.description, self._stream.codec, options or "as it is")
                return self
        if failure is None:
            raise ValueError("no options to try")
        raise SourceError(
            f"the camera cannot be opened: {reason(failure)}",
            where=self._device,
            hint=_HINTS.get(code(failure), "'v4l2-ctl -d DEVICE --all' tells what it can do"),
        ) from failure

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def interrupt(self) -> None:
        """See :class:`~daemon.sources.base.Source`."""
        self._interrupted.set()

    def read(self) -> Frame | None:
        """See :class:`~daemon.sources.base.Source`.

        Raises:
            SourceError: the camera went away.
        """
        stream = self._stream
        if stream is None:
            raise RuntimeError("read() outside of the source's context")
        while not self._interrupted.is_set():
            try:
                packet = stream.next_packet()
                if packet is None:
                    raise SourceError("the camera stopped delivering", where=self._device)
                if stream.intra_only and not self._limit.take(time.monotonic()):
                    continue
                frames = stream.decode(packet)
            except DamagedPacketError as error:
                self.damaged += 1
                _log.debug("%s: damaged picture: %s", self.description, error)
                continue
            except (av.error.FFmpegError, OSError) as error:
                raise SourceError(
                    f"the camera stopped delivering: {reason(error)}",
                    where=self._device,
                    hint=_HINTS.get(code(error), "Check its cable and its power supply"),
                ) from error
            if frames and (stream.intra_only or self._limit.take(time.monotonic())):
                return self._stamper.stamp(LibavPicture(frames[-1], self._converter))
        return None
