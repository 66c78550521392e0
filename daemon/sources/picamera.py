"""The Raspberry Pi's own camera, through picamera2.

The camera's image processor delivers every exposure twice: ``main`` for pictures, ``lores`` in the
model's size, so that resizing costs nothing. Both are YUV420: the Pi 4's processor makes nothing
else for ``lores`` (picamera2 refuses other formats there: "lores stream must be YUV"; the Pi 5 can
do RGB as well), and for ``main`` it is half the memory of RGB, to which only pictures that somebody
wants are turned.

What picamera2 asks of its users, learnt from its source and its issues:

* A request holds one of the camera's few buffers until it is released, so it is released at once,
  after both streams were copied.
* A capture that timed out stays in picamera2's queue and would take a later request that nobody
  releases; a few of those starve the camera. So one capture is asked for and waited for again and
  again, instead of asking anew after every time-out.
* Creating ``Picamera2`` a second time in one process leaks (issues 887, 958, 1183), and a capture
  may hang for ever (issues 962, 1264): a stuck camera is an error that ends the process. Closing a
  stuck camera hangs too, so it is left as it is.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any, ClassVar, Self

import av
import numpy as np
from numpy.typing import NDArray

from daemon.detection import letterbox
from daemon.frames import Frame
from daemon.sources.base import Stamper
from daemon.sources.picture import CameraPicture, FrameConverter
from updater.errors import SourceError, SourceStalledError

_LONGEST_EXPOSURE_S = 1 / 15
"""The sensor runs at least this fast, however few frames are wanted: at 5 frames a second the
automatic exposure might expose for 200 ms, in which a walking person (1.4 m/s) moves by 28 cm."""

_POLL_S = 0.25
"""How often waiting for a frame looks whether it should stop."""

_MAX_AGE_S = 10.0
"""A time stamp of the sensor that is older than this, or in the future, is not believed."""

_FULL_RANGE_YUV420 = "yuvj420p"
"""libav's name for what picamera2's preview configuration (colour space sYCC) delivers."""

_log = logging.getLogger(__name__)


class PicameraSource:
    """Reads a camera of the Pi.

    Args:
        camera: its number, from 0 on.
        width: of the pictures, pixels.
        height: of the pictures, pixels.
        small_size: width and height of the model's input; ``lores`` is the largest picture of the
            same shape that fits into it.
        frames_per_second: the most frames taken.
        stall_timeout_s: seconds without a frame after which the camera counts as stuck.
    """

    live = True
    damaged = 0
    trouble = ""

    _created: ClassVar[bool] = False

    def __init__(
        self,
        camera: int,
        *,
        width: int,
        height: int,
        small_size: tuple[int, int],
        frames_per_second: float,
        stall_timeout_s: float,
    ) -> None:
        self._number = camera
        self._size = (_even(width), _even(height))
        inner = letterbox.fit(*self._size, *small_size)
        self._small_size = (_even(inner.inner_width), _even(inner.inner_height))
        self._interval_s = 1.0 / frames_per_second
        self._stall_timeout_s = stall_timeout_s
        self.description = f"Pi camera {camera}"
        self._interrupted = threading.Event()
        self._main_converter = FrameConverter()
        self._small_converter = FrameConverter()
        self._stamper = Stamper()
        self._camera: Any = None
        self._streams: dict[str, Any] = {}
        self._job: Any = None
        self._due_s = 0.0

    def __enter__(self) -> Self:
        picamera2 = _import_picamera2()
        _check_presence(picamera2, self._number)
        if PicameraSource._created:
            raise SourceError(
                "the camera was already opened in this process, and opening it twice leaks",
                where=self.description,
                hint="Restart the process",
            )
        PicameraSource._created = True
        try:
            self._camera = picamera2.Picamera2(self._number)
            self._start(self._camera)
        # libcamera's own errors come as RuntimeError, wrong indices and values as they are.
        except (RuntimeError, OSError, IndexError, ValueError, KeyError) as error:
            raise SourceError(
                f"the camera cannot be opened: {error}",
                where=self.description,
                hint="Does another program use it? 'rpicam-hello --list-cameras' must show it",
            ) from error
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        camera, self._camera = self._camera, None
        if camera is None:
            return
        if isinstance(exc, SourceStalledError):
            _log.warning("%s is stuck; it is not closed, for that would hang", self.description)
            return
        if self._job is not None and not self._release_pending():
            _log.warning("%s does not answer; it is not closed", self.description)
            return
        camera.stop()
        camera.close()

    def interrupt(self) -> None:
        """See :class:`~daemon.sources.base.Source`."""
        self._interrupted.set()

    def read(self) -> Frame | None:
        """See :class:`~daemon.sources.base.Source`.

        Raises:
            SourceStalledError: no frame came for too long.
            SourceError: picamera2 failed.
        """
        if self._camera is None:
            raise RuntimeError("read() outside of the source's context")
        if self._interrupted.wait(max(0.0, self._due_s - time.monotonic())):
            return None
        # After a late frame the clock starts anew instead of taking a burst to catch up.
        self._due_s = max(self._due_s + self._interval_s, time.monotonic())
        try:
            request = self._next_request()
            if request is None:
                return None
            try:
                picture = CameraPicture(
                    self._copy(request, "main"),
                    self._copy(request, "lores"),
                    self._main_converter,
                    self._small_converter,
                )
                age_s = _age_s(request.get_metadata().get("SensorTimestamp"))
            finally:
                request.release()
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            raise SourceError(f"the camera failed: {error}", where=self.description) from error
        return self._stamper.stamp(picture, age_s=age_s)

    def _start(self, camera: Any) -> None:
        controls = {}
        # A USB camera behind libcamera has no such control.
        if "FrameDurationLimits" in camera.camera_controls:
            frame_us = round(min(self._interval_s, _LONGEST_EXPOSURE_S) * 1e6)
            controls["FrameDurationLimits"] = (frame_us, frame_us)
        configuration = camera.create_preview_configuration(
            main={"size": self._size, "format": "YUV420"},
            lores={"size": self._small_size, "format": "YUV420"},
            controls=controls,
            # No finished frame is kept for us: each capture waits for the next exposure, so that
            # what we look at is never older than that.
            queue=False,
        )
        camera.configure(configuration)
        # What was asked for may have been rounded.
        actual = camera.camera_configuration()
        self._streams = {name: actual[name] for name in ("main", "lores")}
        for name, stream in self._streams.items():
            if stream["format"] != "YUV420":
                raise ValueError(
                    f"its stream '{name}' is {stream['format']}, not YUV420; a USB camera is "
                    "read with source.kind = 'v4l2'"
                )
        camera.start()
        _log.info(
            "%s: pictures %dx%d, for the model %dx%d", self.description,
            *self._streams["main"]["size"], *self._streams["lores"]["size"],
        )  # fmt: skip

    def _next_request(self) -> Any:
        """The next finished request, or None after an interruption."""
        if self._job is None:
            self._job = self._camera.capture_request(wait=False)
        give_up_s = time.monotonic() + self._stall_timeout_s
        while not self._interrupted.is_set():
            try:
                request = self._job.get_result(timeout=_POLL_S)
            except TimeoutError:
                if time.monotonic() >= give_up_s:
                    raise SourceStalledError(
                        f"the camera delivered no frame for {self._stall_timeout_s:.0f} s",
                        where=self.description,
                        hint="Check the ribbon cable and the power supply ('vcgencmd "
                        "get_throttled'); the process ends so that it can start afresh",
                    ) from None
                continue
            self._job = None
            return request
        return None

    def _release_pending(self) -> bool:
        """Gives back what the capture that is still asked for takes; whether the camera answers."""
        try:
            self._job.get_result(timeout=_POLL_S).release()
        except TimeoutError:
            return False
        self._job = None
        return True

    def _copy(self, request: Any, name: str) -> av.VideoFrame:
        stream = self._streams[name]
        return frame_of_yuv420(request.make_array(name), *stream["size"])


def frame_of_yuv420(array: NDArray[np.uint8], width: int, height: int) -> av.VideoFrame:
    """A libav frame with a copy of what picamera2 gives for a YUV420 stream.

    Args:
        array: shape (height * 3 / 2, stride): the rows of Y, each ``stride`` bytes long, then
            those of U and then those of V, each half as long, two to a row of the array
            (the Picamera2 manual, appendix A, "YUV420").
        width: pixels, even, at most ``stride``.
        height: pixels, even.
    """
    stride = array.shape[1]
    flat = array.reshape(-1)
    luma, chroma = stride * height, stride // 2 * (height // 2)
    planes = (
        flat[:luma].reshape(height, stride)[:, :width],
        flat[luma : luma + chroma].reshape(height // 2, stride // 2)[:, : width // 2],
        flat[luma + chroma : luma + 2 * chroma].reshape(height // 2, stride // 2)[:, : width // 2],
    )
    frame = av.VideoFrame(width, height, _FULL_RANGE_YUV420)
    for plane, source in zip(frame.planes, planes, strict=True):
        memory: Any = plane  # a writable buffer, which its type information does not say
        rows = np.frombuffer(memory, np.uint8).reshape(-1, plane.line_size)
        rows[: source.shape[0], : source.shape[1]] = source
    return frame


def _even(size: int) -> int:
    """picamera2 takes even sizes only."""
    return max(2, size - size % 2)


def _age_s(sensor_ns: object) -> float:
    """How long ago the sensor began to expose; 0 where it does not tell.

    libcamera stamps with the clock that also runs while the machine sleeps (CLOCK_BOOTTIME).
    """
    if not isinstance(sensor_ns, int):
        return 0.0
    age_s = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - sensor_ns) / 1e9
    return age_s if 0 <= age_s <= _MAX_AGE_S else 0.0


def _import_picamera2() -> Any:
    try:
        import picamera2  # noqa: PLC0415 - only Pis have it, and only this source needs it
    except ImportError as error:
        raise SourceError(
            f"picamera2 is not there for {sys.executable} ({error})",
            where="source.kind = 'picamera2'",
            hint="Install it with 'sudo apt install python3-picamera2'; a virtual environment sees "
            "it only if it was made with --system-site-packages",
        ) from error
    return picamera2


def _check_presence(picamera2: Any, number: int) -> None:
    try:
        cameras = picamera2.Picamera2.global_camera_info()
    except (RuntimeError, OSError) as error:
        raise SourceError(
            f"libcamera cannot list the cameras: {error}", where="source.kind = 'picamera2'"
        ) from error
    if not cameras:
        raise SourceError(
            "no camera is connected",
            where="source.kind = 'picamera2'",
            hint="Check the ribbon cable; 'rpicam-hello --list-cameras' must show one",
        )
    if number >= len(cameras):
        models = ", ".join(f"{n}: {info.get('Model', '?')}" for n, info in enumerate(cameras))
        raise SourceError(
            f"there is no camera {number}", where="source.location", hint=f"There are {models}"
        )
