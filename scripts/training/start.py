"""What a run starts with: the network and its optimizer."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from training import checkpoint
from training.dataset import CLASSES
from training.network import YoloV5s, read_weights, transfer_head
from training.settings import TrainSettings

#: Rows of the published COCO head that the classes continue (COCO 0 is person).
_COCO_ROWS: list[int | None] = [None, None, 0]


def initial_network(weights: Path) -> YoloV5s:
    """The network to start from: the COCO weights with a new head, or a checkpoint's average."""
    network = YoloV5s(len(CLASSES))
    if weights.suffix == ".pt":
        network.load_state_dict(checkpoint.load(weights).average)
    else:
        network.load_state_dict(transfer_head(read_weights(weights), _COCO_ROWS))
    return network


def make_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW; convolution weights decay, biases and batch norm do not."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ],
        lr=settings.rate,
        betas=(0.9, 0.99),
    )
