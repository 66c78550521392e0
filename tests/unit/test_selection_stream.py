from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from daemon.captures.reasons import CaptureReason
from daemon.detection.detections import HELMET, Detections
from daemon.frames import Picture, RgbImage
from scripts.selection.stream import OnceSeen, device_config, keep
from tests.support.captures import detections, scene
from updater.errors import SourceError

CUT = 0.50
"""Where the rules cut for a helmet: the most uncertain score."""


class ScriptedEye:
    """A fake detector: one helmet a picture, its score told by the picture's first grey level."""

    def __init__(self) -> None:
        self.looked = 0

    def small(self, picture: Picture) -> RgbImage:
        return picture.rgb()

    def detect_small(self, small: RgbImage, picture: Picture) -> Detections:
        self.looked += 1
        return detections([(HELMET, int(small[-1, -1, 0]) / 100, (10, 10, 60, 60))])


def photographs(folder: Path, scores: Sequence[float]) -> list[Path]:
    """A photograph for each score that the fake detector shall give it."""
    paths = []
    for number, score in enumerate(scores):
        rgb = scene(number)
        rgb[-1, -1] = round(100 * score)
        paths.append(folder / f"photo-{number}.png")
        Image.fromarray(rgb).save(paths[-1])
    return paths


def test_the_most_uncertain_stay(tmp_path: Path) -> None:
    shown = photographs(tmp_path, [0.21, 0.9, CUT, 0.48, 0.05, 0.30, 0.46])
    choice = keep(shown, ScriptedEye(), device_config(tmp_path / "kept", 3), seed=1)
    assert choice.names == ("photo-2", "photo-3", "photo-6")
    assert choice.reasons == {CaptureReason.UNCERTAIN_SCORE: 3}
    assert choice.decided == 5
    kept = [path.read_bytes() for path in sorted((tmp_path / "kept").glob("*.jpg"))]
    assert kept == [shown[number].read_bytes() for number in (2, 3, 6)]


def test_a_device_that_is_sure_of_all_keeps_the_random_share(tmp_path: Path) -> None:
    shown = photographs(tmp_path, [0.95] * 3) * 200
    choice = keep(shown, OnceSeen(ScriptedEye()), device_config(tmp_path / "kept", 40), seed=1)
    # One an hour of 600 minutes; ten are expected and all of them stay.
    assert 3 <= len(choice.names) <= 20
    assert choice.reasons == {CaptureReason.RANDOM: len(choice.names)}


def test_the_same_seed_keeps_the_same(tmp_path: Path) -> None:
    shown = photographs(tmp_path, [0.2 + 0.01 * number for number in range(30)])
    first = keep(shown, ScriptedEye(), device_config(tmp_path / "a", 10), seed=1)
    again = keep(shown, ScriptedEye(), device_config(tmp_path / "b", 10), seed=1)
    assert first == again
    assert len(first.names) == 10


def test_each_photograph_is_looked_at_once(tmp_path: Path) -> None:
    shown = photographs(tmp_path, [0.3, 0.4])
    counting = ScriptedEye()
    eye = OnceSeen(counting)
    first = keep(shown, eye, device_config(tmp_path / "a", 1), seed=1)
    assert keep(shown, eye, device_config(tmp_path / "b", 1), seed=1) == first
    assert counting.looked == 2


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(hashlib.sha256(b"").digest())
    with pytest.raises(SourceError, match=r"broken\.jpg: not a readable picture"):
        keep([broken], ScriptedEye(), device_config(tmp_path / "kept", 1), seed=1)
