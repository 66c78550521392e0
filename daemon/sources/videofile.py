"""A video file, every frame in order, on the clock of the file."""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error

from daemon.frames import Frame
from daemon.sources.base import MediaClock, Stamper
from daemon.sources.libav import (
    DamagedPacketError,
    LibavStream,
    code,
    reason,
    rotation_degrees,
)
from daemon.sources.picture import FrameConverter, LibavPicture
from updater.errors import SourceError

_FALLBACK_FRAMES_PER_SECOND = 25.0
"""Rate of a file that has neither time stamps nor a rate: that of PAL, libav's own guess too."""

_OPTIONS = {
    # Nothing but this very file is read: no play list that leads elsewhere, no network.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,ivf,mjpeg,flv,"
    "asf,ogg,mxf,nut,dv,gif,yuv4mpegpipe",
}

_MAX_DAMAGED_IN_A_ROW = 100
"""So many damaged packets one after another, and the rest is taken for lost."""

_LENGTH_TOLERANCE_S = 0.5
"""A file may be so much shorter than its header says: rounding, a last frame shown for longer."""

_log = logging.getLogger(__name__)


class VideoFileSource:
    """Reads a video file.

    Every frame that can be decoded is delivered. Damaged packets are counted; a file that ends
    before its header says so is an error, raised after its last frame.

    Args:
        path: the file.
    """

    live = False
    trouble = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.description = f"file {path}"
        self.damaged = 0
        self._interrupted = threading.Event()
        self._converter = FrameConverter()
        self._stamper = Stamper()
        self._ready: deque[av.VideoFrame] = deque()
        self._stream: LibavStream | None = None
        self._clock = MediaClock(_FALLBACK_FRAMES_PER_SECOND)
        self._frames = 0
        self._media_time_s = 0.0

    def __enter__(self) -> Self:
        path = self._path
        try:
            # "file:" keeps a colon in the name from being read as a protocol.
            self._stream = LibavStream(f"file:{path}", where=str(path), options=_OPTIONS)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _cannot_open(path, error) from error
        self._clock = MediaClock(self._stream.frames_per_second or _FALLBACK_FRAMES_PER_SECOND)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ready.clear()
        if self._stream is not None:
            self._stream.close()

    def interrupt(self) -> None:
        """See :class:`~daemon.sources.base.Source`."""
        self._interrupted.set()

    def read(self) -> Frame | None:
        """See :class:`~daemon.sources.base.Source`.

        Raises:
            SourceError: the file ends before its header says so, or nothing in it can be decoded;
                raised once, after the last readable frame.
        """
        stream = self._stream
        if stream is None:
            raise RuntimeError("read() outside of the source's context")
        damaged_in_a_row = 0
        while not self._ready:
            if self._interrupted.is_set():
                return None
            try:
                packet = stream.next_packet()
                if packet is None:
                    self._end(stream)
                    return None
                self._ready.extend(stream.decode(packet))
                damaged_in_a_row = 0
            except DamagedPacketError as error:
                self._count_damage(error)
                damaged_in_a_row += 1
                if damaged_in_a_row >= _MAX_DAMAGED_IN_A_ROW:
                    self._end(stream)
                    return None
            except (av.error.FFmpegError, OSError) as error:
                self._count_damage(error)
                self._end(stream)
                return None
        return self._frame(self._ready.popleft())

    def _frame(self, decoded: av.VideoFrame) -> Frame:
        has_stamp = decoded.pts is not None and decoded.time_base is not None
        self._media_time_s = self._clock.at(float(decoded.time) if has_stamp else None)
        self._frames += 1
        picture = LibavPicture(decoded, self._converter, rotation_degrees=rotation_degrees(decoded))
        return self._stamper.stamp(picture, media_time_s=self._media_time_s)

    def _count_damage(self, error: Exception) -> None:
        self.damaged += 1
        if self.damaged == 1:
            _log.warning(
                "%s: damaged after %.1f s (%s); going on behind it",
                self.description, self._media_time_s, str(error) or reason(error),
            )  # fmt: skip

    def _end(self, stream: LibavStream) -> None:
        self._interrupted.set()  # whoever reads on gets None
        if not self._frames:
            raise SourceError(
                "no frame of it can be decoded",
                where=str(self._path),
                hint=f"The file is damaged, or its codec ({stream.codec}) is not supported",
            )
        if self.damaged:
            _log.warning("%s: %d damaged packets left out", self.description, self.damaged)
        end_s = self._media_time_s + 1 / (stream.frames_per_second or _FALLBACK_FRAMES_PER_SECOND)
        if stream.seconds_promised > end_s + _LENGTH_TOLERANCE_S:
            raise SourceError(
                f"ends after {end_s:.1f} of {stream.seconds_promised:.1f} s: the file is truncated",
                where=str(self._path),
                hint=f"The {self._frames} frames that could be read were looked at",
            )


def _cannot_open(path: Path, error: Exception) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return SourceError("no such file", where=str(path))
    if isinstance(error, PermissionError):
        return SourceError(
            "may not be read", where=str(path), hint="Give the user of this process the right to"
        )
    if isinstance(error, IsADirectoryError):
        return SourceError(
            "is a folder", where=str(path), hint="Use the source kind 'folder' for pictures"
        )
    # EINVAL is libav's answer to a format that is not on the white list.
    if isinstance(error, av.error.InvalidDataError) or code(error) == errno.EINVAL:
        return SourceError(
            "is no video of a known format, or was cut off before its index was written",
            where=str(path),
            hint="Copy or record it again",
        )
    return SourceError(f"cannot be opened: {reason(error)}", where=str(path))
