from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from training.anchors import ANCHORS_PX, STRIDES_PX
from training.loss import DetectionLoss, assign, complete_iou
from training.network import YoloV5s

ANCHORS = torch.tensor(ANCHORS_PX) / torch.tensor(STRIDES_PX).view(3, 1, 1)


def reference(targets: Tensor, anchors: Tensor, rows: int, columns: int) -> list[tuple[int, ...]]:
    """The published rule, box by box: own cell, and the nearer neighbour in x and in y."""
    answers = []
    for image, label, cx, cy, w, h in targets.tolist():
        x, y, width, height = cx * columns, cy * rows, w * columns, h * rows
        cells = [(int(x), int(y))]
        fraction_x, fraction_y = x - int(x), y - int(y)
        if fraction_x < 0.5 and x > 1:
            cells.append((int(x) - 1, int(y)))
        if fraction_x > 0.5 and columns - x > 1:
            cells.append((int(x) + 1, int(y)))
        if fraction_y < 0.5 and y > 1:
            cells.append((int(x), int(y) - 1))
        if fraction_y > 0.5 and rows - y > 1:
            cells.append((int(x), int(y) + 1))
        for number, (aw, ah) in enumerate(anchors.tolist()):
            if max(width / aw, aw / width, height / ah, ah / height) < 4:
                answers += [(int(image), int(label), number, row, col) for col, row in cells]
    return answers


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("level", range(3))
def test_assignment_equals_brute_force(level: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.01, 0.9, (60, 2))
    centre = rng.uniform(0.001, 0.999, (60, 2))
    numbers = np.stack((rng.integers(4, size=60), rng.integers(-1, 3, size=60)), 1)
    targets = torch.tensor(np.concatenate((numbers, centre, size), 1), dtype=torch.float64)
    rows, columns = 416 // STRIDES_PX[level], 320 // STRIDES_PX[level]
    anchors = ANCHORS[level].double()
    found = assign(targets, anchors, rows, columns)
    got = zip(
        found.image.tolist(),
        found.label.tolist(),
        found.anchor.tolist(),
        found.row.tolist(),
        found.column.tolist(),
        strict=True,
    )
    assert sorted(got) == sorted(reference(targets, anchors, rows, columns))
    absolute = found.box[:, :2] + torch.stack((found.column, found.row), 1)
    assert ((absolute > 0) & (absolute < torch.tensor([columns, rows]))).all()


def test_no_target_gives_no_answer() -> None:
    assert len(assign(torch.zeros(0, 6), ANCHORS[0], 8, 8)) == 0


def test_complete_iou_by_hand() -> None:
    square = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    torch.testing.assert_close(complete_iou(square, square), torch.ones(1))
    # Shifted by 1 in x: IoU 2/6, distance² 1 over diagonal² 3² + 2² = 13, same shape.
    shifted = torch.tensor([[1.0, 0.0, 2.0, 2.0]])
    torch.testing.assert_close(
        complete_iou(square, shifted), torch.tensor([1 / 3 - 1 / 13]), rtol=1e-5, atol=1e-6
    )
    # Same centre, other shape: IoU 2/4, no distance, aspect term alpha·v.
    flat = torch.tensor([[0.0, 0.0, 2.0, 1.0]])
    v = 4 / math.pi**2 * (math.atan(2.0) - math.atan(1.0)) ** 2
    expected = 0.5 - v * v / (v - 0.5 + 1)
    torch.testing.assert_close(
        complete_iou(square, flat), torch.tensor([expected]), rtol=1e-5, atol=1e-6
    )


def random_maps(size_px: int = 64) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(1, 24, size_px // s, size_px // s, requires_grad=True) for s in STRIDES_PX]


def test_a_box_to_be_ignored_gives_no_gradient() -> None:
    target = torch.tensor([[0.0, -1.0, 0.5, 0.5, 0.3, 0.3]])
    maps = random_maps()
    DetectionLoss(ANCHORS, 3)(maps, target)[0].backward()
    touched = 0
    for level, raw in enumerate(maps):
        assert raw.grad is not None
        gradient = raw.grad.reshape(1, 3, 8, *raw.shape[2:])
        cells = assign(target, ANCHORS[level], *raw.shape[2:])
        at = (cells.image, cells.anchor, cells.row, cells.column)
        objectness = gradient[:, :, 4]
        assert (objectness[at] == 0).all()
        touched += len(cells)
        assert int((objectness == 0).sum()) == len(set(zip(*(i.tolist() for i in at), strict=True)))
    assert touched > 0


def test_a_known_box_outweighs_one_to_be_ignored() -> None:
    both = torch.tensor([[0.0, -1, 0.5, 0.5, 0.3, 0.3], [0.0, 1, 0.5, 0.5, 0.3, 0.3]])
    known = both[1:]
    with_ignored = DetectionLoss(ANCHORS, 3)(random_maps(), both)[0]
    alone = DetectionLoss(ANCHORS, 3)(random_maps(), known)[0]
    torch.testing.assert_close(with_ignored, alone)


def test_training_on_one_batch_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = YoloV5s(3).train()
    pictures = torch.rand(2, 3, 64, 64)
    targets = torch.tensor([[0.0, 0, 0.5, 0.5, 0.3, 0.4], [1.0, 2, 0.4, 0.6, 0.6, 0.7]])
    loss = DetectionLoss(network.head.anchors, 3)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    values = []
    for _ in range(15):
        value, parts = loss(network(pictures), targets)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.7 * values[0]
    assert set(parts) == {"box", "objectness", "label"}
