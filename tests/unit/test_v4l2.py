"""No machine of ours has a loop-back video device: what needs one is left to real cameras.

The options are a pure function; reading goes through another live format of libav, its test
picture ``lavfi``, by the same code.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import av
import pytest

from daemon.config import SourceConfig
from daemon.frames import Frame
from daemon.sources.v4l2 import V4l2Source, attempts
from updater.errors import SourceError

PICTURE = "testsrc2=size=320x240:rate=30"

needs_lavfi = pytest.mark.skipif(
    "lavfi" not in av.formats_available, reason="this PyAV was built without lavfi"
)


def camera(location: str = PICTURE, *, rate: float = 1000.0) -> V4l2Source:
    return V4l2Source(location, option_sets=({},), frames_per_second=rate, container_format="lavfi")


def test_options_begin_with_motion_jpeg_at_the_size_and_rate_and_end_with_none() -> None:
    sets = attempts(SourceConfig(kind="v4l2", width=1920, height=1080, frames_per_second=7.5))
    assert sets[0] == {"input_format": "mjpeg", "video_size": "1920x1080", "framerate": "7.5"}
    assert {"video_size": "1920x1080"} in sets
    assert sets[-1] == {}


def test_an_absent_device_is_a_clear_error() -> None:
    config = SourceConfig(kind="v4l2", location="/dev/video97")
    source = V4l2Source(config.location, option_sets=attempts(config), frames_per_second=5)
    with pytest.raises(SourceError, match="no such file or directory") as caught:
        source.__enter__()
    assert str(caught.value).startswith("/dev/video97: the camera cannot be opened")
    assert "v4l2-ctl --list-devices" in caught.value.hint
    assert caught.value.exit_code == 6


def test_a_device_that_is_no_camera_is_a_clear_error() -> None:
    source = V4l2Source("/dev/null", option_sets=({},), frames_per_second=5)
    with pytest.raises(SourceError) as caught:
        source.__enter__()
    assert "no video device" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_device_without_rights_names_the_group(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch(mode=0o000)
    source = V4l2Source(str(device), option_sets=({},), frames_per_second=5)
    with pytest.raises(SourceError) as caught:
        source.__enter__()
    assert "group 'video'" in caught.value.hint


@needs_lavfi
def test_frames_come_with_the_cameras_own_clock() -> None:
    with camera() as source:
        frames = [frame for frame in islice(iter(source.read, None), 3) if frame is not None]
    assert source.live
    assert [frame.sequence for frame in frames] == [0, 1, 2]
    assert all(frame.media_time_s == frame.captured_monotonic_s for frame in frames)
    assert frames[0].picture.resized(160, 120).std() > 20  # a test picture, no flat one


@needs_lavfi
def test_more_frames_than_wanted_are_dropped() -> None:
    """lavfi delivers without waiting; a frame is due only every 50 ms."""
    frames: list[Frame] = []
    with camera(rate=20) as source:
        while len(frames) < 4:
            frame = source.read()
            assert frame is not None
            frames.append(frame)
    assert frames[-1].media_time_s - frames[0].media_time_s >= 0.1


@needs_lavfi
def test_the_next_options_are_tried_when_the_first_are_refused() -> None:
    sets: tuple[dict[str, str], ...] = ({"video_size": "no size"}, {})
    source = V4l2Source(
        "testsrc2=size=64x48", option_sets=sets, frames_per_second=30, container_format="lavfi"
    )
    with source:
        assert source.read() is not None


@needs_lavfi
def test_a_camera_that_stops_delivering_is_an_error() -> None:
    with (
        camera("testsrc2=size=64x48:rate=10:duration=1") as source,
        pytest.raises(SourceError, match="stopped delivering"),
    ):
        while True:
            assert source.read() is not None


@needs_lavfi
def test_an_interrupted_source_ends() -> None:
    with camera() as source:
        source.interrupt()
        assert source.read() is None
