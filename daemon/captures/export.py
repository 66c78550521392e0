"""Copies captures out of the folder, as they are or as a YOLO data set of pre-labels.

The YOLO layout is the one that Ultralytics and CVAT read: ``images/NAME.jpg``, ``labels/NAME.txt``
with a line ``class x y width height`` for each box (centre and size as fractions of the picture),
and ``data.yaml`` with the class names. The labels are what the model found: to be corrected, not
to be trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from daemon.captures import catalogue, pairs
from updater import captures as stored
from updater.atomic import write_atomically
from updater.captures import PICTURE_SUFFIX, SIDECAR_SUFFIX, Found, Sidecar
from updater.errors import UsageError

COPY_MODE = 0o640


def copy(folder: Path, sidecars: Iterable[Sidecar], target: Path) -> int:
    """Copies pictures and sidecars; what is there already stays as it is.

    Args:
        folder: the captures.
        sidecars: which.
        target: folder to copy to, made if it is not there.

    Returns:
        How many captures are in ``target`` now.

    Raises:
        UsageError: ``target`` is the captures' own folder.
        StorageError: a picture is damaged, or a disk refuses.
    """
    _make(folder, target)
    count = 0
    for sidecar in sidecars:
        _put(target / f"{sidecar.name}{PICTURE_SUFFIX}", catalogue.picture(folder, sidecar))
        _put(target / f"{sidecar.name}{SIDECAR_SUFFIX}", stored.to_json(sidecar))
        count += 1
    return count


def copy_yolo(folder: Path, sidecars: Sequence[Sidecar], target: Path) -> int:
    """Copies pictures with pre-labels in YOLO layout.

    Args:
        folder: the captures.
        sidecars: which; their models may know different classes, which are joined by name.
        target: folder to copy to, made if it is not there.

    Returns:
        How many captures are in ``target`` now.

    Raises:
        UsageError: ``target`` is the captures' own folder.
        StorageError: a picture is damaged, or a disk refuses.
    """
    _make(folder, target)
    classes = joined_classes(sidecars)
    for part in ("images", "labels"):
        pairs.make_folder(target / part)
    for sidecar in sidecars:
        data = catalogue.picture(folder, sidecar)
        _put(target / "images" / f"{sidecar.name}{PICTURE_SUFFIX}", data)
        _put(target / "labels" / f"{sidecar.name}.txt", yolo_lines(sidecar, classes).encode())
    # JSON is YAML, and quotes every name as it must be.
    names = json.dumps(list(classes), ensure_ascii=False)
    text = f"path: .\ntrain: images\nval: images\nnc: {len(classes)}\nnames: {names}\n"
    write_atomically(target / "data.yaml", text.encode(), mode=COPY_MODE)
    return len(sidecars)


def joined_classes(sidecars: Iterable[Sidecar]) -> tuple[str, ...]:
    """Every class that any of the models knows, in the order of the first that does."""
    return tuple(dict.fromkeys(name for sidecar in sidecars for name in sidecar.model.classes))


def yolo_lines(sidecar: Sidecar, classes: Sequence[str]) -> str:
    """The label file of one picture; boxes are cut at its border, empty ones are left out."""
    width, height = sidecar.picture.width, sidecar.picture.height
    return "".join(
        line
        for found in sidecar.detections
        if (line := _yolo_line(found, classes.index(found.class_name), width, height))
    )


def _yolo_line(found: Found, class_id: int, width: int, height: int) -> str:
    x1, x2 = (min(max(x, 0.0), width) / width for x in (found.box[0], found.box[2]))
    y1, y2 = (min(max(y, 0.0), height) / height for y in (found.box[1], found.box[3]))
    if x2 <= x1 or y2 <= y1:
        return ""
    return f"{class_id} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"


def _make(folder: Path, target: Path) -> None:
    if target.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            "lies in the folder of the captures", where=str(target), hint="Name another folder"
        )
    pairs.make_folder(target)


def _put(path: Path, data: bytes) -> None:
    if not path.exists():
        write_atomically(path, data, durable=False, mode=COPY_MODE)
