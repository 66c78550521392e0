from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from daemon.config import MotionConfig
from daemon.frames import RgbImage
from daemon.sources.motion import MotionGate, Reason, brightness_cells, moved_fraction
from daemon.sources.videofile import VideoFileSource

WIDTH, HEIGHT = 320, 180
CONFIG = MotionConfig(pixel_threshold=14, area_fraction=0.002, forced_look_s=5.0)
RNG = np.random.default_rng(3)
BACKGROUND = RNG.integers(60, 160, (HEIGHT // 10, WIDTH // 10, 3)).repeat(10, 0).repeat(10, 1)


def view(
    *,
    person_at: tuple[int, int] | None = None,
    gain: float = 1.0,
    offset: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
    contrast: int = 70,
) -> RgbImage:
    """The scene, with a person of 8x20 pixels where wanted: small, some 14 m away."""
    scene = BACKGROUND.astype(np.float64)
    if person_at is not None:
        x, y = person_at
        scene[y : y + 20, x : x + 8] += contrast
    scene = scene * gain + offset
    if noise:
        scene = scene + np.random.default_rng(seed).normal(0, noise, scene.shape)
    return np.clip(scene, 0, 255).astype(np.uint8)


def looks(gate: MotionGate, pictures: list[RgbImage]) -> list[Reason | None]:
    """What the gate says at 5 frames a second."""
    return [gate.wants(p, n * 0.2, followed=False) for n, p in enumerate(pictures)]


def test_cells_are_the_mean_brightness_of_four_by_four_pixels() -> None:
    rgb = RNG.integers(0, 256, (27, 42, 3)).astype(np.uint8)  # neither is a multiple of 4
    luma = rgb[:24, :40].astype(np.float64) @ [0.299, 0.587, 0.114]
    expected = luma.reshape(6, 4, 10, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(brightness_cells(rgb), expected, atol=0.01)


def test_a_still_scene_is_looked_at_once_and_then_only_when_forced() -> None:
    pictures = [view(noise=5, seed=n) for n in range(60)]  # 12 s
    found = looks(MotionGate(CONFIG), pictures)
    assert found[0] is Reason.FIRST
    assert [n for n, reason in enumerate(found) if reason is Reason.FORCED] == [25, 50]
    assert found.count(None) == 57


@pytest.mark.parametrize("noise", [0.0, 5.0, 10.0])
def test_a_small_person_who_appears_is_motion(noise: float) -> None:
    gate = MotionGate(CONFIG)
    assert gate.wants(view(noise=noise, seed=1), 0.0, followed=False) is Reason.FIRST
    with_person = view(person_at=(101, 67), noise=noise, seed=2)
    assert gate.wants(with_person, 0.2, followed=False) is Reason.MOTION
    gone = view(noise=noise, seed=3)
    assert gate.wants(gone, 0.4, followed=False) is Reason.MOTION


def test_noise_of_a_dim_scene_is_no_motion() -> None:
    found = looks(MotionGate(CONFIG), [view(noise=12, seed=n) for n in range(20)])
    assert found.count(None) == 19


@pytest.mark.parametrize(("gain", "offset"), [(1.3, 0), (0.7, 0), (1.0, 25), (1.0, -25), (1.2, 15)])
def test_automatic_exposure_is_no_motion(gain: float, offset: float) -> None:
    gate = MotionGate(CONFIG)
    gate.wants(view(noise=3, seed=1), 0.0, followed=False)
    brighter = view(gain=gain, offset=offset, noise=3, seed=2)
    assert gate.wants(brighter, 0.2, followed=False) is None


def test_a_person_is_seen_through_a_change_of_exposure() -> None:
    gate = MotionGate(CONFIG)
    gate.wants(view(noise=3, seed=1), 0.0, followed=False)
    changed = view(person_at=(200, 100), gain=1.2, offset=8, noise=3, seed=2)
    assert gate.wants(changed, 0.2, followed=False) is Reason.MOTION


def test_slow_movement_adds_up() -> None:
    """Half a pixel a frame never is a change from one frame to the next."""
    gate = MotionGate(CONFIG)
    pictures = [view(person_at=(40 + n // 2, 60), noise=2, seed=n) for n in range(24)]  # 4.8 s
    assert Reason.MOTION in looks(gate, pictures)


def test_slow_change_of_light_over_an_hour_costs_only_the_forced_looks() -> None:
    gate = MotionGate(CONFIG)
    pictures = [view(gain=1 - 0.5 * n / 300, noise=2, seed=n) for n in range(300)]  # 60 s, 5 a s
    found = looks(gate, pictures)
    assert Reason.MOTION not in found
    assert found.count(None) > 280


def test_the_lens_covered_and_a_dark_night_are_handled() -> None:
    gate = MotionGate(CONFIG)
    dark = [np.full((HEIGHT, WIDTH, 3), 2, np.uint8)] * 3
    assert looks(gate, dark) == [Reason.FIRST, None, None]
    assert gate.wants(view(), 0.6, followed=False) is Reason.MOTION
    assert gate.wants(dark[0], 0.8, followed=False) is Reason.MOTION


def test_a_cut_to_another_scene_is_motion() -> None:
    gate = MotionGate(CONFIG)
    gate.wants(view(), 0.0, followed=False)
    other = np.ascontiguousarray(view()[::-1, ::-1])
    assert gate.wants(other, 0.2, followed=False) is Reason.MOTION


def test_while_somebody_is_followed_every_frame_counts() -> None:
    gate = MotionGate(CONFIG)
    gate.wants(view(), 0.0, followed=False)
    assert gate.wants(view(), 0.2, followed=True) is Reason.FOLLOWED
    assert gate.wants(view(), 0.4, followed=False) is None


def test_the_gate_can_be_switched_off_and_reconfigured() -> None:
    gate = MotionGate(MotionConfig(enabled=False))
    assert looks(gate, [view()] * 3) == [Reason.DISABLED] * 3
    gate.config = CONFIG
    assert looks(gate, [view()] * 2) == [Reason.FIRST, None]


def test_another_size_of_picture_starts_afresh() -> None:
    gate = MotionGate(CONFIG)
    gate.wants(view(), 0.0, followed=False)
    smaller = np.ascontiguousarray(view()[:96])
    assert gate.wants(smaller, 0.2, followed=False) is Reason.FIRST


def cells(values: list[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, 10)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    gain=st.floats(0.6, 1.8),
    offset=st.floats(-40, 40),
    moved=st.integers(0, 30),
)
def test_moved_fraction_counts_what_moved_whatever_the_exposure(
    seed: int, gain: float, offset: float, moved: int
) -> None:
    rng = np.random.default_rng(seed)
    before = rng.uniform(30, 220, 1000)
    after = before * gain + offset
    where = rng.choice(1000, moved, replace=False)
    after[where] += rng.choice([-60.0, 60.0], moved)
    found = moved_fraction(cells(before.tolist()), cells(after.tolist()), pixel_threshold=14)
    assert found == pytest.approx(moved / 1000, abs=0.002)


@pytest.mark.shared_data
def test_every_person_of_the_clip_wakes_the_gate_and_the_empty_room_does_not(
    shared_data: Path,
) -> None:
    gate = MotionGate(CONFIG)
    woken, seconds = [], 0.0
    clip = shared_data / "videos/one-by-one-person-detection.mp4"
    with VideoFileSource(clip) as source:
        while (frame := source.read()) is not None:
            small = frame.picture.resized(320, 180)
            if gate.wants(small, frame.media_time_s, followed=False) is Reason.MOTION:
                woken.append(frame.media_time_s)
            seconds = frame.media_time_s
    # The room is empty for the first 5 s, and the first person is in it from 6.0 s on.
    assert 5.0 < woken[0] < 6.5
    assert len(woken) < seconds * 10 * 0.6
