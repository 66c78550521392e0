"""COCO instances: read, and written as the normal form of what came back from a tool. Pure.

Boxes are ``[x, y, width, height]`` in pixels. COCO cannot say whether a picture without a box was
looked at; ours says so in ``reviewed``, a field of the image that others pass over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.labelling.picture import PARTS, Box, BrokenLabelError, Entry, LabelledPicture
from scripts.labelling.problems import Kind, LabellingError, Problem, Reading
from scripts.labelling.reading import (
    BOXES_MAX,
    as_list,
    as_number,
    as_object,
    as_size,
    as_text,
    read_json,
    sha256_in,
)

_PREFIX = "instances_"


def document(
    pictures: Sequence[tuple[LabelledPicture, str, str]], classes: Sequence[str]
) -> dict[str, Any]:
    """A COCO file of reviewed pictures.

    Args:
        pictures: Each with its file name in the document and its group.
        classes: Categories, numbered from 1.
    """
    annotations: list[dict[str, Any]] = []
    images = []
    for number, (picture, name, group) in enumerate(pictures, 1):
        images.append(
            {
                "id": number,
                "file_name": name,
                "width": picture.width,
                "height": picture.height,
                "sha256": picture.sha256,
                "group": group,
                "reviewed": True,
            }
        )
        for box in picture.boxes:
            width, height = box.x2 - box.x1, box.y2 - box.y1
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": classes.index(box.name) + 1,
                    "bbox": [box.x1, box.y1, width, height],
                    "area": width * height,
                    "iscrowd": int(box.ignore),
                }
            )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": index, "name": name} for index, name in enumerate(classes, 1)],
    }


def files(path: Path) -> list[Path]:
    """The COCO files of a source: the file itself, or those in a folder or its ``annotations``.

    Raises:
        LabellingError: There is none.
    """
    if path.is_file():
        return [path]
    found = sorted((path / "annotations").glob("*.json")) or sorted(path.glob("*.json"))
    if not found:
        raise LabellingError(
            "no COCO file", where=str(path), hint="Name the .json, or the folder of annotations/"
        )
    return found


def read(path: Path, *, empty_is_background: bool = False) -> Reading:
    """What a COCO file, or a folder of them, says.

    Args:
        path: The file, or a folder as CVAT exports it (``annotations/instances_<part>.json``).
        empty_is_background: Whether a picture without a box was looked at and has no object.

    Raises:
        LabellingError: A file cannot be read or is not COCO.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    for file in files(path):
        found = _read_file(file, empty_is_background=empty_is_background)
        entries.extend(found.entries)
        problems.extend(found.problems)
    return Reading(tuple(entries), tuple(problems))


def _read_file(path: Path, *, empty_is_background: bool) -> Reading:
    try:
        raw = as_object(read_json(path), "a COCO file")
        listed = {
            name: as_list(raw.get(name), name) for name in ("images", "annotations", "categories")
        }
        names = _categories(listed["categories"])
        images, problems = _images(listed["images"], path)
    except BrokenLabelError as error:
        raise LabellingError(str(error), where=str(path)) from error
    boxes: dict[int, list[Box]] = {key: [] for key in images}
    broken: dict[int, Problem] = {}
    for index, each in enumerate(listed["annotations"]):
        where = f"{path}: annotations[{index}]"
        key: int | None = None
        try:
            annotation = as_object(each, "an annotation")
            named = annotation.get("image_id")
            if type(named) is not int or named not in images:
                raise BrokenLabelError(f"image_id {str(named)[:40]} is no image of this file")
            key = named
            if len(boxes[key]) == BOXES_MAX:
                raise BrokenLabelError(f"more than {BOXES_MAX} boxes on one picture")
            boxes[key].append(_box(annotation, names))
        except BrokenLabelError as error:
            if key is not None:
                reference = str(images[key].get("file_name", ""))
                broken.setdefault(key, Problem(where, str(error), Kind.BROKEN, reference))
            else:
                problems.append(Problem(where, str(error), Kind.BROKEN))
    entries = []
    for key, image in images.items():
        reviewed = image.get("reviewed") is True or empty_is_background
        where = f"{path}: image {key}"
        if key in broken:
            problems.append(broken[key])
        elif not boxes[key] and not reviewed:
            what = "no box, and COCO does not say whether anybody looked"
            problems.append(Problem(where, what, Kind.UNLABELLED, image["file_name"]))
        else:
            entries.append(_entry(image, tuple(boxes[key]), where, _part(path)))
    return Reading(tuple(entries), tuple(problems))


def _categories(listed: Sequence[Any]) -> dict[int, str]:
    names: dict[int, str] = {}
    for index, each in enumerate(listed):
        category = as_object(each, f"categories[{index}]")
        key = category.get("id")
        name = as_text(category.get("name"), f"categories[{index}].name")
        if type(key) is not int or key in names or name in names.values():
            raise BrokenLabelError(f"categories[{index}]: id or name is missing, or there twice")
        names[key] = name
    return names


def _images(
    listed: Sequence[Any], path: Path
) -> tuple[dict[int, Mapping[str, Any]], list[Problem]]:
    images: dict[int, Mapping[str, Any]] = {}
    problems: list[Problem] = []
    for index, each in enumerate(listed):
        try:
            image = as_object(each, "an image")
            as_text(image.get("file_name"), "file_name")
            as_size(image.get("width"), "width")
            as_size(image.get("height"), "height")
            if type(key := image.get("id")) is not int:
                raise BrokenLabelError(f"id {str(key)[:40]!r} is no whole number")
        except BrokenLabelError as error:
            problems.append(Problem(f"{path}: images[{index}]", str(error), Kind.BROKEN))
            continue
        if key in images:
            # Whose the boxes of this number are cannot be told any more.
            raise BrokenLabelError(f"images[{index}]: id {key} is there twice")
        images[key] = image
    return images, problems


def _box(annotation: Mapping[str, Any], names: Mapping[int, str]) -> Box:
    category = annotation.get("category_id")
    if type(category) is not int or category not in names:
        raise BrokenLabelError(f"category_id {str(category)[:40]} is no category of this file")
    sides = as_list(annotation.get("bbox"), "bbox")
    if len(sides) != 4:
        raise BrokenLabelError(f"bbox has {len(sides)} numbers, and x, y, width, height are four")
    x, y, width, height = (as_number(side, "bbox") for side in sides)
    crowd = annotation.get("iscrowd", 0) == 1
    return Box(names[category], x, y, x + width, y + height, ignore=crowd)


def _entry(image: Mapping[str, Any], boxes: tuple[Box, ...], where: str, part: str | None) -> Entry:
    sha256, group = image.get("sha256"), image.get("group")
    return Entry(
        reference=str(image["file_name"]),
        boxes=boxes,
        where=where,
        width=int(image["width"]),
        height=int(image["height"]),
        sha256=sha256_in(sha256) if isinstance(sha256, str) else None,
        group=group if isinstance(group, str) and group else None,
        part=part,
    )


def _part(path: Path) -> str | None:
    """The part that a file like ``instances_val.json`` or ``instances_val2017.json`` is of."""
    name = path.stem.removeprefix(_PREFIX).rstrip("0123456789")
    return name if path.stem.startswith(_PREFIX) and name in PARTS else None
