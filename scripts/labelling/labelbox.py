"""Labelbox: data rows and pre-labels (MAL) on the way out, its export on the way back. Pure.

Boxes are in pixels: top, left, height, width.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts.labelling.agreement import Opinion, agreed
from scripts.labelling.captures import Capture, key_of, parse_key
from scripts.labelling.picture import Box, BrokenLabelError, Entry
from scripts.labelling.problems import Kind, Problem, Reading
from scripts.labelling.reading import (
    as_boxes,
    as_list,
    as_number,
    as_object,
    as_size,
    as_text,
    json_lines,
    sha256_in,
)
from scripts.labelling.references import is_picture
from updater.errors import UsageError

#: Namespace of the ids of pre-labels: the same detection has the same id in every run.
_IDS = uuid.UUID("7f0b2c5e-5a0e-4e0c-9d55-2f3a0c6f1d11")
_BOX = "ImageBoundingBox"


def data_rows(captures: Iterable[Capture]) -> list[dict[str, Any]]:
    """Data rows, for ``Dataset.create_data_rows`` or the upload of a JSON file.

    Raises:
        UsageError: An address is not one that Labelbox takes.
    """
    rows = []
    for capture in captures:
        if not capture.address.startswith("https://"):
            raise UsageError(
                f"Labelbox takes no address like {capture.address[:80]!r}",
                where="--address",
                hint="Name the bucket's https address; Labelbox reads it by IAM delegated access",
            )
        rows.append(
            {
                "row_data": capture.address,
                "global_key": key_of(capture),
                "external_id": capture.name,
                "media_type": "IMAGE",
            }
        )
    return rows


def mal_lines(captures: Iterable[Capture]) -> Iterator[dict[str, Any]]:
    """Pre-labels, one object a line, for ``MALPredictionImport.create_from_file``."""
    for capture in captures:
        key = key_of(capture)
        for number, box in enumerate(capture.picture.boxes):
            yield {
                "uuid": str(uuid.uuid5(_IDS, f"{key} {capture.model_version} {number}")),
                "dataRow": {"globalKey": key},
                "name": box.name,
                "classifications": [],
                "confidence": box.score,
                "bbox": {
                    "top": box.y1,
                    "left": box.x1,
                    "height": box.y2 - box.y1,
                    "width": box.x2 - box.x1,
                },
            }


def read(path: Path) -> Reading:
    """What people drew, in an export of one JSON object a line.

    Raises:
        LabellingError: The file cannot be read.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    for line, row in json_lines(path):
        where, reference = f"{path}:{line}", ""
        try:
            if isinstance(row, BrokenLabelError):
                raise row
            raw = as_object(row, "a row")
            data_row = as_object(raw.get("data_row"), "data_row")
            reference = _reference(data_row)
            found = _entry(raw, data_row, reference, where)
        except BrokenLabelError as error:
            problems.append(Problem(where, str(error), Kind.BROKEN, reference))
            continue
        if isinstance(found, Entry):
            entries.append(found)
        else:
            problems.append(Problem(where, found, Kind.UNLABELLED, reference))
    return Reading(tuple(entries), tuple(problems))


def _reference(data_row: dict[str, Any]) -> str:
    names = [data_row.get(name) for name in ("global_key", "external_id", "row_data")]
    texts = [name for name in names if isinstance(name, str) and name]
    if not texts:
        raise BrokenLabelError("data_row has no global_key, external_id or row_data")
    # Our own keys hold the picture's hash; of others the first that looks like a file.
    return next((t for t in texts if sha256_in(t) or is_picture(t)), texts[0])


def _entry(
    row: dict[str, Any], data_row: dict[str, Any], reference: str, where: str
) -> Entry | str:
    """The entry of one row, or why it has no labels."""
    media = as_object(row.get("media_attributes", {}), "media_attributes")
    projects = as_object(row.get("projects"), "projects")
    opinions: list[Opinion] = []
    unfinished = ""
    for name, raw in projects.items():
        project = as_object(raw, f"projects.{name}")
        details = as_object(project.get("project_details", {}), "project_details")
        status = details.get("workflow_status", "DONE")
        labels = as_list(project.get("labels"), f"projects.{name}.labels")
        if labels and status != "DONE":
            unfinished = f"not finished in Labelbox: {str(status)[:40]}"
            continue
        for index, each in enumerate(labels):
            what = f"projects.{name}.labels[{index}]"
            label = as_object(each, what)
            performance = as_object(label.get("performance_details", {}), what)
            if performance.get("skipped") is True:
                unfinished = "the labeller skipped it"
                continue
            label_details = as_object(label.get("label_details", {}), what)
            opinions.append(
                Opinion(_boxes(label, what), label_details.get("is_benchmark_reference") is True)
            )
    if not opinions:
        return unfinished or "nobody has labelled it"
    ours = parse_key(reference)
    return Entry(
        reference=reference,
        boxes=agreed(opinions, "mark one as benchmark, or export one project"),
        where=where,
        width=as_size(media["width"], "media_attributes.width") if "width" in media else None,
        height=as_size(media["height"], "media_attributes.height") if "height" in media else None,
        sha256=sha256_in(reference),
        group=ours.group if ours else None,
    )


def _boxes(label: dict[str, Any], what: str) -> tuple[Box, ...]:
    annotations = as_object(label.get("annotations"), f"{what}.annotations")
    if "frames" in annotations:
        raise BrokenLabelError(f"{what}: a video, not a picture")
    boxes = []
    for number, each in enumerate(as_boxes(annotations.get("objects"), f"{what}.objects")):
        where = f"{what}.objects[{number}]"
        found = as_object(each, where)
        if (kind := found.get("annotation_kind")) != _BOX:
            raise BrokenLabelError(f"{where}: {str(kind)[:40]!r} is not a box")
        sides = as_object(found.get("bounding_box"), f"{where}.bounding_box")
        top, left, height, width = (
            as_number(sides.get(side), f"{where}.bounding_box.{side}")
            for side in ("top", "left", "height", "width")
        )
        name = as_text(found.get("name"), f"{where}.name")
        boxes.append(Box(name, left, top, left + width, top + height))
    return tuple(boxes)
