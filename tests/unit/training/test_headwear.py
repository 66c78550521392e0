from __future__ import annotations

import numpy as np
import pytest
from training.headwear import HeadwearSettings, paint_hair, vary

HELMET, HEAD, PERSON = range(3)
NEVER = HeadwearSettings(back=0, front=0, recolour_hair=0, recolour_hat=0, bare=0)
PICTURE = np.full((200, 200, 3), (200, 60, 60), np.uint8)


def boxes(label: int) -> np.ndarray:
    return np.asarray([[label, 80, 60, 120, 110]], np.float32)


def test_nothing_changes_where_nothing_is_asked_for() -> None:
    for label in (HELMET, HEAD, PERSON, -1):
        picture, got = vary(PICTURE, boxes(label), NEVER, np.random.default_rng(0))
        assert np.array_equal(picture, PICTURE)
        assert np.array_equal(got, boxes(label))


@pytest.mark.parametrize("label", [PERSON, -1])
def test_only_heads_and_hats_are_touched(label: int) -> None:
    always = HeadwearSettings(back=1, front=1, recolour_hair=1, recolour_hat=1, bare=1)
    picture, _ = vary(PICTURE, boxes(label), always, np.random.default_rng(0))
    assert np.array_equal(picture, PICTURE)


@pytest.mark.parametrize("seed", range(20))
def test_a_hat_under_hair_is_gone_and_its_box_a_head(seed: int) -> None:
    settings = HeadwearSettings(bare=1.0)
    picture, got = vary(PICTURE, boxes(HELMET), settings, np.random.default_rng(seed))
    assert got.tolist() == boxes(HEAD).tolist()
    middle = picture[70:100, 90:110].astype(int)
    assert (np.abs(middle - PICTURE[0, 0]).sum(2) > 20).mean() > 0.95  # covered throughout
    assert np.array_equal(picture[:40], PICTURE[:40])  # and nothing far away
    assert (PICTURE == (200, 60, 60)).all()  # the source itself is as it was


@pytest.mark.parametrize("seed", range(10))
def test_hair_around_a_face_leaves_its_middle_free(seed: int) -> None:
    picture = PICTURE.copy()
    paint_hair(picture, boxes(HEAD)[0, 1:], np.random.default_rng(seed), face=True)
    assert np.abs(picture[86:96, 97:103].astype(int) - PICTURE[0, 0]).max() <= 2
    assert not np.array_equal(picture, PICTURE)


def test_a_head_at_the_border_is_cut_off_there() -> None:
    picture = PICTURE.copy()
    edge = np.asarray([-10, -20, 30, 40], np.float32)
    paint_hair(picture, edge, np.random.default_rng(1), face=False)
    assert not np.array_equal(picture, PICTURE)


def test_a_head_of_a_few_pixels_is_left_alone() -> None:
    tiny = np.asarray([[HEAD, 50, 50, 55, 56]], np.float32)
    picture, _ = vary(PICTURE, tiny, HeadwearSettings(back=1.0), np.random.default_rng(0))
    assert np.array_equal(picture, PICTURE)


def test_recolouring_a_hat_changes_its_upper_part_only() -> None:
    settings = HeadwearSettings(bare=0.0, recolour_hat=1.0)
    picture, got = vary(PICTURE, boxes(HELMET), settings, np.random.default_rng(3))
    changed = (picture != PICTURE).any(2)
    assert got.tolist() == boxes(HELMET).tolist()
    assert changed[62:75, 90:110].any()
    assert not changed[100:].any()
    assert not changed[:60].any()
