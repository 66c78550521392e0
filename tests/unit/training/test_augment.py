from __future__ import annotations

import numpy as np
import pytest
from training.augment import AugmentSettings, augment, move_boxes

GREEN = (0, 255, 0)
PLAIN = AugmentSettings(hue=0, saturation=0, value=0, degrade=0)


def picture_with_box(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A red picture with one green rectangle, and its box."""
    rng = np.random.default_rng(seed)
    height, width = (int(v) for v in rng.integers(120, 416, 2))
    x1, y1 = int(rng.integers(0, width - 60)), int(rng.integers(0, height - 60))
    x2, y2 = x1 + int(rng.integers(30, 60)), y1 + int(rng.integers(30, 60))
    picture = np.full((height, width, 3), (255, 0, 0), np.uint8)
    picture[y1:y2, x1:x2] = GREEN
    return picture, np.asarray([[1, x1, y1, x2, y2]], np.float32)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("seed", range(25))
def test_boxes_stay_inside_and_around_their_object(seed: int, count: int) -> None:
    sources = [picture_with_box(100 * seed + i) for i in range(count)]
    picture, boxes = augment(sources, 320, PLAIN, np.random.default_rng(seed))
    assert picture.shape == (320, 320, 3)
    assert (boxes[:, 1:] >= 0).all()
    assert (boxes[:, 1:] <= 320).all()
    assert (boxes[:, 3:] > boxes[:, 1:3]).all()
    green = (picture[..., 1] > 200) & (picture[..., 0] < 60)
    covered = np.zeros_like(green)
    for _, x1, y1, x2, y2 in boxes:
        ix1, iy1, ix2, iy2 = (round(float(v)) for v in (x1, y1, x2, y2))
        inner = green[iy1 + 2 : iy2 - 2, ix1 + 2 : ix2 - 2]
        assert inner.all()
        covered[max(0, iy1 - 2) : iy2 + 2, max(0, ix1 - 2) : ix2 + 2] = True
    assert not (green & ~covered).any()


def test_the_same_seed_gives_the_same_picture() -> None:
    sources = [picture_with_box(i) for i in range(4)]
    settings = AugmentSettings(degrade=1.0)
    first = augment(sources, 256, settings, np.random.default_rng(3))
    second = augment(sources, 256, settings, np.random.default_rng(3))
    other = augment(sources, 256, settings, np.random.default_rng(4))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


def test_a_box_mostly_cut_off_is_to_be_ignored_and_one_out_of_sight_is_gone() -> None:
    boxes = np.asarray(
        [[2, 10, 10, 50, 50], [2, 90, 10, 190, 50], [2, 200, 0, 240, 50]], np.float32
    )
    identity = np.asarray([[1, 0, 0], [0, 1, 0]], np.float32)
    moved = move_boxes(boxes, identity, (0, 0, 100, 100), PLAIN)
    assert moved.tolist() == [[2, 10, 10, 50, 50], [-1, 90, 10, 100, 50]]


def test_two_pictures_are_no_mosaic() -> None:
    sources = [picture_with_box(i) for i in range(2)]
    with pytest.raises(ValueError, match="4 pictures"):
        augment(sources, 64, PLAIN, np.random.default_rng(0))
