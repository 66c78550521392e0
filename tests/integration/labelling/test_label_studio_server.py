"""A real Label Studio: imports our tasks, people label in it, and what it exports comes back."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from scripts.labelling import labelstudio
from scripts.labelling.assemble import Assembly
from scripts.labelling.captures import Capture, read_captures
from scripts.labelling.picture import Box, same_boxes
from scripts.labelling.problems import Kind
from tests.integration.labelling import vendor
from tests.support import label_studio
from tests.support.label_studio import LabelStudio, LabelStudioError
from tests.support.labelled import BOXES, CLASSES, write_capture, write_picture

pytestmark = pytest.mark.skipif(bool(label_studio.missing()), reason=label_studio.missing())

ROOT = Path(__file__).resolve().parents[3]
ADDRESS = "s3://pictures/site-7"
TIMEOUT_S = 300.0
MOVED = (replace(BOXES[0], x2=90.0, y2=80.3), BOXES[1])
RELABELLED = (replace(BOXES[0], name="helmet"), replace(BOXES[1], name="person"))
ADDED = (*BOXES, Box("person", 200.4, 30.7, 261.1, 179.9))
REMOVED = (BOXES[1],)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    with label_studio.start(tmp_path_factory.mktemp("label-studio")) as found:
        yield found


@dataclass
class Week:
    """Captures, written as tasks by the command line, and imported.

    Attributes:
        folder: of the captures.
        captures: in the order of the tasks.
        project: the server's number of it.
        studio: the server.
    """

    folder: Path
    captures: list[Capture]
    project: int
    studio: LabelStudio

    def task(self, capture: Capture) -> dict[str, Any]:
        """What the server has of it."""
        (found,) = (
            task
            for task in self.studio.tasks(self.project)
            if task["data"]["sha256"] == capture.picture.sha256
        )
        return found

    def label(self, capture: Capture, boxes: Sequence[Box], **more: Any) -> None:
        """Somebody begins with the pre-labels, and submits these."""
        task = self.task(capture)
        (prediction,) = task["predictions"]
        result = prediction["result"] if boxes == capture.picture.boxes else regions(boxes)
        self.studio.annotate(task["id"], result, prediction=prediction["id"], **more)


def regions(boxes: Sequence[Box]) -> list[dict[str, Any]]:
    """As the labelling interface submits them: percent, no score."""
    return [
        {
            "id": f"drawn-{number}", "type": "rectanglelabels", "origin": "manual",
            "from_name": "label", "to_name": "image", "image_rotation": 0,
            "original_width": 320, "original_height": 180,
            "value": {
                "x": box.x1 / 3.2, "y": box.y1 / 1.8, "rotation": 0,
                "width": (box.x2 - box.x1) / 3.2, "height": (box.y2 - box.y1) / 1.8,
                "rectanglelabels": [box.name],
            },
        }
        for number, box in enumerate(boxes)
    ]  # fmt: skip


def labels(*arguments: object) -> list[dict[str, Any]]:
    """Runs ``scripts/labels.py`` to its end; what it printed."""
    command = [sys.executable, "scripts/labels.py", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def week(studio: LabelStudio, tmp_path: Path) -> Week:
    for seed in range(8):
        write_capture(tmp_path / "captures", seed, device=f"cam-{seed % 2}")
    write_capture(tmp_path / "captures", 8, boxes=())
    folder, out = tmp_path / "captures", tmp_path / "tasks"
    labels("out", "--captures", folder, "--address", ADDRESS, "--tool", "label-studio",
           "--output", out)  # fmt: skip
    project = studio.create_project((out / "label-studio-config.xml").read_text())
    counts = studio.import_tasks(project, json.loads((out / "label-studio-tasks.json").read_text()))
    assert (counts["task_count"], counts["prediction_count"]) == (9, 9)
    captures, _ = read_captures(folder, ADDRESS)
    return Week(folder, captures, project, studio)


def unpacked(content: bytes, folder: Path) -> Path:
    """An export's zip file, unpacked."""
    folder.mkdir()
    (folder / "export.zip").write_bytes(content)
    with zipfile.ZipFile(folder / "export.zip") as archive:
        archive.extractall(folder)
    (folder / "export.zip").unlink()
    return folder


