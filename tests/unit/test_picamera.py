"""The Pi's camera, against a fake of the few calls of picamera2 that we use."""

from __future__ import annotations

import sys
import time
from types import ModuleType

import numpy as np
import pytest

from daemon.sources.capture import Capture
from daemon.sources.picamera import PicameraSource, frame_of_yuv420
from tests.support import fake_picamera2
from updater.errors import SourceError, SourceStalledError


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """One fake camera, and a process in which no camera was opened yet."""
    fake_picamera2.reset()
    monkeypatch.setitem(sys.modules, "picamera2", fake_picamera2)
    monkeypatch.setattr(PicameraSource, "_created", False)
    return fake_picamera2


def source(
    number: int = 0,
    *,
    width: int = 1280,
    height: int = 720,
    small_size: tuple[int, int] = (320, 320),
    frames_per_second: float = 100.0,
    stall_timeout_s: float = 10.0,
) -> PicameraSource:
    return PicameraSource(
        number,
        width=width,
        height=height,
        small_size=small_size,
        frames_per_second=frames_per_second,
        stall_timeout_s=stall_timeout_s,
    )


def the_camera() -> fake_picamera2.Picamera2:
    (camera,) = fake_picamera2.Picamera2.instances
    return camera


def test_the_small_stream_has_the_models_size_and_the_pictures_shape(camera: ModuleType) -> None:
    with source() as pi:
        configuration = the_camera().camera_configuration()
        frame = pi.read()
    assert configuration["main"]["size"] == (1280, 720)
    assert configuration["lores"]["size"] == (320, 180)
    assert configuration["lores"]["format"] == "YUV420"
    assert configuration["queue"] is False
    assert frame is not None
    assert (frame.picture.width, frame.picture.height) == (1280, 720)
    # The fake's first frame: 0 in the large stream, 1 in the small one.
    assert frame.picture.resized(320, 180).mean() == pytest.approx(1, abs=0.6)
    assert frame.picture.rgb().mean() == pytest.approx(0, abs=0.6)


@pytest.mark.parametrize(
    ("size", "small_size", "main", "lores"),
    [
        ((1280, 720), (416, 416), (1280, 720), (416, 234)),
        ((1296, 972), (320, 320), (1296, 972), (320, 240)),
        ((1281, 721), (320, 320), (1280, 720), (320, 180)),
        ((720, 1280), (320, 320), (720, 1280), (180, 320)),
        ((800, 450), (330, 190), (800, 450), (330, 186)),
    ],
)
def test_sizes_are_even_and_keep_the_shape(
    camera: ModuleType,
    size: tuple[int, int],
    small_size: tuple[int, int],
    main: tuple[int, int],
    lores: tuple[int, int],
) -> None:
    with source(width=size[0], height=size[1], small_size=small_size) as pi:
        configuration = the_camera().camera_configuration()
        assert configuration["main"]["size"] == main
        assert configuration["lores"]["size"] == lores
        frame = pi.read()
    assert frame is not None
    assert frame.picture.resized(*lores).shape == (lores[1], lores[0], 3)


def test_frames_are_stamped_with_the_time_of_exposure(camera: ModuleType) -> None:
    with source() as pi:
        frames = [pi.read() for _ in range(5)]
        now = time.monotonic()
    stamps = [frame.media_time_s for frame in frames if frame is not None]
    assert len(stamps) == 5
    assert stamps == sorted(stamps)
    assert all(now - 5 < stamp <= now for stamp in stamps)


def test_buffers_are_given_back_whatever_happens(camera: ModuleType) -> None:
    with source() as pi:
        for _ in range(12):  # three times as many as there are buffers
            assert pi.read() is not None
        assert the_camera().free_buffers == 4
    assert the_camera().free_buffers == 4
    assert the_camera().closed


def test_a_failing_copy_gives_its_buffer_back(
    camera: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, name: str) -> None:
        raise RuntimeError(f"no {name}")

    monkeypatch.setattr(fake_picamera2.CompletedRequest, "make_array", fail)
    with source() as pi:
        with pytest.raises(SourceError, match="the camera failed: no main"):
            pi.read()
        assert the_camera().free_buffers == 4


