"""One video stream read by libav (PyAV): opened, taken packet by packet, decoded.

Works with PyAV 10 (Debian 12), 14 (Debian 13) and the newest: only what all have is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import av
import av.error
import av.logging

from daemon.sources.base import MAX_PIXELS
from updater.errors import SourceError

Packet = Any
"""``av.Packet``: generic in the newest PyAV's type information, a plain class in older ones."""

# Codecs whose every packet is a whole picture: what is not wanted is dropped before decoding.
_INTRA_ONLY = frozenset({"mjpeg", "rawvideo", "png", "bmp", "prores", "dnxhd", "ffv1", "huffyuv"})


class DamagedPacketError(Exception):
    """One packet cannot be read or decoded; the next one may be fine. Never leaves the sources."""


class LibavStream:
    """The first video stream of a container.

    Args:
        location: file, device or URL as libav wants it, credentials included.
        where: the same for people, without credentials; used in errors.
        container_format: libav's name of the input format; None to find out.
        options: libav's options.
        open_timeout_s: seconds after which opening fails; None waits for ever.
        read_timeout_s: seconds after which waiting for a packet fails; None waits for ever.

    Raises:
        av.error.FFmpegError, OSError, ValueError: it cannot be opened; the caller, who knows what
            was tried, says it in its own words (see :func:`reason`).
        SourceError: there is no video in it, or too large a one.
    """

    def __init__(
        self,
        location: str,
        *,
        where: str,
        container_format: str | None = None,
        options: Mapping[str, str] | None = None,
        open_timeout_s: float | None = None,
        read_timeout_s: float | None = None,
    ) -> None:
        av.logging.set_level(av.logging.PANIC)  # see daemon.sources.picture.FrameConverter
        self._where = where
        self._container = av.open(
            location,
            mode="r",
            format=container_format,
            options=dict(options or {}),
            timeout=(open_timeout_s, read_timeout_s),
        )
        try:
            if not self._container.streams.video:
                raise SourceError("contains no video", where=where)
            self._stream = self._container.streams.video[0]
            context = self._stream.codec_context
            if context.width * context.height > MAX_PIXELS:
                raise SourceError(
                    f"pictures of {context.width}x{context.height} are too large",
                    where=where,
                    hint=f"At most {MAX_PIXELS // 1_000_000} million pixels are read",
                )
        except BaseException:
            self._container.close()
            raise
        self._packets: Iterator[Any] = iter(self._container.demux(self._stream))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the container."""
        self._container.close()

    @property
    def codec(self) -> str:
        """The codec by the name libav gives it."""
        return str(self._stream.codec_context.name)

    @property
    def intra_only(self) -> bool:
        """Whether any packet may be dropped without harm to the others."""
        return self.codec in _INTRA_ONLY

    @property
    def frames_per_second(self) -> float:
        """The nominal rate; 0 where the container does not tell."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate else 0.0

    @property
    def seconds_promised(self) -> float:
        """Length of the video by the file's header; 0 where the header does not tell.

        For formats that have no length in their header libav guesses one from the bit rate; such
        a guess must not make a good file look truncated.
        """
        container, stream = self._container, self._stream
        name = container.format.name
        if ("mov" in name or "avi" in name) and stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        # Matroska has one length for all streams, and sound may well be the longest of them.
        if "matroska" in name and container.duration and len(container.streams) == 1:
            return float(container.duration) / av.time_base
        return 0.0

    def next_packet(self) -> Packet | None:
        """The next packet; an empty one makes the decoder give what it holds, then comes None.

        Raises:
            DamagedPacketError: this one is damaged, the next one may be fine.
            av.error.FFmpegError, OSError: reading failed.
        """
        try:
            packet: Packet | None = next(self._packets, None)
        except av.error.InvalidDataError as error:
            # The error has ended the generator; a new one goes on behind the damaged place.
            self._packets = iter(self._container.demux(self._stream))
            raise DamagedPacketError(reason(error)) from None
        return packet

    def decode(self, packet: Packet) -> list[av.VideoFrame]:
        """The frames that come out of the decoder after this packet, in order of display.

        Raises:
            DamagedPacketError: the packet is damaged, the next one may be fine.
        """
        try:
            frames: list[Any] = list(self._stream.decode(packet))
        except av.error.EOFError:
            return []  # asked again after its end
        except (av.error.FFmpegError, ValueError) as error:
            raise DamagedPacketError(reason(error)) from None
        return frames


def rotation_degrees(frame: av.VideoFrame) -> int:
    """How far the frame must be turned counter-clockwise to stand upright.

    PyAV tells it from version 13 on; with an older one the picture stays as it lies.
    """
    return int(getattr(frame, "rotation", 0))


def reason(error: Exception) -> str:
    """What went wrong, without the URL: libav puts it, password and all, into its messages."""
    if isinstance(error, av.error.ExitError):
        return "timed out"
    if isinstance(error, av.error.FFmpegError | OSError) and error.strerror:
        text = error.strerror
        return text[0].lower() + text[1:] if text[1:2].islower() else text
    return type(error).__name__


def code(error: Exception) -> int:
    """The errno of an error of libav or of the system, 0 where it has none."""
    if isinstance(error, av.error.FFmpegError | OSError) and error.errno is not None:
        return error.errno
    return 0