def boxes_of(found: Assembly) -> dict[str, tuple[Box, ...]]:
    return {sample.picture.sha256: sample.picture.boxes for sample in found.samples}


def check_boxes(found: dict[str, tuple[Box, ...]], expected: dict[str, tuple[Box, ...]]) -> None:
    assert found.keys() == expected.keys()
    for sha256, boxes in expected.items():
        assert same_boxes(found[sha256], boxes), sha256


def test_predictions_are_taken_as_they_are(week: Week) -> None:
    tasks = {task["data"]["sha256"]: task for task in week.studio.tasks(week.project)}
    assert len(tasks) == 9
    for capture, written in zip(week.captures, labelstudio.tasks(week.captures), strict=True):
        task = tasks[capture.picture.sha256]
        assert task["data"] == written["data"]
        (prediction,), (ours,) = task["predictions"], written["predictions"]
        assert prediction["result"] == ours["result"]
        assert prediction["model_version"] == "2026.11.1"
        assert prediction["score"] == ours.get("score")


def test_what_does_not_fit_the_interface_is_refused_by_the_server(week: Week) -> None:
    (task,) = labelstudio.tasks(week.captures[:1])
    del task["data"]["image"]
    with pytest.raises(LabelStudioError, match=r"400 .*image"):
        week.studio.import_tasks(week.project, [task])


def test_json_comes_back_through_the_command_line(week: Week, tmp_path: Path) -> None:
    with_boxes = [capture for capture in week.captures if capture.picture.boxes]
    (empty,) = (capture for capture in week.captures if not capture.picture.boxes)
    said: tuple[tuple[Box, ...], ...] = (BOXES, MOVED, RELABELLED, ADDED, REMOVED, ())
    for capture, boxes in zip(with_boxes, said, strict=False):
        week.label(capture, boxes)
    week.label(empty, ())
    skipped, differ = with_boxes[len(said) :]
    week.label(skipped, BOXES, was_cancelled=True)
    week.label(differ, BOXES)
    week.label(differ, MOVED)

    export = tmp_path / "export.json"
    export.write_bytes(week.studio.export(week.project))
    told = labels("back", "--captures", week.folder, "--source", f"label-studio:{export}",
                  "--most-dropped", "0.5", "--output", tmp_path / "labels")  # fmt: skip
    expected = {
        capture.picture.sha256: boxes for capture, boxes in zip(with_boxes, said, strict=False)
    }
    check_boxes(
        boxes_of(vendor.read("coco", tmp_path / "labels", tmp_path / "labels/images")),
        {**expected, empty.picture.sha256: ()},
    )
    dropped = map(json.loads, (tmp_path / "labels/dropped.jsonl").read_text().splitlines())
    assert {problem["reference"]: problem["kind"] for problem in dropped} == {
        skipped.address: Kind.UNLABELLED,
        differ.address: Kind.BROKEN,
    }
    (review,) = (line for line in told if "relabelled" in line)
    assert review["labelled"] == 7
    # A box that was moved far is another: one removed, one added.
    assert {name: review[name] for name in ("kept", "relabelled", "removed", "added")} == {
        "kept": {"helmet": 4, "head": 2},
        "relabelled": {"helmet": 1, "person": 1},
        "removed": {"head": 3, "helmet": 1},
        "added": {"person": 1, "head": 1},
    }


def test_one_who_is_right_settles_it(week: Week, tmp_path: Path) -> None:
    first = week.captures[0]
    week.label(first, BOXES)
    week.label(first, MOVED, ground_truth=True)
    export = tmp_path / "export" / "export.json"
    export.parent.mkdir()
    export.write_bytes(week.studio.export(week.project))
    found = vendor.read("label-studio", export, week.folder)
    check_boxes(boxes_of(found), {first.picture.sha256: MOVED})


