"""The loss of YOLOv5: which cells answer for a box, and what their answer costs.

Assignment (published with YOLOv5): an anchor answers for a box when neither side differs by
more than a factor 4; besides the box's own cell the nearer neighbour in x and the nearer one in
y answer too. Box regression uses CIoU (Zheng et al. 2020, "Distance-IoU Loss").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.anchors import ANCHORS_PER_LEVEL

_MAX_RATIO = 4.0
_NEAR = 0.5  # a centre within half a cell of a border also belongs to that neighbour


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the parts; ``balance`` weighs objectness by level, fine to coarse."""

    box: float = 0.05
    objectness: float = 0.7
    label: float = 0.2
    balance: tuple[float, float, float] = (4.0, 1.0, 0.4)


@dataclass(frozen=True, slots=True)
class Assignment:
    """The cells of one level that answer for boxes; all tensors have one entry a cell.

    Attributes:
        image, anchor, row, column: Where the cell is.
        label: Class of its box; -1 where the box is to be ignored.
        box: ``[K,4]`` centre relative to the cell, width and height, all in cells.
        anchor_size: ``[K,2]`` width and height of the anchor, in cells.
    """

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    label: Tensor
    box: Tensor
    anchor_size: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def select(self, mask: Tensor) -> Assignment:
        """The entries where ``mask`` holds."""
        return Assignment(
            *(
                getattr(self, name)[mask]
                for name in ("image", "anchor", "row", "column", "label", "box", "anchor_size")
            )
        )


def assign(targets: Tensor, anchors: Tensor, rows: int, columns: int) -> Assignment:
    """Find the cells of one level that answer for each target.

    Args:
        targets: ``[M,6]``: image, class, cx, cy, w, h (relative to the picture).
        anchors: ``[A,2]`` in cells of this level.
        rows: Height of the level's map.
        columns: Its width.
    """
    count = len(anchors)
    scale = targets.new_tensor([columns, rows, columns, rows])
    boxes = (targets[:, 2:6] * scale).repeat(count, 1)
    heads = targets[:, :2].repeat(count, 1)
    number = torch.arange(count, device=targets.device).repeat_interleave(len(targets))
    ratio = boxes[:, 2:4] / anchors[number]
    fits = torch.maximum(ratio, 1 / ratio.clamp_min(1e-9)).amax(1) < _MAX_RATIO
    boxes, heads, number = boxes[fits], heads[fits], number[fits]

    centre = boxes[:, :2]
    opposite = centre.new_tensor([columns, rows]) - centre
    left, up = ((centre % 1 < _NEAR) & (centre > 1)).T
    right, down = ((opposite % 1 < _NEAR) & (opposite > 1)).T
    every = torch.ones_like(left)
    shifts = centre.new_tensor([[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]])
    chosen = torch.stack((every, left, up, right, down))
    which, source = chosen.nonzero(as_tuple=True)
    cell = (centre[source].floor() + shifts[which]).long()
    cell[:, 0].clamp_(0, columns - 1)
    cell[:, 1].clamp_(0, rows - 1)
    boxes, heads, number = boxes[source], heads[source], number[source]
    return Assignment(
        image=heads[:, 0].long(),
        anchor=number,
        row=cell[:, 1],
        column=cell[:, 0],
        label=heads[:, 1].long(),
        box=torch.cat((boxes[:, :2] - cell, boxes[:, 2:4]), 1),
        anchor_size=anchors[number],
    )


