from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from training.augment import AugmentSettings
from training.dataset import (
    DatasetError,
    EpochSampler,
    Example,
    TrainingSet,
    collate,
    load_examples,
    part_sha256,
    read_boxes,
    write_boxes,
)


def test_boxes_survive_writing_and_reading(tmp_path: Path) -> None:
    boxes = np.asarray([[0, 10, 20, 30, 60], [2, 0, 0, 400, 300]], np.float32)
    write_boxes(tmp_path / "a.txt", boxes, 400, 300)
    assert np.abs(read_boxes(tmp_path / "a.txt", 400, 300) - boxes).max() < 1e-3


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.2", "x 0.5 0.5 0.2 0.2", "0 0.5 0.5 0 0.2", "-1 .5 .5 .2 .2"]
)
def test_a_bad_label_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DatasetError, match=r"bad\.txt:2"):
        read_boxes(path, 100, 100)


def test_ignored_boxes_are_read_as_such_and_absent_labels_are_none(tmp_path: Path) -> None:
    (tmp_path / "images" / "val").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images" / "val" / "p.png"), np.zeros((50, 100, 3), np.uint8))
    write_boxes(
        tmp_path / "ignore" / "val" / "p.txt", np.asarray([[2, 0, 0, 50, 50]], np.float32), 100, 50
    )
    (example,) = load_examples(tmp_path, "val")
    assert example.boxes.tolist() == [[-1, 0, 0, 50, 50]]
    with pytest.raises(DatasetError, match="no pictures"):
        load_examples(tmp_path, "train")


def test_a_part_is_known_by_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "val"
    folder.mkdir(parents=True)
    (folder / "p.jpg").write_bytes(b"a picture")
    labels = tmp_path / "labels" / "val" / "p.txt"
    boxes = np.asarray([[2, 0, 0, 50, 50]], np.float32)
    seen = {part_sha256(tmp_path, "val")}
    write_boxes(labels, boxes, 100, 50)
    seen.add(part_sha256(tmp_path, "val"))
    write_boxes(tmp_path / "ignore" / "val" / "p.txt", boxes, 100, 50)
    seen.add(part_sha256(tmp_path, "val"))
    labels.unlink()
    seen.add(part_sha256(tmp_path, "val"))
    (folder / "p.jpg").write_bytes(b"another")
    seen.add(part_sha256(tmp_path, "val"))
    (folder / "p.jpg").rename(folder / "q.jpg")
    seen.add(part_sha256(tmp_path, "val"))
    assert len(seen) == 6
    assert part_sha256(tmp_path, "val") in seen, "the same again"


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "val"
    folder.mkdir(parents=True)
    (folder / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"broken\.jpg"):
        load_examples(tmp_path, "val")


def test_ranks_share_an_epoch_without_overlap_and_with_equal_sizes() -> None:
    def keys(rank: int, epoch: int) -> list[list[object]]:
        sampler = EpochSampler(64, 4, {320: 1.0, 416: 1.0}, seed=5, rank=rank, ranks=2)
        sampler.epoch = epoch
        return [list(batch) for batch in sampler]

    first, second = keys(0, 0), keys(1, 0)
    indices = [k.index for batches in (first, second) for batch in batches for k in batch]  # type: ignore[attr-defined]
    assert sorted(indices) == list(range(64))
    sizes = [[{k.size_px for k in batch} for batch in batches] for batches in (first, second)]  # type: ignore[attr-defined]
    assert sizes[0] == sizes[1]
    assert all(len(size) == 1 for size in sizes[0])
    assert keys(0, 0) == first
    assert keys(0, 1) != first


def test_a_batch_numbers_its_pictures_and_scales_its_boxes() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    empty = np.zeros((0, 5), np.float32)
    batch = collate([(picture, empty), (picture, np.asarray([[2, 0, 16, 32, 48]], np.float32))])
    assert tuple(batch.pictures.shape) == (2, 3, 64, 64)
    assert batch.targets.tolist() == [[1, 2, 0.25, 0.5, 0.5, 0.5]]


def test_a_sample_depends_on_its_key_alone() -> None:
    rng = np.random.default_rng(0)
    examples = [
        Example(str(i), rng.integers(0, 256, (80, 90, 3), np.uint8), np.zeros((0, 5), np.float32))
        for i in range(6)
    ]
    sampler = EpochSampler(6, 3, {64: 1.0}, seed=1)
    sampler.mosaic_share = 1.0
    key = next(iter(sampler))[0]
    first = TrainingSet(examples, AugmentSettings())[key][0]
    assert np.array_equal(first, TrainingSet(examples, AugmentSettings())[key][0])
