"""Capture with sources that a test steers, and with a real video file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest

from daemon.frames import Frame
from daemon.sources.base import Stamper
from daemon.sources.capture import Capture
from daemon.sources.picture import ArrayPicture
from daemon.sources.videofile import VideoFileSource
from tests.support.videos import grey_levels, make_video
from updater.errors import SourceError, SourceStalledError

PATIENCE_S = 10.0
"""Longer than anything here takes; only a failing test waits for it."""


class SteeredSource:
    """Delivers a frame for each permit that the test gives."""

    description = "steered source"
    damaged = 0

    def __init__(self, *, live: bool, frames: int | None = None) -> None:
        self.live = live
        self.trouble = ""
        self.permits = threading.Semaphore(0)
        self.reads = 0
        self.read_done = threading.Condition()
        self.fail_with: Exception | None = None
        self.fail_opening: Exception | None = None
        self.hang = threading.Event()
        self.closed = threading.Event()
        self._frames = frames
        self._stamper = Stamper()
        self._interrupted = False

    def __enter__(self) -> Self:
        if self.fail_opening is not None:
            raise self.fail_opening
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closed.set()

    def interrupt(self) -> None:
        self._interrupted = True
        self.permits.release()

    def read(self) -> Frame | None:
        with self.read_done:
            self.reads += 1
            self.read_done.notify_all()
        self.permits.acquire()
        if self.hang.is_set():
            threading.Event().wait()  # like a camera driver: for ever
        if self._interrupted:
            return None
        if self._frames == 0:
            if self.fail_with is not None:
                raise self.fail_with
            return None
        if self._frames is not None:
            self._frames -= 1
        return self._stamper.stamp(ArrayPicture(np.zeros((2, 2, 3), np.uint8)))

    def wait_for_reads(self, count: int) -> None:
        """Until read() was called so often, that is, so many less one frames were offered."""
        with self.read_done:
            assert self.read_done.wait_for(lambda: self.reads >= count, PATIENCE_S)


@contextmanager
def capturing(source: SteeredSource, stall_timeout_s: float = PATIENCE_S) -> Iterator[Capture]:
    with Capture(source, stall_timeout_s=stall_timeout_s) as capture:
        yield capture


def test_a_live_source_gives_its_newest_frame_and_counts_those_overtaken() -> None:
    source = SteeredSource(live=True)
    with capturing(source) as capture:
        source.permits.release(5)
        source.wait_for_reads(6)

        frame = capture.next(PATIENCE_S)

        assert frame is not None
        assert frame.sequence == 4
        assert (capture.captured, capture.overtaken) == (5, 4)
        assert capture.next(0.01) is None
        assert not capture.ended


def test_a_file_waits_for_its_reader_and_loses_nothing() -> None:
    source = SteeredSource(live=False, frames=5)
    source.permits.release(6)
    with capturing(source) as capture:
        frames: list[int] = []
        while not capture.ended:
            frame = capture.next(PATIENCE_S)
            if frame is not None:
                # One frame in the slot and one in the thread's hand, never more.
                assert source.reads <= len(frames) + 3
                frames.append(frame.sequence)
    assert frames == [0, 1, 2, 3, 4]
    assert capture.overtaken == 0
    assert source.closed.is_set()


def test_a_failure_comes_after_the_frames_before_it() -> None:
    source = SteeredSource(live=False, frames=2)
    source.fail_with = SourceError("cut off", where="a.mp4")
    source.permits.release(3)
    with capturing(source) as capture:
        assert capture.next(PATIENCE_S) is not None
        assert capture.next(PATIENCE_S) is not None
        with pytest.raises(SourceError, match="cut off"):
            capture.next(PATIENCE_S)
        assert not capture.ended  # or a loop until the end would never hear of it


def test_a_failure_is_not_hidden_by_the_end() -> None:
    """A loop that asks for the end first must hear of a failure all the same."""
    source = SteeredSource(live=True, frames=0)
    source.fail_with = SourceError("unplugged", where="camera")
    source.permits.release()
    with capturing(source) as capture:
        assert source.closed.wait(PATIENCE_S)
        with pytest.raises(SourceError, match="unplugged"):
            while not capture.ended:
                capture.next(PATIENCE_S)


@pytest.mark.parametrize("error", [SourceError("no camera"), ZeroDivisionError("a bug")])
def test_opening_fails_on_the_thread_and_is_raised_at_the_reader(error: Exception) -> None:
    source = SteeredSource(live=True)
    source.fail_opening = error
    with capturing(source) as capture, pytest.raises(type(error)):
        capture.next(PATIENCE_S)


def test_a_source_that_hangs_is_noticed_and_left_behind() -> None:
    source = SteeredSource(live=True)
    with capturing(source, stall_timeout_s=0.2) as capture:
        source.permits.release()
        assert capture.next(PATIENCE_S) is not None
        source.hang.set()
        source.trouble = "connection refused"
        source.permits.release()
        with pytest.raises(SourceStalledError) as caught:
            while True:
                capture.next(0.05)
    text = str(caught.value)
    assert "steered source: no frame for" in text
    assert "after 1 frames (connection refused)" in text
    assert caught.value.exit_code == 6


def test_a_source_that_never_delivers_counts_as_dead_too() -> None:
    with (
        capturing(SteeredSource(live=True), stall_timeout_s=0.1) as capture,
        pytest.raises(SourceStalledError, match="since it was opened"),
    ):
        while True:
            capture.next(0.05)


def test_a_slow_reader_is_no_stall() -> None:
    source = SteeredSource(live=False, frames=3)
    source.permits.release(4)
    with capturing(source, stall_timeout_s=0.2) as capture:
        frames = 0
        while not capture.ended:
            frames += capture.next(PATIENCE_S) is not None
            threading.Event().wait(0.3)  # inference takes longer than the stall time-out
    assert frames == 3


def test_stopping_interrupts_a_source_that_waits() -> None:
    source = SteeredSource(live=True)
    with capturing(source):
        source.wait_for_reads(1)
    assert source.closed.is_set()


def test_stopping_a_file_whose_frame_nobody_takes() -> None:
    source = SteeredSource(live=False)
    source.permits.release(5)
    with capturing(source):
        source.wait_for_reads(2)
    assert source.closed.is_set()


def test_a_real_video_comes_whole_and_in_order(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=30)
    levels = []
    with Capture(VideoFileSource(path), stall_timeout_s=PATIENCE_S) as capture:
        while not capture.ended:
            frame = capture.next(PATIENCE_S)
            if frame is not None:
                levels.append(float(frame.picture.resized(32, 16).mean()))
    assert levels == pytest.approx(grey_levels(30), abs=6)


def test_a_truncated_video_is_an_error_after_its_last_frame(tmp_path: Path) -> None:
    whole = make_video(
        tmp_path / "a.mp4", frames=50, rate=10, options={"movflags": "faststart"}
    ).read_bytes()
    path = tmp_path / "half.mp4"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    frames = 0
    with (
        Capture(VideoFileSource(path), stall_timeout_s=PATIENCE_S) as capture,
        pytest.raises(SourceError, match="truncated"),
    ):
        while not capture.ended:
            frames += capture.next(PATIENCE_S) is not None
    assert frames > 10
