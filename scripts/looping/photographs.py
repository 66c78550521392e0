"""The photographs: which the first model is made of, and what each camera will see."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from scripts.labelling import yolo
from scripts.labelling.picture import Box, placed
from updater.errors import UsageError

LABELLED = ("helmet", "head")
"""Classes with boxes in the set; its persons are hardly labelled, so ``prepare`` adds them."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """One of the set, with its ground truth.

    Attributes:
        path: the file.
        width, height: in pixels.
        boxes: in pixels, of :data:`LABELLED`.
    """

    path: Path
    width: int
    height: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Deal:
    """The training photographs, each for one use.

    Attributes:
        start: of the first model.
        cameras: what each camera sees, none of it in ``start``.
    """

    start: tuple[Photograph, ...]
    cameras: tuple[tuple[Photograph, ...], ...]


def read(root: Path, part: str) -> list[Photograph]:
    """The photographs of one part, in an order that has nothing to do with what they show.

    Args:
        root: a data set in YOLO layout.
        part: ``train`` or ``val``.
    """
    found = []
    for entry in yolo.read(root).entries:
        if entry.part != part or entry.file is None:
            continue
        with Image.open(entry.file) as image:
            width, height = image.size
        boxes = tuple(
            placed(box.scaled(width, height), width, height)
            for box in entry.boxes
            if box.name in LABELLED
        )
        found.append(Photograph(entry.file, width, height, boxes))
    return sorted(found, key=lambda each: hashlib.sha256(each.path.name.encode()).digest())


def deal(photographs: Sequence[Photograph], start: int, cameras: int, each: int) -> Deal:
    """Deals them out.

    Args:
        photographs: of the training part.
        start: for the first model.
        cameras: how many.
        each: for each camera.

    Raises:
        UsageError: there are not enough.
    """
    needed = start + cameras * each
    if needed > len(photographs):
        raise UsageError(f"{needed} photographs are needed, and there are {len(photographs)}")
    seen = photographs[start:needed]
    return Deal(
        tuple(photographs[:start]),
        tuple(tuple(seen[number::cameras]) for number in range(cameras)),
    )


def write_set(photographs: Sequence[Photograph], part: str, source: Path, target: Path) -> None:
    """Copies photographs and their label files as they are, in YOLO layout.

    Args:
        photographs: of that part.
        part: their part.
        source: the data set that they are from.
        target: folder of the copy; may hold another part already.
    """
    for kind in ("images", "labels"):
        (target / kind / part).mkdir(parents=True)
    for one in photographs:
        shutil.copyfile(one.path, target / "images" / part / one.path.name)
        label = f"{one.path.stem}.txt"
        shutil.copyfile(source / "labels" / part / label, target / "labels" / part / label)
    shutil.copyfile(source / "data.yaml", target / "data.yaml")
