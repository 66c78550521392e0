"""Prepare a data set for training: check it, and add the person labels it lacks."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.dataset import (
    CLASSES,
    Boxes,
    DatasetError,
    picture_paths,
    read_boxes,
    read_picture,
    write_boxes,
)
from training.network import YoloV5s, read_weights
from training.pseudo import PseudoRule, find_persons, judge
from training.report import progress, say

Corners = NDArray[np.float32]

_PERSON = CLASSES.index("person")
_COCO_CLASSES = 80


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """Where the data set comes from and goes to."""

    source: Path
    weights: Path
    output: Path
    parts: tuple[str, ...] = ("train", "val")
    rule: PseudoRule = field(default_factory=PseudoRule)


def coco_network(weights: Path) -> YoloV5s:
    """The published COCO model, ready to run."""
    network = YoloV5s(_COCO_CLASSES)
    network.load_state_dict(read_weights(weights))
    network.eval()
    return network.channels_last()


def prepare(settings: PrepareSettings) -> None:
    """Write the prepared data set, and one line of counts for each part.

    Raises:
        DatasetError: If the source is not a YOLO layout or a label is wrong.
    """
    network = coco_network(settings.weights)
    for part in settings.parts:
        counts = dict.fromkeys((*CLASSES, "person_ignored", "pictures"), 0)
        for path in progress(picture_paths(settings.source, part), f"prepare {part}"):
            picture = read_picture(path)
            height, width = picture.shape[:2]
            boxes = read_boxes(
                settings.source / "labels" / part / f"{path.stem}.txt", width, height
            )
            if len(boxes) and boxes[:, 0].max() >= len(CLASSES):
                raise DatasetError(
                    f"class {int(boxes[:, 0].max())}, and there are only {len(CLASSES)}",
                    where=f"labels/{part}/{path.stem}.txt",
                    hint=f"Classes are {', '.join(CLASSES)}, from 0",
                )
            heads = boxes[boxes[:, 0] != _PERSON]
            persons, doubtful = judge(
                find_persons(network, picture, settings.rule), heads[:, 1:], settings.rule
            )
            labels = np.concatenate((heads, _as_person(persons)))
            write_boxes(_file(settings.output, "labels", part, path), labels, width, height)
            write_boxes(
                _file(settings.output, "ignore", part, path), _as_person(doubtful), width, height
            )
            _link(path, settings.output / "images" / part / path.name)
            counts["pictures"] += 1
            counts["person_ignored"] += len(doubtful)
            for number, name in enumerate(CLASSES):
                counts[name] += int((labels[:, 0] == number).sum())
        say(step="prepare", part=part, **counts, rule=asdict(settings.rule))


def _file(root: Path, kind: str, part: str, picture: Path) -> Path:
    return root / kind / part / f"{picture.stem}.txt"


def _as_person(boxes: Corners) -> Boxes:
    return np.insert(boxes, 0, np.float32(_PERSON), axis=1)


def _link(source: Path, target: Path) -> None:
    """Hard-link, or copy where the file system does not allow it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
