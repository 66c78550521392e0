"""A training run that takes seconds; as a script, the same in a process of its own.

    tiny.py FOLDER '{"epochs": 3, "resume": true}'

writes ``rank<n>.pt`` with the state at the end into FOLDER. ``"fails": N`` lets rank N fail.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import cv2
import numpy as np
import torch
from training import checkpoint
from training.checkpoint import Checkpoint
from training.dataset import CLASSES, write_boxes
from training.network import YoloV5s
from training.train import TrainSettings, train

PICTURES = 8
BATCH = 2
STEPS = PICTURES // BATCH


def tiny_settings(folder: Path) -> TrainSettings:
    """Settings for what `make` wrote."""
    return TrainSettings(
        data=folder / "data",
        weights=folder / "start.pt",
        output=folder / "run",
        epochs=3,
        batch=BATCH,
        warmup_steps=1,
        evaluate_every=1,
        evaluate_px=64,
        sizes_px={64: 1.0},
    )


def make(folder: Path) -> TrainSettings:
    """Write tiny pictures of bright squares, and an untrained network to start from."""
    rng = np.random.default_rng(0)
    for part, count in (("train", PICTURES), ("val", 4)):
        (folder / "data" / "images" / part).mkdir(parents=True)
        for number in range(count):
            picture = rng.integers(0, 80, (60, 64, 3), np.uint8)
            picture[10:40, 20:44] = 250
            cv2.imwrite(str(folder / "data" / "images" / part / f"{number}.png"), picture)
            boxes = np.asarray([[number % 3, 20, 10, 44, 40]], np.float32)
            write_boxes(folder / "data" / "labels" / part / f"{number}.txt", boxes, 64, 60)
    torch.manual_seed(0)
    weights = YoloV5s(len(CLASSES)).state_dict()
    checkpoint.save(folder / "start.pt", Checkpoint(0, 0, 0.0, 0.0, 0, weights, weights, {}))
    return tiny_settings(folder)


def main() -> None:
    """Run it, as the arguments say."""
    folder, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
    rank = os.environ.get("RANK", "0")
    if changes.pop("fails", None) == int(rank):
        folder = folder / "nothing-here"
    for name in ("output",):
        if name in changes:
            changes[name] = Path(changes[name])
    if "resume_from" in changes:
        changes["resume_from"] = tuple(Path(each) for each in changes["resume_from"])
    state = train(replace(tiny_settings(folder), **changes))
    checkpoint.save(folder / f"rank{rank}.pt", state)


if __name__ == "__main__":
    from training.command import run

    run(main)
