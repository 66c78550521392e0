from __future__ import annotations

import numpy as np
import pytest
import torch
from training.anchors import ANCHORS_PX, STRIDES_PX
from training.decode import Found, decode_maps, letterbox, overlaps, suppress
from training.loss import decode_cells


@pytest.mark.parametrize(("width", "height"), [(640, 360), (333, 416), (97, 800), (64, 64)])
def test_letterbox_is_invertible(width: int, height: int) -> None:
    picture = np.full((height, width, 3), 255, np.uint8)
    boxed, placement = letterbox(picture, 320)
    rows, columns = np.nonzero(boxed[..., 0] == 255)
    inner = np.asarray([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
    back = placement.to_picture(inner)
    tolerance_px = 0.51 / placement.scale
    assert np.abs(back - [0, 0, width, height]).max() <= tolerance_px


@pytest.mark.parametrize("level", range(3))
def test_decoding_agrees_with_the_loss(level: int) -> None:
    torch.manual_seed(level)
    maps = [torch.zeros(40 // 2**i, 40 // 2**i, 24) for i in range(3)]
    raw = torch.randn(5)
    row, column, anchor, label = 3, 7, 1, 2
    cell = maps[level][row, column].view(3, 8)
    cell[anchor, :5] = raw.sigmoid()
    cell[anchor, 5 + label] = 0.75
    found = decode_maps([m.numpy() for m in maps], 0.01)
    assert len(found) == 1
    assert found.classes[0] == label
    assert found.scores[0] == pytest.approx(float(raw[4].sigmoid()) * 0.75)
    stride = STRIDES_PX[level]
    size = torch.tensor([ANCHORS_PX[level][anchor]]) / stride
    cx, cy, w, h = decode_cells(raw[None, :4], size)[0].tolist()
    cx, cy = (cx + column) * stride, (cy + row) * stride
    expected = [cx - w * stride / 2, cy - h * stride / 2, cx + w * stride / 2, cy + h * stride / 2]
    assert found.boxes[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_suppression_keeps_the_best_of_each_class() -> None:
    boxes = np.asarray(
        [[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 0, 60, 10]], np.float32
    )
    found = Found(boxes, np.asarray([0.5, 0.9, 0.4, 0.3], np.float32), np.asarray([0, 0, 1, 0]))
    kept = suppress(found, 0.6)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.4, 0.3])


def test_suppression_of_nothing() -> None:
    nothing = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    assert len(suppress(nothing, 0.5)) == 0


def test_overlaps_by_hand() -> None:
    one = np.asarray([[0, 0, 10, 10]], np.float32)
    others = np.asarray([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert overlaps(one, others)[0].tolist() == pytest.approx([1.0, 1 / 3, 0.0])
