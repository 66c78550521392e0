"""The shipped bundle on in-house photographs, counted by a plain matching written here.

Its twin without the photographs is ``tests/unit/test_detector.py``; the tables of accuracy are made
by ``scripts/evaluate.py``. Here only gross damage between model and boxes would show.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daemon.config import ModelConfig
from daemon.detection.detector import Detector
from daemon.detection.iou import iou_matrix
from daemon.paths import CHECKOUT_BUNDLE
from daemon.sources.folder import read_picture
from daemon.sources.picture import ArrayPicture

PICTURES = 40
LEAST_RECALL = 0.80
LEAST_PRECISION = 0.75
"""At the manifest's threshold. Some of what counts as wrong is a real head that nobody labelled."""

LABELLED = ("helmet", "head")


def labelled(path: Path, width: int, height: int) -> dict[str, NDArray[np.float64]]:
    """Boxes in pixels by class, from a YOLO label file."""
    lines = np.loadtxt(path, ndmin=2).reshape(-1, 5)
    centre, half = lines[:, 1:3], lines[:, 3:5] / 2
    boxes = np.hstack((centre - half, centre + half)) * [width, height, width, height]
    return {name: boxes[lines[:, 0] == number] for number, name in enumerate(LABELLED)}


def test_most_helmets_and_heads_are_found(shared_data: Path) -> None:
    detector = Detector.open(ModelConfig(bundle=CHECKOUT_BUNDLE, runtime="litert", threads=1))
    pictures = sorted((shared_data / "hardhat/images/val").glob("*.jpg"))[:PICTURES]
    assert len(pictures) == PICTURES
    real = hits = shown = 0
    for path in pictures:
        rgb = read_picture(path)
        found = detector.detect(ArrayPicture(rgb))
        label = shared_data / "hardhat/labels/val" / f"{path.stem}.txt"
        wanted = labelled(label, found.width, found.height)
        for name, truth in wanted.items():
            boxes = found.boxes[found.class_ids == found.classes.index(name)]
            real += len(truth)
            shown += len(boxes)
            if len(truth) and len(boxes):
                hits += int((iou_matrix(truth, boxes).max(axis=1) >= 0.5).sum())
    assert hits / real >= LEAST_RECALL
    assert hits / shown >= LEAST_PRECISION
