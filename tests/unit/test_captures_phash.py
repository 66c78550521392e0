from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from daemon.captures.phash import HASH_BITS, hamming, phash, to_hex
from daemon.frames import RgbImage
from tests.support.captures import scene

DUPLICATE_BITS = 6


def photograph(name: str = "astronaut") -> RgbImage:
    """One that scikit-image carries, in the detector's shape."""
    return np.ascontiguousarray(getattr(data, name)()[:288, :, :])


def noisy(rgb: RgbImage, sigma: float, seed: int = 0) -> RgbImage:
    noise = np.random.default_rng(seed).normal(0, sigma, rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [2, 5, 10])
@pytest.mark.parametrize("seed", range(5))
def test_sensor_noise_makes_no_new_picture(sigma: float, seed: int) -> None:
    rgb = photograph()
    assert hamming(phash(rgb), phash(noisy(rgb, sigma, seed))) <= DUPLICATE_BITS


@pytest.mark.parametrize("shift", [-40, -20, 20, 40])
def test_brightness_makes_no_new_picture(shift: int) -> None:
    rgb = photograph()
    brighter = np.clip(rgb.astype(int) + shift, 0, 255).astype(np.uint8)
    assert hamming(phash(rgb), phash(brighter)) <= DUPLICATE_BITS


@pytest.mark.parametrize("factor", [0.7, 0.85, 1.15])
def test_contrast_makes_no_new_picture(factor: float) -> None:
    rgb = photograph()
    changed = np.clip(128 + (rgb.astype(float) - 128) * factor, 0, 255).astype(np.uint8)
    assert hamming(phash(rgb), phash(changed)) <= DUPLICATE_BITS


def test_an_empty_dark_picture_is_always_the_same() -> None:
    dark = [noisy(np.full((180, 320, 3), 6, np.uint8), 5, seed) for seed in range(10)]
    assert {hamming(phash(dark[0]), phash(other)) for other in dark} <= set(range(3))


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_different_scenes_are_far_apart(first: int, second: int) -> None:
    distance = hamming(phash(scene(first)), phash(scene(second)))
    assert distance == 0 if first == second else distance > DUPLICATE_BITS


def test_different_photographs_are_far_apart() -> None:
    hashes = [phash(photograph(name)) for name in ("astronaut", "chelsea", "coffee", "rocket")]
    assert all(hamming(a, b) > 2 * DUPLICATE_BITS for i, a in enumerate(hashes) for b in hashes[:i])


@given(st.integers(0, 2**HASH_BITS - 1), st.integers(0, 2**HASH_BITS - 1))
def test_the_distance_is_a_metric_on_64_bits(a: int, b: int) -> None:
    assert hamming(a, b) == hamming(b, a) == bin(a ^ b).count("1")
    assert hamming(a, a) == 0
    assert int(to_hex(a), 16) == a
    assert len(to_hex(a)) == 16


@pytest.mark.parametrize("shape", [(180, 320), (320, 320), (240, 320), (32, 32), (37, 53), (8, 8)])
def test_any_size_has_a_hash(shape: tuple[int, int]) -> None:
    assert 0 <= phash(np.zeros((*shape, 3), np.uint8)) < 2**HASH_BITS


@pytest.mark.shared_data
def test_a_fixed_camera_repeats_itself_until_somebody_comes(shared_data: Path) -> None:
    clip = shared_data / "videos" / "one-by-one-person-detection.mp4"
    with av.open(str(clip)) as container:
        hashes = [
            phash(np.asarray(frame.reformat(320, 180, format="rgb24").to_ndarray(), np.uint8))
            for number, frame in enumerate(container.decode(video=0))
            if number % 10 == 0
        ]
    neighbours = np.asarray([hamming(a, b) for a, b in itertools.pairwise(hashes)])
    assert np.median(neighbours) <= DUPLICATE_BITS
    assert max(hamming(hashes[0], other) for other in hashes) > 2 * DUPLICATE_BITS