def test_yolo_has_alphabetical_classes_and_comes_back_by_name(week: Week, tmp_path: Path) -> None:
    expected = {}
    for number, capture in enumerate(week.captures):
        boxes = (capture.picture.boxes, RELABELLED, ADDED)[number % 3]
        week.label(capture, boxes)
        expected[capture.picture.sha256] = tuple(boxes)
    folder = unpacked(week.studio.export(week.project, "YOLO"), tmp_path / "yolo")
    assert (folder / "classes.txt").read_text().split() == sorted(CLASSES) != list(CLASSES)
    found = vendor.read("label-studio-yolo", folder, week.folder)
    seen = {sha256: boxes for sha256, boxes in expected.items() if boxes}
    check_boxes(boxes_of(found), seen)
    # An empty picture cannot be told from one that nobody opened.
    assert [problem.kind for problem in found.problems] == [Kind.UNLABELLED] * (9 - len(seen))
    believed = vendor.read("label-studio-yolo", folder, week.folder, empty=True)
    check_boxes(boxes_of(believed), expected)


def test_yolo_of_everything_has_files_of_tasks_that_nobody_opened(
    week: Week, tmp_path: Path
) -> None:
    first = week.captures[0]
    week.label(first, BOXES)
    labelled = unpacked(week.studio.export(week.project, "YOLO"), tmp_path / "labelled")
    assert len(list((labelled / "labels").iterdir())) == 1
    content = week.studio.export(week.project, "YOLO", everything=True)
    everything = unpacked(content, tmp_path / "everything")
    assert len(list((everything / "labels").iterdir())) == 9
    found = vendor.read("label-studio-yolo", everything, week.folder)
    check_boxes(boxes_of(found), {first.picture.sha256: BOXES})
    assert [problem.kind for problem in found.problems] == [Kind.UNLABELLED] * 8


def test_yolo_of_equal_base_names_is_left_out(studio: LabelStudio, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    project = studio.create_project(labelstudio.labelling_config(CLASSES))
    for seed, camera in enumerate(("cam1", "cam2")):
        write_picture(folder / camera / "a.jpg", seed)
    addresses = [f"s3://pictures/{camera}/a.jpg" for camera in ("cam1", "cam2")]
    studio.import_tasks(project, [{"data": {"image": address}} for address in addresses])
    for task in studio.tasks(project):
        studio.annotate(task["id"], regions(BOXES))
    export = unpacked(studio.export(project, "YOLO"), tmp_path / "yolo")
    assert [path.name for path in (export / "labels").iterdir()] == ["a.txt"]
    found = vendor.read("label-studio-yolo", export, folder)
    assert not found.samples
    assert found.problems
    json_export = tmp_path / "export.json"
    json_export.write_bytes(studio.export(project))
    assert len(vendor.read("label-studio", json_export, folder).samples) == 2


def test_a_picture_that_was_uploaded_is_found_by_its_own_name(
    studio: LabelStudio, tmp_path: Path
) -> None:
    project = studio.create_project(labelstudio.labelling_config(CLASSES))
    picture = write_picture(tmp_path / "pictures" / "gate.jpg", 1)
    studio.upload(project, picture)
    (task,) = studio.tasks(project)
    assert task["data"]["image"].startswith(f"/data/upload/{project}/")
    assert not task["data"]["image"].endswith("/gate.jpg")
    studio.annotate(task["id"], regions(BOXES))
    export = tmp_path / "export.json"
    export.write_bytes(studio.export(project))
    found = vendor.read("label-studio", export, picture.parent)
    (sample,) = found.samples
    assert (sample.picture.path, found.problems) == (picture, ())
    assert same_boxes(sample.picture.boxes, BOXES)


def test_more_tasks_than_a_page_are_all_there(studio: LabelStudio) -> None:
    project = studio.create_project(labelstudio.labelling_config(CLASSES))
    studio.import_tasks(
        project, [{"data": {"image": f"{ADDRESS}/{number}.jpg"}} for number in range(230)]
    )
    found = studio.tasks(project)
    assert {task["data"]["image"] for task in found} == {
        f"{ADDRESS}/{number}.jpg" for number in range(230)
    }
    assert len(found) == 230
