"""Label Studio: tasks with predictions on the way out, its JSON export on the way back. Pure.

Boxes are in percent of the picture, from its upper left corner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from scripts.labelling.agreement import Opinion, agreed
from scripts.labelling.captures import Capture
from scripts.labelling.picture import SAME_PX, Box, BrokenLabelError, Entry
from scripts.labelling.problems import Kind, LabellingError, Problem, Reading
from scripts.labelling.reading import (
    as_boxes,
    as_list,
    as_number,
    as_object,
    as_size,
    as_text,
    read_json,
    sha256_in,
)
from scripts.labelling.references import picture_text

_FROM, _TO = "label", "image"
#: Results that say something about the whole picture, not where an object is.
_NO_SHAPE = frozenset(
    {"choices", "textarea", "rating", "number", "taxonomy", "datetime", "pairwise"}
)
#: Degrees; browsers leave this much behind after turning a box and back.
_TURNED_DEGREES = 1e-3


def labelling_config(classes: Sequence[str]) -> str:
    """The labelling interface (XML) that :func:`tasks` are for."""
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in classes)
    return (
        f'<View>\n  <Image name="{_TO}" value="$image"/>\n'
        f'  <RectangleLabels name="{_FROM}" toName="{_TO}">\n'
        f"{labels}  </RectangleLabels>\n</View>\n"
    )


def tasks(captures: Iterable[Capture]) -> list[dict[str, Any]]:
    """Tasks with the model's detections as predictions, for the import dialogue or the API."""
    return [_task(capture) for capture in captures]


def _task(capture: Capture) -> dict[str, Any]:
    picture = capture.picture
    prediction: dict[str, Any] = {
        "model_version": capture.model_version,
        "result": [
            {
                "id": f"{picture.sha256[:12]}-{number}",
                "type": "rectanglelabels",
                "from_name": _FROM,
                "to_name": _TO,
                "original_width": picture.width,
                "original_height": picture.height,
                "image_rotation": 0,
                "score": box.score,
                "value": _percent(box, picture.width, picture.height),
            }
            for number, box in enumerate(picture.boxes)
        ],
    }
    if picture.boxes:
        # Label Studio sorts by it; the least certain box is what a person should see first.
        prediction["score"] = min(box.score or 0.0 for box in picture.boxes)
    return {
        "data": {
            "image": capture.address,
            "sha256": picture.sha256,
            "group": capture.group,
            "device": capture.device,
            "taken": capture.taken_utc,
            "reasons": ", ".join(capture.reasons),
            "value": capture.value,
        },
        "predictions": [prediction],
    }


def _percent(box: Box, width: int, height: int) -> dict[str, Any]:
    return {
        "x": box.x1 * 100 / width,
        "y": box.y1 * 100 / height,
        "width": (box.x2 - box.x1) * 100 / width,
        "height": (box.y2 - box.y1) * 100 / height,
        "rotation": 0,
        "rectanglelabels": [box.name],
    }


def read(path: Path) -> Reading:
    """What people drew in an export of the kind "JSON".

    Raises:
        LabellingError: The file is not such an export.
    """
    document = read_json(path)
    if not isinstance(document, list):
        raise LabellingError(
            "must be a list of tasks", where=str(path), hint='Export as "JSON", not "JSON-MIN"'
        )
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, task in enumerate(document):
        name = task.get("id") if isinstance(task, dict) else None
        where = f"{path}: [{number}]" + (f" (task {name})" if isinstance(name, int) else "")
        reference = ""
        try:
            raw = as_object(task, "a task")
            data = as_object(raw.get("data"), "data")
            reference = picture_text(data, prefer=_TO)
            found = _entry(raw, data, reference, where)
        except BrokenLabelError as error:
            problems.append(Problem(where, str(error), Kind.BROKEN, reference))
            continue
        if isinstance(found, Entry):
            entries.append(found)
        else:
            problems.append(Problem(where, found, Kind.UNLABELLED, reference))
    return Reading(tuple(entries), tuple(problems))


