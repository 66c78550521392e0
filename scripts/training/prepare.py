"""Prepare a data set for training: check it, and add the person labels it lacks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.labelling.assemble import Assembly, Sample
from scripts.labelling.dataset import link
from scripts.labelling.picture import Box
from training.dataset import (
    CLASSES,
    Boxes,
    DatasetError,
    Picture,
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
            labels, doubtful = label_persons(network, picture, boxes, settings.rule)
            write_boxes(_file(settings.output, "labels", part, path), labels, width, height)
            write_boxes(_file(settings.output, "ignore", part, path), doubtful, width, height)
            link(path, settings.output / "images" / part / path.name)
            counts["pictures"] += 1
            counts["person_ignored"] += len(doubtful)
            for number, name in enumerate(CLASSES):
                counts[name] += int((labels[:, 0] == number).sum())
        say(step="prepare", part=part, **counts, rule=asdict(settings.rule))


def label_persons(
    network: YoloV5s, picture: Picture, boxes: Boxes, rule: PseudoRule
) -> tuple[Boxes, Boxes]:
    """Labels with persons that the COCO model finds in place of those that were there.

    Args:
        network: The COCO model.
        picture: RGB, ``[H,W,3]``.
        boxes: The labels, ``[N,5]``.
        rule: What a person must show.

    Returns:
        The labels, and persons of which it is not known; both ``[N,5]``.
    """
    heads = boxes[boxes[:, 0] != _PERSON]
    persons, doubtful = judge(find_persons(network, picture, rule), heads[:, 1:], rule)
    return np.concatenate((heads, _as_person(persons))), _as_person(doubtful)


def add_persons(assembly: Assembly, weights: Path, rule: PseudoRule) -> Assembly:
    """Add persons to the photographs of sources that do not label them.

    Raises:
        DatasetError: The weights or a photograph cannot be read.
    """
    network = coco_network(weights)
    return replace(
        assembly,
        samples=tuple(
            _with_persons(sample, network, rule) if sample.source.add_persons else sample
            for sample in progress(assembly.samples, "add persons")
        ),
    )


def _with_persons(sample: Sample, network: YoloV5s, rule: PseudoRule) -> Sample:
    known = [box for box in sample.picture.boxes if not box.ignore]
    rows = [(CLASSES.index(box.name), *box.corners) for box in known]
    boxes = np.asarray(rows, np.float32).reshape(-1, 5)
    labels, doubtful = label_persons(network, read_picture(sample.picture.path), boxes, rule)
    persons = labels[labels[:, 0] == _PERSON]
    made = [
        Box(CLASSES[_PERSON], x1, y1, x2, y2, ignore=ignore)
        for found, ignore in ((persons, False), (doubtful, True))
        for x1, y1, x2, y2 in found[:, 1:].tolist()
    ]
    kept = [box for box in sample.picture.boxes if box.name != CLASSES[_PERSON]]
    return replace(sample, picture=replace(sample.picture, boxes=(*kept, *made)))


def _file(root: Path, kind: str, part: str, picture: Path) -> Path:
    return root / kind / part / f"{picture.stem}.txt"


def _as_person(boxes: Corners) -> Boxes:
    return np.insert(boxes, 0, np.float32(_PERSON), axis=1)
