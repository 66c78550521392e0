"""A fake of picamera2: the few calls that we use, with the behaviour that bit its users.

Faithful to picamera2 0.3.x in this: sizes are rounded to even numbers and rows padded to 64 bytes;
a ``lores`` stream must be YUV (as on a Pi 4); frames come from a thread of its own at the frame
duration asked for; there are ``buffer_count`` buffers, and a request that is not released keeps
one, until the camera starves; a capture asked for with ``wait=False`` is a job in a queue which
takes a request whether or not anybody still waits for it.

It is put in place of the module by ``monkeypatch.setitem(sys.modules, "picamera2", …)``.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STRIDE_BYTES = 64


class Job:
    """A capture that was asked for."""

    def __init__(self) -> None:
        self.future: Future[CompletedRequest] = Future()

    def get_result(self, timeout: float | None = None) -> CompletedRequest:
        return self.future.result(timeout)


class CompletedRequest:
    """One exposure, in a buffer of the camera until it is released."""

    def __init__(self, camera: Picamera2, number: int) -> None:
        self._camera = camera
        self._number = number
        self._references = 1
        self._sensor_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def make_array(self, name: str) -> NDArray[np.uint8]:
        """Grey of 16 times the number of the frame in ``main``, and 1 more in ``lores``."""
        if not self._references:
            raise RuntimeError("the request was released")
        stream = self._camera.camera_configuration()[name]
        height, stride = stream["size"][1], stream["stride"]
        array = np.full((height * 3 // 2, stride), 128, np.uint8)
        array[:height] = self._number * 16 % 240 + (name == "lores")
        array[:height, stream["size"][0] :] = 255  # padding, which nobody must see
        return array

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": self._sensor_ns, "ExposureTime": 10_000}

    def release(self) -> None:
        self._references -= 1
        if self._references < 0:
            raise RuntimeError("released twice")
        self._camera.give_back_buffer()


class Picamera2:
    """The camera."""

    cameras: list[dict[str, Any]]
    frozen: threading.Event
    instances: list[Picamera2]

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return Picamera2.cameras

    def __init__(self, camera_num: int = 0) -> None:
        self.camera_num = camera_num
        self.camera_controls = {"FrameDurationLimits": (100, 1_000_000, 33_333)}
        self.closed = False
        self._configuration: dict[str, Any] = {}
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._free_buffers = 0
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._expose, daemon=True)
        Picamera2.instances.append(self)

    def create_preview_configuration(
        self,
        main: dict[str, Any],
        lores: dict[str, Any],
        controls: dict[str, Any],
        queue: bool = True,
        buffer_count: int = 4,
    ) -> dict[str, Any]:
        return {
            "main": main,
            "lores": lores,
            "controls": controls,
            "queue": queue,
            "buffer_count": buffer_count,
        }

    def configure(self, configuration: dict[str, Any]) -> None:
        if not configuration["lores"]["format"].startswith("YUV"):
            raise RuntimeError("lores stream must be YUV")
        for name in ("main", "lores"):
            width, height = configuration[name]["size"]
            if width % 2 or height % 2:
                raise RuntimeError("width and height should be even")
            configuration[name]["stride"] = -(-width // _STRIDE_BYTES) * _STRIDE_BYTES
        self._configuration = configuration
        self._free_buffers = configuration["buffer_count"]

    def camera_configuration(self) -> dict[str, Any]:
        return self._configuration

    def start(self) -> None:
        self._running.set()
        self._thread.start()

    def capture_request(self, wait: bool = True) -> Job | CompletedRequest:
        job = Job()
        with self._lock:
            self._jobs.append(job)
        return job.get_result() if wait else job

    def stop(self) -> None:
        if Picamera2.frozen.is_set():
            threading.Event().wait()  # for ever, as the real one does
        self._running.clear()
        self._thread.join()

    def close(self) -> None:
        self.closed = True

    @property
    def free_buffers(self) -> int:
        return self._free_buffers

    def give_back_buffer(self) -> None:
        with self._lock:
            self._free_buffers += 1

    def _expose(self) -> None:
        number = 0
        frame_s = self._configuration["controls"]["FrameDurationLimits"][0] / 1e6
        while self._running.is_set():
            time.sleep(frame_s)
            if Picamera2.frozen.is_set():
                continue
            with self._lock:
                if not self._jobs or not self._free_buffers:
                    continue
                self._free_buffers -= 1
                job = self._jobs.pop(0)
            job.future.set_result(CompletedRequest(self, number))
            number += 1


def reset(cameras: int = 1) -> None:
    """Connects so many cameras, none of them stuck."""
    Picamera2.cameras = [{"Model": f"imx{700 + n}", "Num": n} for n in range(cameras)]
    Picamera2.frozen = threading.Event()
    Picamera2.instances = []
