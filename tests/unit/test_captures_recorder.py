from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from daemon import annotate
from daemon.captures.buffer import CaptureBuffer
from daemon.captures.recorder import WAITING_MAX, CaptureRecorder
from daemon.captures.selection import CaptureDecision, CaptureSelector
from daemon.frames import RgbImage
from tests.support.captures import SetClock, config, detections, frame, scene
from updater import captures as stored
from updater.errors import SourceError

WAIT_S = 30.0
LAMP = detections([("helmet", 0.4, (300, 50, 320, 70))])


def encode(rgb: RgbImage) -> bytes:
    return annotate.encode_jpeg(rgb, quality=90)


class Gate:
    """An encoder that waits until it is let through, as a slow disk does."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, rgb: RgbImage) -> bytes:
        self.entered.release()
        assert self.open.wait(WAIT_S)
        return encode(rgb)


class Recording:
    """A recorder with its selector and folder."""

    def __init__(self, folder: Path, encoder: object = encode, **changes: object) -> None:
        settings = config(folder, **changes)
        self.folder = folder
        self.selector = CaptureSelector(settings, chance=random.Random(0))
        self.buffer = CaptureBuffer(settings, "cam-1", clock=SetClock().clock())
        self.recorder = CaptureRecorder(self.selector, self.buffer, encoder)  # type: ignore[arg-type]

    def decide(self, number: int) -> CaptureDecision | None:
        return self.selector.decide(frame(number), LAMP, (), scene(number))

    def names(self) -> list[str]:
        return stored.complete_names(path.name for path in self.folder.iterdir())


def test_what_is_offered_is_on_disk_after_the_stop(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "captures")
    recording.recorder.start()
    decision = recording.decide(0)
    assert decision is not None
    assert recording.recorder.offer(decision)
    assert recording.decide(0) is None, "remembered at once"
    assert recording.recorder.stop(WAIT_S)
    assert len(recording.names()) == recording.recorder.counts().kept == 1


def test_a_slow_disk_makes_no_queue_and_no_waiting(tmp_path: Path) -> None:
    gate = Gate()
    recording = Recording(tmp_path / "captures", gate)
    recording.recorder.start()
    taken = []
    for number in range(WAITING_MAX + 3):
        decision = recording.decide(number)
        assert decision is not None
        taken.append(recording.recorder.offer(decision))
        if number == 0:
            assert gate.entered.acquire(timeout=WAIT_S)
    assert taken == [True] * (1 + WAITING_MAX) + [False] * 2
    assert recording.recorder.counts().refused == {"too_slow": 2}
    assert not recording.recorder.stop(0.01), "it says that it is not done"
    gate.open.set()
    assert recording.recorder.stop(WAIT_S)
    assert len(recording.names()) == 1 + WAITING_MAX


def test_a_failure_is_counted_and_the_next_picture_kept(tmp_path: Path) -> None:
    failures = [SourceError("the picture is gone", where="camera")]

    def failing(rgb: RgbImage) -> bytes:
        if failures:
            raise failures.pop()
        return encode(rgb)

    recording = Recording(tmp_path / "captures", failing)
    recording.recorder.start()
    first, second = recording.decide(0), recording.decide(1)
    assert first is not None
    assert second is not None
    assert recording.recorder.offer(first)
    assert recording.recorder.offer(second)
    assert recording.recorder.stop(WAIT_S)
    assert len(recording.names()) == 1
    assert recording.recorder.counts().failed == 1
    assert recording.recorder.last_error == "camera: the picture is gone"
    recording.recorder.offer(second)
    assert recording.decide(0) is not None, "what failed is not taken for kept"


def test_what_a_limit_refuses_is_never_encoded(tmp_path: Path) -> None:
    def never(rgb: RgbImage) -> bytes:
        raise AssertionError("encoded")

    recording = Recording(tmp_path / "captures", never, per_day=0)
    recording.recorder.start()
    decision = recording.decide(0)
    assert decision is not None
    assert not recording.recorder.offer(decision)
    assert recording.decide(0) is not None, "what was refused is not taken for kept"
    assert recording.recorder.stop(WAIT_S)
    assert recording.recorder.counts().refused == {"limit": 1}


def test_a_restart_knows_the_scene(tmp_path: Path) -> None:
    before = Recording(tmp_path / "captures")
    before.recorder.start()
    decision = before.decide(0)
    assert decision is not None
    before.recorder.offer(decision)
    assert before.recorder.stop(WAIT_S)
    after = Recording(tmp_path / "captures")
    assert after.decide(0) is None
    assert after.decide(1) is not None


@pytest.mark.parametrize("offers", [0, 1])
def test_a_stop_without_a_start_is_no_error(tmp_path: Path, offers: int) -> None:
    recording = Recording(tmp_path / "captures")
    for number in range(offers):
        decision = recording.decide(number)
        assert decision is not None
        recording.recorder.offer(decision)
    assert recording.recorder.stop(1.0)
