"""Labelbox's own package: accepts our rows and pre-labels; an independent reader of its export."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from labelbox.data.annotation_types import Label, ObjectAnnotation, Point, Rectangle
from labelbox.data.serialization import NDJsonConverter
from labelbox.data.serialization.ndjson.objects import NDRectangle
from labelbox.schema.internal.descriptor_file_creator import DescriptorFileCreator
from labelformat.formats.labelbox import FilenameKeyOption, LabelboxObjectDetectionInput
from lbox.exceptions import InvalidQueryError

from scripts.labelling import labelbox as ours
from scripts.labelling.captures import Capture, key_of, read_captures
from scripts.labelling.picture import Box, LabelledPicture, same_boxes
from scripts.labelling.way_out import WayOut, write_tasks
from tests.integration.labelling import vendor
from tests.support.labelled import CLASSES, write_capture

ADDRESS = "https://pictures.s3.eu-central-1.amazonaws.com/site-7"


@pytest.fixture
def captures(tmp_path: Path) -> list[Capture]:
    for seed in range(3):
        write_capture(tmp_path / "in", seed)
    return read_captures(tmp_path / "in", ADDRESS)[0]


def test_the_package_accepts_our_data_rows(captures: list[Capture], tmp_path: Path) -> None:
    rows, _ = write_tasks("labelbox", captures, tmp_path, WayOut(CLASSES))
    read = json.loads(rows.read_text())
    # The client is asked for nothing: only what the package itself checks before an upload.
    creator = DescriptorFileCreator(cast(Any, SimpleNamespace()))
    accepted = creator._prepare_items_for_upload(read)
    assert sorted(row["global_key"] for row in accepted) == sorted(key_of(c) for c in captures)
    with pytest.raises(InvalidQueryError):
        creator._prepare_items_for_upload([{**read[0], "row_data": "s3://pictures/a.jpg"}])


def test_the_package_reads_our_prelabels_as_it_writes_its_own(
    captures: list[Capture], tmp_path: Path
) -> None:
    _, lines = write_tasks("labelbox", captures, tmp_path, WayOut(CLASSES))
    read = [json.loads(line) for line in lines.read_text().splitlines()]
    boxes = [(key_of(c), box) for c in captures for box in c.picture.boxes]
    assert len(read) == len(boxes) == 6
    for line, (key, box) in zip(read, boxes, strict=True):
        parsed = NDRectangle(**line)
        assert parsed.model_dump(by_alias=True, exclude_none=True) == line
        rectangle = parsed.to_common()
        corners = (rectangle.start.x, rectangle.start.y, rectangle.end.x, rectangle.end.y)
        assert corners == pytest.approx(box.corners)
        own = ObjectAnnotation(
            name=box.name,
            confidence=box.score,
            value=Rectangle(start=Point(x=box.x1, y=box.y1), end=Point(x=box.x2, y=box.y2)),
        )
        (theirs,) = NDJsonConverter.serialize([Label(data={"global_key": key}, annotations=[own])])
        assert {k: v for k, v in theirs.items() if k != "uuid"} == {
            k: v for k, v in line.items() if k != "uuid"
        }


def export_row(picture: LabelledPicture, key: str) -> dict[str, Any]:
    """A row of an export, its boxes written by the package."""
    label = Label(
        data={"global_key": key},
        annotations=[
            ObjectAnnotation(
                name=box.name,
                value=Rectangle(start=Point(x=box.x1, y=box.y1), end=Point(x=box.x2, y=box.y2)),
            )
            for box in picture.boxes
        ],
    )
    objects = [
        {
            "feature_id": each["uuid"],
            "name": each["name"],
            "value": each["name"],
            "annotation_kind": "ImageBoundingBox",
            "classifications": [],
            "bounding_box": each["bbox"],
        }
        for each in NDJsonConverter.serialize([label])
    ]
    return {
        "data_row": {"id": "c", "global_key": key, "row_data": f"{ADDRESS}/{key}"},
        "media_attributes": {"width": 320, "height": 180, "mime_type": "image/jpeg"},
        "projects": {
            "p": {
                "name": "helmets",
                "labels": [
                    {
                        "id": "l",
                        "label_details": {"is_benchmark_reference": False},
                        "performance_details": {"skipped": False},
                        "annotations": {
                            "objects": objects,
                            "classifications": [],
                            "relationships": [],
                        },
                    }
                ],
                "project_details": {"workflow_status": "DONE"},
            }
        },
    }


def test_an_export_is_read_like_by_another_reader(tmp_path: Path) -> None:
    pictures = vendor.pictures(tmp_path / "pictures")
    path = tmp_path / "export" / "export.ndjson"
    path.parent.mkdir()
    rows = [export_row(p, f"cam-{n}.20261122.{p.sha256}") for n, p in enumerate(pictures)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    vendor.check(vendor.read("labelbox", path, tmp_path / "pictures"), pictures)
    theirs = LabelboxObjectDetectionInput(path, ",".join(CLASSES), FilenameKeyOption.GLOBAL_KEY)
    entries = {entry.reference: entry for entry in ours.read(path).entries}
    for label in theirs.get_labels():
        entry = entries.pop(label.image.filename)
        boxes = [
            Box(o.category.name, o.box.xmin, o.box.ymin, o.box.xmax, o.box.ymax)
            for o in label.objects
        ]
        assert same_boxes(entry.boxes, boxes, within=1e-6)
        assert (entry.width, entry.height) == (label.image.width, label.image.height)
    assert not entries
