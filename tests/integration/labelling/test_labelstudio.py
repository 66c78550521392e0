"""Label Studio's own SDK: accepts our tasks, and its converter's exports are read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk.converter import Converter
from label_studio_sdk.label_interface import LabelInterface

from scripts.labelling import labelstudio
from scripts.labelling.captures import read_captures
from scripts.labelling.picture import LabelledPicture
from scripts.labelling.problems import Kind
from scripts.labelling.way_out import WayOut, write_tasks
from tests.integration.labelling import vendor
from tests.support.labelled import CLASSES, write_capture

# The SDK's own use of pydantic; nothing of ours.
pytestmark = pytest.mark.filterwarnings("ignore:The `dict` method is deprecated")

CONFIG = labelstudio.labelling_config(CLASSES)


def annotated(pictures: list[LabelledPicture]) -> list[dict[str, Any]]:
    """Tasks as the server exports them: regions made by the SDK from the labelling interface."""
    interface = LabelInterface(CONFIG)
    control = interface.get_control("label")
    tasks = []
    for number, picture in enumerate(pictures):
        width, height = picture.width, picture.height
        results = []
        for box in picture.boxes:
            region = control.label(
                x=box.x1 / width * 100,
                y=box.y1 / height * 100,
                width=(box.x2 - box.x1) / width * 100,
                height=(box.y2 - box.y1) / height * 100,
                label=box.name,
            )
            size = {"original_width": width, "original_height": height, "image_rotation": 0}
            results.append({**region._dict(), **size})
        annotation = {
            "id": number,
            "completed_by": 1,
            "was_cancelled": False,
            "ground_truth": False,
            "result": results,
            "created_at": "2026-11-22T08:00:00Z",
        }
        assert interface.validate_annotation(annotation)
        address = f"s3://pictures/{picture.path.parent.name}/{picture.path.name}"
        tasks.append({"id": number, "data": {"image": address}, "annotations": [annotation]})
    return tasks


@pytest.fixture
def export(tmp_path: Path) -> tuple[list[LabelledPicture], Path]:
    pictures = vendor.pictures(tmp_path / "pictures")
    path = tmp_path / "export" / "tasks.json"
    path.parent.mkdir()
    path.write_text(json.dumps(annotated(pictures)))
    return pictures, path


def test_the_sdk_accepts_our_tasks(tmp_path: Path) -> None:
    for seed in range(3):
        write_capture(tmp_path / "in", seed)
    captures, _ = read_captures(tmp_path / "in", "s3://pictures/site-7")
    config, tasks = write_tasks("label-studio", captures, tmp_path / "out", WayOut(CLASSES))
    interface = LabelInterface(config.read_text())
    interface.validate()
    for task in json.loads(tasks.read_text()):
        assert interface.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []
            assert len(prediction["result"]) == 2
    # The check does refuse what does not fit.
    prediction["result"][0]["value"]["rectanglelabels"] = ["cap"]
    assert interface.validate_prediction(prediction, return_errors=True)


def test_json(export: tuple[list[LabelledPicture], Path], tmp_path: Path) -> None:
    pictures, path = export
    output = tmp_path / "json"
    Converter(CONFIG, str(tmp_path)).convert_to_json(str(path), str(output), is_dir=False)
    (written,) = output.glob("*.json")
    vendor.check(vendor.read("label-studio", written, tmp_path / "pictures"), pictures)


def converted(path: Path, output: Path, *, coco: bool = False) -> Path:
    converter = Converter(CONFIG, str(output), download_resources=False)
    convert = converter.convert_to_coco if coco else converter.convert_to_yolo
    convert(str(path), str(output), is_dir=False)
    return output


def test_yolo_has_alphabetical_classes_and_is_read_by_name(tmp_path: Path) -> None:
    pictures = [p for p in vendor.pictures(tmp_path / "pictures") if p.path.parent.name == "cam1"]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(annotated(pictures)))
    output = converted(path, tmp_path / "yolo")
    # Alphabetical, unlike CLASSES: whoever trusts the numbers trains heads as helmets.
    assert (output / "classes.txt").read_text().split() == ["head", "helmet", "person"]
    vendor.check(vendor.read("label-studio-yolo", output, pictures[0].path.parent), pictures)


def test_yolo_of_equal_base_names_is_left_out_and_not_given_to_the_wrong_picture(
    export: tuple[list[LabelledPicture], Path], tmp_path: Path
) -> None:
    output = converted(export[1], tmp_path / "yolo")
    # Four pictures, two base names: the second picture's boxes have overwritten the first's.
    assert len(list((output / "labels").iterdir())) == 2
    found = vendor.read("label-studio-yolo", output, tmp_path / "pictures")
    assert not found.samples
    assert [problem.kind for problem in found.problems] == [Kind.MISSING, Kind.MISSING]
    assert all("2 pictures may be meant by" in problem.what for problem in found.problems)


def test_yolo_of_a_task_that_nobody_opened_is_no_background(tmp_path: Path) -> None:
    pictures = vendor.pictures(tmp_path / "pictures", 1)
    tasks = annotated(pictures)
    tasks[0]["annotations"] = []
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    output = converted(path, tmp_path / "yolo")
    assert (output / "labels" / "0.txt").read_text() == ""
    (problem,) = vendor.read("label-studio-yolo", output, tmp_path / "pictures").problems
    assert problem.kind is Kind.UNLABELLED


def test_coco(export: tuple[list[LabelledPicture], Path], tmp_path: Path) -> None:
    output = converted(export[1], tmp_path / "coco", coco=True)
    found = vendor.read("coco", output / "result.json", tmp_path / "pictures")
    vendor.check(found, export[0])
