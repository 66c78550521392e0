"""A network camera over RTSP, connected again whenever the connection is lost."""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

import av
import av.error

from daemon.frames import Frame
from daemon.sources.base import RateLimit, Stamper
from daemon.sources.libav import DamagedPacketError, LibavStream, Packet, reason
from daemon.sources.picture import FrameConverter, LibavPicture
from updater.errors import ConfigError, SourceError

_FIRST_DELAY_S = 0.5
_MAX_DELAY_S = 8.0
"""A camera that restarts is back within a minute; asking it more often than this would not help,
asking it less often would leave the site unseen for longer."""

_MAX_PASSWORD_FILE_BYTES = 4096

_UDP_BUFFER_BYTES = 2_097_152
"""Room in the socket for a burst: a key frame of a 4K camera arrives as a megabyte at once."""

_log = logging.getLogger(__name__)


def read_credentials(path: Path) -> tuple[str, str]:
    """User and password from a file with one line ``user:password``.

    Raises:
        ConfigError: the file cannot be read or has another form. Its content is not shown.
    """
    where = "source.rtsp_password_file"
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_PASSWORD_FILE_BYTES).decode()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", where=where) from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no UTF-8 text", where=where) from None
    user, colon, password = text.strip("\r\n").partition(":")
    if not user or not colon or "\n" in password:
        raise ConfigError(f"{path} must contain one line 'user:password'", where=where)
    return user, password


