"""The clocks and stamps of daemon.sources.base, and the choice of a source."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import SourceConfig
from daemon.sources import guess_kind, open_source
from daemon.sources.base import MediaClock, RateLimit, Stamper
from daemon.sources.picture import ArrayPicture
from updater.errors import ConfigError

SECONDS = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)


def test_media_clock_starts_at_zero_and_keeps_the_files_distances() -> None:
    clock = MediaClock(10)
    assert [clock.at(stamp) for stamp in (7.0, 7.1, 9.0)] == pytest.approx([0.0, 0.1, 2.0])


def test_media_clock_goes_on_at_its_rate_where_stamps_are_missing_or_jump_back() -> None:
    clock = MediaClock(10)
    stamps = [None, None, 5.0, 5.3, 1.0, 1.1, None, 1.5]
    assert [clock.at(stamp) for stamp in stamps] == pytest.approx(
        [0.0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 1.1]
    )


@given(stamps=st.lists(st.none() | SECONDS), rate=st.floats(min_value=0.1, max_value=120))
def test_media_clock_never_goes_back(stamps: list[float | None], rate: float) -> None:
    clock = MediaClock(rate)
    times = [clock.at(stamp) for stamp in stamps]
    assert not times or times[0] == 0
    assert all(after > before for before, after in pairwise(times))


def taken(arrivals: list[float], wanted: float) -> int:
    limit = RateLimit(wanted)
    return sum(limit.take(arrival) for arrival in arrivals)


@pytest.mark.parametrize(("camera", "wanted"), [(30, 5), (25, 5), (15, 10), (30, 7.5), (60, 1)])
def test_rate_limit_takes_as_many_as_are_wanted(camera: float, wanted: float) -> None:
    arrivals = [100 + number / camera for number in range(int(camera * 20))]
    assert taken(arrivals, wanted) == pytest.approx(20 * wanted, rel=0.05)


def test_rate_limit_takes_every_frame_of_a_camera_that_runs_at_the_rate_itself() -> None:
    rng = np.random.default_rng(1)
    arrivals = [number / 5 + rng.uniform(-0.02, 0.02) for number in range(200)]
    assert taken(arrivals, 5) == 200


def test_rate_limit_does_not_catch_up_after_a_gap() -> None:
    limit = RateLimit(5)
    assert limit.take(0.0)
    after_gap = [60 + number / 30 for number in range(30)]
    assert sum(limit.take(arrival) for arrival in after_gap) <= 6


@given(
    gaps=st.lists(st.floats(min_value=0, max_value=1), min_size=2, max_size=200),
    wanted=st.floats(min_value=0.5, max_value=30),
)
def test_rate_limit_never_takes_more_than_wanted(gaps: list[float], wanted: float) -> None:
    arrivals = np.cumsum(gaps).tolist()
    span_s = arrivals[-1] - arrivals[0]
    assert taken(arrivals, wanted) <= span_s * wanted + 1.51  # the first one, and twice the slack


def test_stamper_numbers_frames_and_moves_the_exposures_age_into_all_clocks() -> None:
    stamper = Stamper()
    picture = ArrayPicture(np.zeros((2, 2, 3), np.uint8))
    before = time.monotonic()
    first, second = stamper.stamp(picture), stamper.stamp(picture, age_s=0.5)
    after = time.monotonic()

    assert (first.sequence, second.sequence) == (0, 1)
    assert before <= first.captured_monotonic_s == first.media_time_s <= after
    assert before - 0.5 <= second.captured_monotonic_s <= after - 0.5
    assert first.captured_unix_s - second.captured_unix_s == pytest.approx(
        first.captured_monotonic_s - second.captured_monotonic_s, abs=0.01
    )
    assert stamper.stamp(picture, media_time_s=3.0).media_time_s == 3.0


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("", "picamera2"),
        ("1", "picamera2"),
        ("/dev/video0", "v4l2"),
        ("rtsp://10.0.0.7/stream", "rtsp"),
        ("rtsps://10.0.0.7/stream", "rtsp"),
        ("site.mp4", "file"),
        ("picture.JPG", "folder"),
        (".", "folder"),
    ],
)
def test_guessed_kind(location: str, kind: str) -> None:
    assert guess_kind(location) == kind


@pytest.mark.parametrize(
    ("kind", "location", "description", "live"),
    [
        ("picamera2", "", "Pi camera 0", True),
        ("picamera2", "1", "Pi camera 1", True),
        ("v4l2", "/dev/video0", "camera /dev/video0", True),
        ("rtsp", "rtsp://u:secret@10.0.0.7/s?password=x", "10.0.0.7/s?password=***", True),
        ("file", "a.mp4", "file a.mp4", False),
    ],
)
def test_every_kind_of_source_is_made_without_being_opened(
    kind: str, location: str, description: str, live: bool
) -> None:
    source = open_source(SourceConfig(kind=kind, location=location), (320, 320))
    assert description in source.description
    assert "secret" not in source.description
    assert source.live is live
    assert source.damaged == 0
    assert source.trouble == ""


def test_a_folder_is_made_too(tmp_path: Path) -> None:
    source = open_source(SourceConfig(kind="folder", location=str(tmp_path)), (320, 320))
    assert source.description == f"folder {tmp_path}"


@pytest.mark.parametrize("location", ["front", "-1", "1.5", "٣"])
def test_a_pi_camera_has_a_number(location: str) -> None:
    config = replace(SourceConfig(), kind="picamera2", location=location)
    with pytest.raises(ConfigError, match=r"source\.location"):
        open_source(config, (320, 320))