def decode_cells(raw: Tensor, anchor_size: Tensor) -> Tensor:
    """Box of raw cell outputs ``[K,4]``: centre relative to the cell and size, in cells."""
    answer = raw.sigmoid()
    return torch.cat((answer[:, :2] * 2 - 0.5, (answer[:, 2:4] * 2) ** 2 * anchor_size), 1)


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """CIoU of boxes ``[K,4]`` given as centre and size, pair by pair."""
    eps = 1e-7
    low = torch.maximum(first[:, :2] - first[:, 2:] / 2, second[:, :2] - second[:, 2:] / 2)
    high = torch.minimum(first[:, :2] + first[:, 2:] / 2, second[:, :2] + second[:, 2:] / 2)
    overlap = (high - low).clamp_min(0).prod(1)
    union = first[:, 2:].prod(1) + second[:, 2:].prod(1) - overlap + eps
    iou = overlap / union
    outer_low = torch.minimum(first[:, :2] - first[:, 2:] / 2, second[:, :2] - second[:, 2:] / 2)
    outer_high = torch.maximum(first[:, :2] + first[:, 2:] / 2, second[:, :2] + second[:, 2:] / 2)
    diagonal = (outer_high - outer_low).square().sum(1) + eps
    distance = (first[:, :2] - second[:, :2]).square().sum(1)
    slope = torch.atan(second[:, 2] / (second[:, 3] + eps)) - torch.atan(
        first[:, 2] / (first[:, 3] + eps)
    )
    aspect = 4 / math.pi**2 * slope.square()
    with torch.no_grad():
        alpha = aspect / (aspect - iou + 1 + eps)
    return iou - (distance / diagonal + alpha * aspect)


def _flat(at: tuple[Tensor, ...], shape: torch.Size) -> Tensor:
    """Positions ``at`` in a tensor of ``shape``, as positions in its flat view."""
    position = at[0]
    for index, length in zip(at[1:], shape[1:], strict=True):
        position = position * length + index
    return position


class DetectionLoss(nn.Module):
    """Box, objectness and class loss over three head maps."""

    anchors: Tensor

    def __init__(self, anchors: Tensor, classes: int, weights: LossWeights | None = None) -> None:
        """Take anchors ``[3,A,2]`` in cells of their level."""
        super().__init__()
        self.register_buffer("anchors", anchors.detach().clone())
        self._classes = classes
        self._weights = weights or LossWeights()

    def forward(self, maps: Sequence[Tensor], targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch.

        Args:
            maps: Raw head maps ``[B, A*(5+C), h, w]``.
            targets: ``[M,6]``: image, class (-1: to be ignored), cx, cy, w, h (0 to 1).

        Returns:
            The loss times the number of pictures, and its parts (detached, a picture).
        """
        box_loss = maps[0].new_zeros((), dtype=torch.float32)
        objectness_loss = torch.zeros_like(box_loss)
        label_loss = torch.zeros_like(box_loss)
        for level, raw in enumerate(maps):
            cells = raw.float().reshape(
                len(raw), ANCHORS_PER_LEVEL, 5 + self._classes, *raw.shape[2:]
            )
            cells = cells.permute(0, 1, 3, 4, 2)
            wanted = cells.new_zeros(cells.shape[:-1])
            counted = torch.ones_like(wanted)
            found = assign(targets, self.anchors[level], *raw.shape[2:])
            unknown = found.select(found.label < 0)
            counted[unknown.image, unknown.anchor, unknown.row, unknown.column] = 0.0
            known = found.select(found.label >= 0)
            if len(known):
                at = (known.image, known.anchor, known.row, known.column)
                answer = cells[at]
                iou = complete_iou(decode_cells(answer[:, :4], known.anchor_size), known.box)
                box_loss = box_loss + (1 - iou).mean()
                # Where two boxes claim a cell, it is asked for the better fit.
                wanted.view(-1).scatter_reduce_(
                    0, _flat(at, wanted.shape), iou.detach().clamp_min(0), "amax"
                )
                counted[at] = 1.0
                one_hot = functional.one_hot(known.label, self._classes).float()
                label_loss = label_loss + functional.binary_cross_entropy_with_logits(
                    answer[:, 5:], one_hot
                )
            cost = functional.binary_cross_entropy_with_logits(
                cells[..., 4], wanted, reduction="none"
            )
            objectness_loss = objectness_loss + self._weights.balance[level] * (
                (cost * counted).sum() / counted.sum().clamp_min(1)
            )
        box_loss = box_loss * self._weights.box
        objectness_loss = objectness_loss * self._weights.objectness
        label_loss = label_loss * self._weights.label
        total = (box_loss + objectness_loss + label_loss) * len(maps[0])
        parts = {
            "box": box_loss.detach(),
            "objectness": objectness_loss.detach(),
            "label": label_loss.detach(),
        }
        return total, parts