def test_the_sensor_never_runs_slower_than_fifteen_frames_a_second(camera: ModuleType) -> None:
    with source(frames_per_second=1.0):
        controls = the_camera().camera_configuration()["controls"]
    assert controls["FrameDurationLimits"] == (66_667, 66_667)


def test_a_stuck_camera_is_an_error_and_is_not_closed(camera: ModuleType) -> None:
    with (
        pytest.raises(SourceStalledError, match="delivered no frame") as caught,
        source(stall_timeout_s=0.3) as pi,
    ):
        assert pi.read() is not None
        fake_picamera2.Picamera2.frozen.set()
        pi.read()
    assert "ribbon cable" in caught.value.hint
    assert not the_camera().closed  # closing it would have hung


def test_capture_notices_a_stuck_camera_and_stops_all_the_same(camera: ModuleType) -> None:
    with Capture(source(), stall_timeout_s=0.5) as capture:
        assert capture.next(10.0) is not None
        fake_picamera2.Picamera2.frozen.set()
        with pytest.raises(SourceStalledError, match="Pi camera 0"):
            while True:
                capture.next(0.1)


def test_an_interrupted_read_takes_no_buffer_with_it(camera: ModuleType) -> None:
    with source() as pi:
        assert pi.read() is not None
        pi.interrupt()
        assert pi.read() is None
    assert the_camera().closed
    assert the_camera().free_buffers == 4


def test_absent_picamera2_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError) as caught:
        source().__enter__()
    assert "sudo apt install python3-picamera2" in str(caught.value)
    assert "--system-site-packages" in str(caught.value)


def test_no_camera_and_no_such_camera_are_clear_errors(camera: ModuleType) -> None:
    with pytest.raises(SourceError, match="there is no camera 1") as caught:
        source(1).__enter__()
    assert "0: imx700" in str(caught.value)
    fake_picamera2.reset(cameras=0)
    with pytest.raises(SourceError, match="no camera is connected"):
        source().__enter__()


def test_a_busy_camera_is_a_clear_error(
    camera: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: object, configuration: object) -> None:
        raise RuntimeError("Failed to acquire camera: Device or resource busy")

    monkeypatch.setattr(fake_picamera2.Picamera2, "configure", busy)
    with pytest.raises(SourceError, match="resource busy"):
        source().__enter__()


def test_a_camera_that_delivers_another_format_is_refused(
    camera: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = fake_picamera2.Picamera2.camera_configuration

    def adjusted(self: fake_picamera2.Picamera2) -> dict[str, object]:
        return configured(self) | {"main": {"size": (640, 480), "format": "MJPEG"}}

    monkeypatch.setattr(fake_picamera2.Picamera2, "camera_configuration", adjusted)
    with pytest.raises(SourceError, match="is MJPEG, not YUV420"):
        source().__enter__()


def test_one_process_opens_a_camera_once(camera: ModuleType) -> None:
    with source():
        pass
    with pytest.raises(SourceError, match="already opened in this process"):
        source().__enter__()


@pytest.mark.parametrize(("width", "height", "stride"), [(320, 180, 320), (180, 100, 192)])
def test_padding_of_the_rows_is_left_out(width: int, height: int, stride: int) -> None:
    rng = np.random.default_rng(5)
    luma = rng.integers(0, 256, (height, width), np.uint8)
    u = rng.integers(0, 256, (height // 2, width // 2), np.uint8)
    v = rng.integers(0, 256, (height // 2, width // 2), np.uint8)

    def padded(plane: np.ndarray[tuple[int, int], np.dtype[np.uint8]], to: int) -> bytes:
        return np.pad(plane, ((0, 0), (0, to - plane.shape[1]))).tobytes()

    raw = padded(luma, stride) + padded(u, stride // 2) + padded(v, stride // 2)
    frame = frame_of_yuv420(
        np.frombuffer(raw, np.uint8).reshape(height * 3 // 2, stride), width, height
    )

    packed = frame.to_ndarray().reshape(-1)
    expected = np.concatenate([luma.ravel(), u.ravel(), v.ravel()])
    assert np.array_equal(packed, expected)