def with_credentials(url: str, user: str, password: str) -> str:
    """The URL with user and password in it, as libav wants them."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(
        parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}")
    )


def redacted(url: str) -> str:
    """The URL for people: without credentials, be they in front of the host or among the rest."""
    parts = urlsplit(url)
    rest = urlunsplit(parts._replace(scheme="", netloc=""))
    # Some cameras take them in the path: rtsp://host/user=admin&password=…&channel=1.
    rest = re.sub(r"(?i)\b(user\w*|login|pass\w*|pwd|token|auth\w*)=[^&/?;]*", r"\1=***", rest)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{rest}"


def delay_s(failures: int, chance: float) -> float:
    """How long to wait before connecting again: doubled each time, bounded, and scattered.

    The scatter keeps the cameras of a site from asking their recorder all at once after a power
    cut ("equal jitter": half of the delay is fixed, half is chance).

    Args:
        failures: failures in a row so far, from 1 on.
        chance: a random number from 0 to 1.
    """
    # The bound on the exponent only keeps the number small; the delay is bounded long before.
    full_s = min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures - 1, 16))
    return full_s * (0.5 + 0.5 * chance)


class LagWatch:
    """Notices when decoding falls behind the camera.

    A stream that is larger than this machine can decode would otherwise wait in buffers, older
    and older. The lag is how much later packets arrive, by their own time stamps, than the
    quickest of them did.
    """

    _BEHIND_S = 1.0
    _CAUGHT_UP_S = 0.3
    # Camera and device have clocks of their own; a lag that grows more slowly than this is drift.
    _DRIFT = 0.001
    # Dropping whole groups of pictures catches up in less than this; if it does not, the stamps
    # have jumped, and lag must be measured afresh.
    _GIVE_UP_S = 10.0

    def __init__(self) -> None:
        self._quickest_s: float | None = None
        self._seen_s = 0.0
        self._behind_since_s: float | None = None

    def behind(self, stamp_s: float | None, now_s: float) -> bool:
        """Whether this packet came so late that frames should be dropped.

        Args:
            stamp_s: the packet's own time, where it has one.
            now_s: monotonic time at which it was read.
        """
        if stamp_s is None:
            return self._behind_since_s is not None
        offset_s = now_s - stamp_s
        if self._quickest_s is None:
            self._quickest_s, self._seen_s = offset_s, now_s
        self._quickest_s += (now_s - self._seen_s) * self._DRIFT
        self._quickest_s = min(self._quickest_s, offset_s)
        self._seen_s = now_s
        lag_s = offset_s - self._quickest_s
        if self._behind_since_s is None:
            if lag_s > self._BEHIND_S:
                self._behind_since_s = now_s
        elif lag_s < self._CAUGHT_UP_S:
            self._behind_since_s = None
        elif now_s - self._behind_since_s > self._GIVE_UP_S:
            self._quickest_s, self._behind_since_s = offset_s, None
        return self._behind_since_s is not None


class RtspSource:
    """Reads an RTSP stream, at most so many frames a second, and connects again when it is lost.

    A wrong password is an error at once and for good (asking again may lock the account), an
    unknown stream or a missing decoder at the first connection. Everything else is tried again
    with growing delays; the consumer gives up when no frame comes for too long.

    Args:
        url: the URL; credentials in it are used but never shown.
        transport: ``tcp`` or ``udp``.
        frames_per_second: the most frames taken.
        password_file: file with ``user:password``, or None.
        network_timeout_s: seconds without an answer after which the connection counts as lost.
    """

    live = True

    def __init__(
        self,
        url: str,
        *,
        transport: str,
        frames_per_second: float,
        password_file: Path | None,
        network_timeout_s: float,
    ) -> None:
        self._url = url
        self._transport = transport
        self._password_file = password_file
        self._timeout_s = network_timeout_s
        self._where = redacted(url)
        self.description = f"stream {self._where}"
        self.damaged = 0
        self.trouble = ""
        self._interrupted = threading.Event()
        self._limit = RateLimit(frames_per_second)
        self._converter = FrameConverter()
        self._stamper = Stamper()
        self._stream: LibavStream | None = None
        self._lag = LagWatch()
        self._wait_for_key = False
        self._delivered = False
        self._failures = 0

    def __enter__(self) -> Self:
        # Connecting happens in read(), the first time as every other.
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._disconnect()

    def interrupt(self) -> None:
        """See :class:`~daemon.sources.base.Source`."""
        self._interrupted.set()

    def read(self) -> Frame | None:
        """See :class:`~daemon.sources.base.Source`.

        Raises:
            SourceError: the camera refuses the login, or does not know the stream.
            ConfigError: the password file is of no use.
        """
        while not self._interrupted.is_set():
            stream = self._stream or self._connect()
            if stream is None:
                continue
            try:
                packet = stream.next_packet()
                if packet is None or packet.size == 0:
                    self._lost("the camera ended the stream")
                    continue
                frame = self._newest(stream, packet)
            except DamagedPacketError as error:
                self.damaged += 1
                _log.debug("%s: damaged packet: %s", self.description, error)
                continue
            except (av.error.FFmpegError, OSError) as error:
                self._lost(reason(error))
                continue
            if frame is not None:
                self._all_is_well()
                return self._stamper.stamp(LibavPicture(frame, self._converter))
        return None

    def _newest(self, stream: LibavStream, packet: Packet) -> av.VideoFrame | None:
        now_s = time.monotonic()
        stamp = packet.pts if packet.pts is not None else packet.dts
        stamp_s = float(stamp * packet.time_base) if stamp is not None else None
        self._wait_for_key |= self._lag.behind(stamp_s, now_s)
        if self._wait_for_key:
            # What depends on a dropped packet cannot be decoded; go on at the next whole picture.
            if not packet.is_keyframe:
                return None
            self._wait_for_key = False
        if stream.intra_only and not self._limit.take(now_s):
            return None
        frames = stream.decode(packet)
        # After a lost packet libav fills the hole as well as it can: worth counting, and still
        # better than nothing seen until the next key frame.
        self.damaged += sum(bool(frame.is_corrupt) for frame in frames)
        if not frames or not (stream.intra_only or self._limit.take(now_s)):
            return None
        return frames[-1]

    def _connect(self) -> LibavStream | None:
        url = self._url
        if self._password_file is not None:
            url = with_credentials(url, *read_credentials(self._password_file))
        options = {
            "rtsp_transport": self._transport,
            "allowed_media_types": "video",
            # Nobody asks for the rate, and libav would collect up to 20 frames to tell it: seconds
            # in which nothing is seen, and then these frames come too late.
            "fpsprobesize": "0",
        }
        if self._transport == "udp":
            options["buffer_size"] = str(_UDP_BUFFER_BYTES)
        try:
            self._stream = LibavStream(
                url,
                where=self._where,
                options=options,
                open_timeout_s=self._timeout_s,
                read_timeout_s=self._timeout_s,
            )
        except (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError):
            # "from None" here and below: libav's own message contains the password.
            raise SourceError(
                "the camera refuses the login",
                where=self._where,
                hint="Check source.rtsp_password_file: one line 'user:password'",
            ) from None
        except (
            av.error.HTTPClientError,
            av.error.DecoderNotFoundError,
            av.error.ProtocolNotFoundError,
        ) as error:
            if not self._delivered:
                raise SourceError(
                    f"the camera has no such stream: {reason(error)}",
                    where=self._where,
                    hint="Check source.location; the camera's manual names its stream's path",
                ) from None
            self._lost(reason(error))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._lost(reason(error))
        else:
            self._lag = LagWatch()
            self._wait_for_key = False
        return self._stream

    def _disconnect(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _lost(self, why: str) -> None:
        """Notes the failure and waits before the next attempt."""
        self._disconnect()
        self._failures += 1
        # One line an outage, not one an attempt: an outage may last for days.
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        _log.log(level, "%s: no connection: %s; trying again", self.description, why)
        self.trouble = why
        self._interrupted.wait(delay_s(self._failures, random.random()))

    def _all_is_well(self) -> None:
        if self._failures:
            _log.info("%s: delivering after %d failures", self.description, self._failures)
        self._failures = 0
        self._delivered = True
        self.trouble = ""
