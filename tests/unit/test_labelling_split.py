"""The split follows from names alone, and no photograph is in two parts, saved again or not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from scripts.labelling.duplicates import twins
from scripts.labelling.pictures import Measured, measure
from scripts.labelling.split import SplitRule, part_of_group, strictest
from tests.support.labelled import scene, write_picture


@given(st.sets(st.text(), max_size=50), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_moves_groups_from_training_only(
    groups: set[str], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    for group in groups:
        if part_of_group(group, SplitRule(low)) == "val":
            assert part_of_group(group, SplitRule(high)) == "val"


def test_the_split_is_this_one_for_ever() -> None:
    rule = SplitRule(0.5)
    parts = [part_of_group(f"cam/{n}", rule) for n in range(8)]
    # Written down: another algorithm would move pictures between the parts of existing sets.
    assert parts == ["val", "val", "train", "train", "train", "val", "train", "train"]
    assert part_of_group("cam/0", SplitRule(0.0)) == "train"
    assert part_of_group("cam/0", SplitRule(1.0)) == "val"


def test_the_share_is_about_what_was_asked() -> None:
    val = sum(part_of_group(str(n), SplitRule(0.15)) == "val" for n in range(20_000))
    # Five standard deviations of a binomial distribution.
    assert abs(val - 3000) < 5 * (20_000 * 0.15 * 0.85) ** 0.5
    moved = sum(
        part_of_group(str(n), SplitRule(0.5)) != part_of_group(str(n), SplitRule(0.5, "other"))
        for n in range(2000)
    )
    assert abs(moved - 1000) < 5 * 500**0.5


def test_a_photograph_named_for_two_parts_is_not_trained_on() -> None:
    assert strictest(["val", "train"]) == "val"
    assert strictest(["train", "test", "val"]) == "test"
    assert strictest([]) is None


def saved_again(image: Image.Image, path: Path, quality: int = 95) -> Measured:
    image.save(path, quality=quality)
    return measure(path)


@pytest.mark.parametrize("quality", [95, 60, 35])
@pytest.mark.parametrize("size", [(1, 1), (0.5, 0.5), (1.7, 1.7)])
def test_a_photograph_saved_again_is_the_same(
    tmp_path: Path, quality: int, size: tuple[float, float]
) -> None:
    image = scene(3, 640, 360)
    smaller = image.resize((int(640 * size[0]), int(360 * size[1])), Image.Resampling.BICUBIC)
    pair = [
        saved_again(image, tmp_path / "a.jpg"),
        saved_again(smaller, tmp_path / "b.jpg", quality),
    ]
    assert list(twins(pair, ["train", "val"])) == [(0, 1)]
    assert list(twins(pair, ["val", "val"])) == [(1, 0)]


def test_a_person_who_moved_makes_another_picture(tmp_path: Path) -> None:
    pair = []
    for number, x in enumerate((100, 300)):
        image = Image.new("RGB", (640, 360), (120, 130, 140))
        ImageDraw.Draw(image).ellipse((400, 40, 600, 240), fill=(200, 90, 30))
        ImageDraw.Draw(image).rectangle((x, 200, x + 40, 320), fill=(240, 240, 20))
        pair.append(saved_again(image, tmp_path / f"{number}.jpg"))
    assert not list(twins(pair, ["train", "val"]))


def test_different_scenes_are_not_the_same(tmp_path: Path) -> None:
    many = [measure(write_picture(tmp_path / f"{n}.jpg", n)) for n in range(40)]
    assert not list(twins(many, ["train", "val"] * 20))


def test_a_fixed_camera_makes_at_most_two_pairs_a_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    empty = np.asarray(scene(5)).astype(np.int16)
    frames = []
    for number in range(12):
        noisy = np.clip(empty + rng.integers(-6, 7, empty.shape), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG")
        (tmp_path / f"{number}.jpg").write_bytes(buffer.getvalue())
        frames.append(measure(tmp_path / f"{number}.jpg"))
    found = list(twins(frames, ["train"] * 6 + ["val"] * 6))
    assert len(found) <= 2 * len(frames)
    assert {first for first, second in found if first < 6 <= second} == set(range(6))


def test_no_pictures_have_no_twins() -> None:
    assert not list(twins([], []))
