"""RTSP against a real server, which is killed, started again, and refuses logins."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from daemon.config import SourceConfig
from daemon.frames import Frame
from daemon.sources import open_source
from daemon.sources.capture import Capture
from tests.support.rtsp import RtspServer, missing
from updater.errors import SourceError, SourceStalledError

LOGIN = "site:p@ss:w/rd"
PATIENCE_S = 30.0
"""Longer than any of this takes; only a failing test waits for it."""


@pytest.fixture(scope="module", autouse=True)
def _server_can_run() -> None:
    reason = missing()
    if reason:
        pytest.skip(f"no RTSP server: {reason}")


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as running:
        yield running


def capture_of(
    url: str,
    *,
    transport: str = "tcp",
    password_file: Path | None = None,
    stall_timeout_s: float = PATIENCE_S,
    frames_per_second: float = 10.0,
) -> Capture:
    config = SourceConfig(
        kind="rtsp",
        location=url,
        rtsp_transport=transport,
        rtsp_password_file=password_file,
        frames_per_second=frames_per_second,
        stall_timeout_s=stall_timeout_s,
    )
    return Capture(open_source(config, (320, 320)), stall_timeout_s=stall_timeout_s)


def take(capture: Capture, count: int) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < count:
        frame = capture.next(1.0)
        if frame is not None:
            frames.append(frame)
    return frames


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["mjpeg", "h264"])
def test_frames_come(codec: str, transport: str) -> None:
    with (
        RtspServer(codec=codec) as running,
        capture_of(running.url, transport=transport) as capture,
    ):
        frames = take(capture, 5)
    assert {(frame.picture.width, frame.picture.height) for frame in frames} == {(320, 240)}
    # A white ball on black, and it moves.
    assert all(frame.picture.resized(320, 240).max() > 200 for frame in frames)
    assert frames[0].picture.rgb().tobytes() != frames[-1].picture.rgb().tobytes()
    assert all(frame.media_time_s == frame.captured_monotonic_s for frame in frames)


def test_no_more_frames_than_wanted(server: RtspServer) -> None:
    """The camera sends 25 a second, 5 are wanted: none of them lies closer than the slack."""
    with capture_of(server.url, frames_per_second=5) as capture:
        frames = take(capture, 6)
    span_s = frames[-1].media_time_s - frames[0].media_time_s
    delivered = frames[-1].sequence - frames[0].sequence
    assert delivered / span_s <= 5 * 1.5


def test_a_killed_server_is_connected_again_when_it_is_back(
    server: RtspServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), capture_of(server.url) as capture:
        before = take(capture, 3)
        server.kill()
        # The camera is away until at least one attempt to reach it has failed.
        while "no connection" not in caplog.text:
            capture.next(0.1)
        server.start()
        after = take(capture, 3)
    assert after[0].sequence > before[-1].sequence
    assert after[0].media_time_s > before[-1].media_time_s
    assert "delivering after" in caplog.text
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1  # one line an outage, not one an attempt


def test_a_server_that_stays_away_is_a_stall_that_says_why(server: RtspServer) -> None:
    with capture_of(server.url, stall_timeout_s=3.0) as capture:
        take(capture, 1)
        server.kill()
        with pytest.raises(SourceStalledError) as caught:
            while True:
                capture.next(0.2)
    assert "connection refused" in str(caught.value)
    assert server.url in str(caught.value)


def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    server = RtspServer()
    with server:
        pass  # now its port is known, and nobody listens there
    with capture_of(server.url) as capture:
        assert capture.next(0.5) is None
        with server:
            assert take(capture, 1)


def test_a_slow_camera_is_seen_before_its_rate_is_known() -> None:
    """Left to itself, libav waits for 20 of its pictures, here 7 s, to tell their rate."""
    with RtspServer(options=("--rate", "3")) as slow:
        begun_s = time.monotonic()
        with capture_of(slow.url) as capture:
            take(capture, 1)
        ours_s = time.monotonic() - begun_s
        begun_s = time.monotonic()
        with av.open(slow.url, options={"rtsp_transport": "tcp"}):
            pass
        libavs_s = time.monotonic() - begun_s
    assert ours_s < libavs_s


def test_an_unknown_stream_is_an_error_at_once(server: RtspServer) -> None:
    with (
        capture_of(server.url.replace("/site", "/nosuch")) as capture,
        pytest.raises(SourceError, match="no such stream") as caught,
    ):
        take(capture, 1)
    assert not isinstance(caught.value, SourceStalledError)
    assert "404" in str(caught.value)


@pytest.mark.parametrize("login", ["site:wrong-secret", None])
def test_a_refused_login_is_an_error_at_once_and_shows_no_password(
    tmp_path: Path, login: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "login"
    if login is not None:
        file.write_text(login)
    with (
        caplog.at_level(logging.DEBUG),
        RtspServer(login=LOGIN) as running,
        capture_of(running.url, password_file=file if login else None) as capture,
        pytest.raises(SourceError, match="refuses the login") as caught,
    ):
        take(capture, 1)
    said = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "wrong-secret" not in said


def test_the_login_comes_from_its_file_and_is_shown_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "login"
    file.write_text(LOGIN + "\n")
    with (
        caplog.at_level(logging.DEBUG),
        RtspServer(login=LOGIN) as running,
        capture_of(running.url, password_file=file, stall_timeout_s=3.0) as capture,
    ):
        assert len(take(capture, 2)) == 2
        running.kill()
        with pytest.raises(SourceStalledError) as caught:
            while True:
                capture.next(0.2)
    said = "".join(traceback.format_exception(caught.value)) + caplog.text
    for secret in ("p@ss", "p%40ss", "w/rd"):
        assert secret not in said
