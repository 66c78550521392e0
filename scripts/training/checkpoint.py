"""Checkpoints: written whole or not at all, read without running code from the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.dataset import CLASSES
from training.network import YoloV5s


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run's state after an epoch; ``average`` is the network to evaluate and export."""

    epoch: int
    step: int
    elapsed_s: float
    best: float
    average_steps: int
    average: dict[str, Tensor]
    network: dict[str, Tensor]
    optimizer: dict[str, Any]


def save(path: Path, state: Checkpoint) -> None:
    """Write ``path`` by way of a temporary file and a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save({name: getattr(state, name) for name in Checkpoint.__slots__}, temporary)
    temporary.replace(path)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint."""
    return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))


def load_network(path: Path) -> YoloV5s:
    """The averaged network of a checkpoint, ready to run."""
    network = YoloV5s(len(CLASSES))
    network.load_state_dict(load(path).average)
    network.eval()
    return network.channels_last()