def _entry(task: dict[str, Any], data: dict[str, Any], reference: str, where: str) -> Entry | str:
    """The entry of one task, or why it has no labels."""
    if "annotations" not in task:
        raise BrokenLabelError('no annotations: export as "JSON", not "JSON-MIN"')
    annotations = [
        as_object(each, f"annotations[{index}]")
        for index, each in enumerate(as_list(task["annotations"], "annotations"))
    ]
    done = [a for a in annotations if not a.get("was_cancelled")]
    if not done:
        return "every annotator skipped it" if annotations else "nobody has annotated it"
    size: tuple[int, int] | None = None
    opinions = []
    for index, annotation in enumerate(annotations):
        if annotation.get("was_cancelled"):
            continue
        boxes, own_size = _annotation(annotation, f"annotations[{index}].result")
        if own_size and size and own_size != size:
            raise BrokenLabelError(f"sizes of one picture differ: {size} and {own_size}")
        size = size or own_size
        tolerance = SAME_PX / max(size) if size else 0.0
        opinions.append(Opinion(boxes, annotation.get("ground_truth") is True, tolerance))
    boxes = agreed(opinions, "mark one as ground truth")
    sha256, group = data.get("sha256"), data.get("group")
    return Entry(
        reference=reference,
        boxes=boxes,
        where=where,
        unit="relative",
        width=size[0] if size else None,
        height=size[1] if size else None,
        sha256=sha256_in(sha256) if isinstance(sha256, str) else None,
        group=group if isinstance(group, str) and group else None,
    )


def _annotation(
    annotation: dict[str, Any], what: str
) -> tuple[tuple[Box, ...], tuple[int, int] | None]:
    """The boxes of one annotator, and the picture's size when a result tells it."""
    results = [
        as_object(each, f"{what}[{index}]")
        for index, each in enumerate(as_boxes(annotation.get("result"), what))
    ]
    # <Labels> with <Rectangle> writes a region twice, under one id: its shape, then its label.
    labelled = [r.get("id") for r in results if r.get("type") == "labels"]
    boxes: list[Box] = []
    size: tuple[int, int] | None = None
    for index, result in enumerate(results):
        where = f"{what}[{index}]"
        kind = as_text(result.get("type"), f"{where}.type")
        if kind in _NO_SHAPE or kind == "relation":
            continue
        if kind == "rectangle" and result.get("id") in labelled:
            continue
        if kind not in ("rectanglelabels", "labels"):
            raise BrokenLabelError(f"{where}: {kind[:40]!r} is not a box with a label")
        boxes.append(_box(result, kind, where))
        own = (
            as_size(result.get("original_width"), f"{where}.original_width"),
            as_size(result.get("original_height"), f"{where}.original_height"),
        )
        if size not in (None, own):
            raise BrokenLabelError(f"{where}: sizes of one picture differ: {size} and {own}")
        size = own
    return tuple(boxes), size


def _box(result: dict[str, Any], kind: str, where: str) -> Box:
    if result.get("image_rotation", 0) != 0:
        raise BrokenLabelError(f"{where}: the picture was turned by {result['image_rotation']!r}°")
    value = as_object(result.get("value"), f"{where}.value")
    turned = as_number(value.get("rotation", 0), f"{where}.value.rotation") % 360
    if min(turned, 360 - turned) > _TURNED_DEGREES:
        raise BrokenLabelError(f"{where}: the box is turned by {turned:g}°")
    names = as_list(value.get(kind), f"{where}.value.{kind}")
    if len(names) != 1:
        raise BrokenLabelError(f"{where}: {len(names)} labels on one box")
    x, y, width, height = (
        as_number(value.get(side), f"{where}.value.{side}") / 100
        for side in ("x", "y", "width", "height")
    )
    return Box(as_text(names[0], f"{where}.value.{kind}[0]"), x, y, x + width, y + height)
