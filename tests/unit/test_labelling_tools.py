"""Label Studio, Labelbox, Sama: what is read, and what is left out with its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.labelling import labelbox, labelstudio, sama, sources
from scripts.labelling.picture import Box, same_boxes
from scripts.labelling.problems import Kind, LabellingError, Problem, Reading
from scripts.labelling.sources import Source
from tests.support.labelled import BOXES

WIDTH, HEIGHT = 320, 180


def studio_result(box: Box) -> dict[str, Any]:
    return {
        "id": "r",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {
            "x": box.x1 / WIDTH * 100,
            "y": box.y1 / HEIGHT * 100,
            "width": (box.x2 - box.x1) / WIDTH * 100,
            "height": (box.y2 - box.y1) / HEIGHT * 100,
            "rotation": 0,
            "rectanglelabels": [box.name],
        },
    }


def studio_task(**changes: Any) -> dict[str, Any]:
    annotation = {"id": 5, "was_cancelled": False, "result": [studio_result(b) for b in BOXES]}
    return {"id": 17, "data": {"image": "s3://b/cam/a.jpg"}, "annotations": [annotation], **changes}


def box_row(**changes: Any) -> dict[str, Any]:
    objects = [
        {
            "name": box.name,
            "annotation_kind": "ImageBoundingBox",
            "bounding_box": {
                "top": box.y1,
                "left": box.x1,
                "height": box.y2 - box.y1,
                "width": box.x2 - box.x1,
            },
        }
        for box in BOXES
    ]
    return {
        "data_row": {"id": "d", "global_key": "cam/a.jpg", "row_data": "https://x/a.jpg?sig=1"},
        "media_attributes": {"height": HEIGHT, "width": WIDTH, "mime_type": "image/jpeg"},
        "projects": {"p": {"name": "n", "labels": [{"annotations": {"objects": objects}}]}},
        **changes,
    }


def sama_task(**changes: Any) -> dict[str, Any]:
    shapes = [
        {
            "type": "rectangle",
            "index": index,
            "tags": {"class": b.name, "occluded": "no"},
            "points": [[b.x2, b.y1], [b.x1, b.y2], [b.x2, b.y2], [b.x1, b.y1]],
        }
        for index, b in enumerate(BOXES)
    ]
    return {
        "id": "t1",
        "state": "delivered",
        "data": {"url": "https://x/cam/a.jpg"},
        "answers": {"boxes": {"layers": {"vector_tagging": [{"shapes": shapes}]}}},
        **changes,
    }


def read_studio(tmp_path: Path, *tasks: Any) -> Reading:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    return labelstudio.read(path)


def read_box(tmp_path: Path, *rows: Any) -> Reading:
    path = tmp_path / "export.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return labelbox.read(path)


def read_sama(tmp_path: Path, document: Any) -> Reading:
    path = tmp_path / "delivered.json"
    path.write_text(json.dumps(document))
    return sama.read(path)


def only_problem(found: Reading) -> Problem:
    assert not found.entries
    (problem,) = found.problems
    return problem


def test_label_studio_percent_becomes_pixels(tmp_path: Path) -> None:
    (entry,) = read_studio(tmp_path, studio_task()).entries
    assert (entry.width, entry.height, entry.reference) == (WIDTH, HEIGHT, "s3://b/cam/a.jpg")
    assert same_boxes([box.scaled(WIDTH, HEIGHT) for box in entry.boxes], BOXES, within=1e-6)


def set_result(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda task: task["annotations"][0]["result"][0].update(changes)


def set_value(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda task: task["annotations"][0]["result"][0]["value"].update(changes)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (set_result(type="polygonlabels"), "'polygonlabels' is not a box"),
        (set_result(image_rotation=90), "picture was turned by 90"),
        (set_value(rotation=12.5), r"box is turned by 12\.5"),
        (set_value(rectanglelabels=[]), "0 labels"),
        (set_value(rectanglelabels=["head", "helmet"]), "2 labels"),
        (set_value(rectanglelabels=[3]), "must be a text"),
        (set_value(x="1"), r"value\.x must be a finite number"),
        (set_value(width=None), r"value\.width must be"),
        (set_result(original_width=0), "original_width must be a size"),
        (set_result(original_width=999), "sizes of one picture differ"),
        (set_result(value=[]), "must be an object"),
        (lambda task: task["annotations"][0].update(result={}), "must be a list"),
        (lambda task: task.update(data={}), "0 pictures"),
        (lambda task: task.update(data={"a": "a.jpg", "b": "b.jpg"}), "2 pictures"),
        (lambda task: task.pop("annotations"), "JSON-MIN"),
    ],
)
def test_a_broken_label_studio_task_is_left_out_whole(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object], why: str
) -> None:
    task = studio_task()
    damage(task)
    found = read_studio(tmp_path, studio_task(), task)
    (problem,) = found.problems
    assert len(found.entries) == 1
    assert problem.where.endswith("export.json: [1] (task 17)")
    assert problem.kind is Kind.BROKEN
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(problem.what)


def test_label_studio_says_who_has_looked(tmp_path: Path) -> None:
    empty = {"was_cancelled": False, "result": []}
    cancelled = {"was_cancelled": True, "result": [studio_result(BOXES[0])]}
    assert read_studio(tmp_path, studio_task(annotations=[empty])).entries[0].boxes == ()
    assert only_problem(read_studio(tmp_path, studio_task(annotations=[]))).what == (
        "nobody has annotated it"
    )
    skipped = only_problem(read_studio(tmp_path, studio_task(annotations=[cancelled])))
    assert (skipped.what, skipped.kind) == ("every annotator skipped it", Kind.UNLABELLED)


def test_label_studio_annotators_who_differ_are_not_chosen_from(tmp_path: Path) -> None:
    whole = studio_task()["annotations"][0]
    part = {"result": [studio_result(BOXES[0])]}
    problem = only_problem(read_studio(tmp_path, studio_task(annotations=[whole, part])))
    assert "2 people's labels differ: mark one as ground truth" in problem.what
    true = {**part, "ground_truth": True}
    (entry,) = read_studio(tmp_path, studio_task(annotations=[whole, true])).entries
    assert len(entry.boxes) == 1


def test_label_studio_labels_apart_from_their_rectangles(tmp_path: Path) -> None:
    label = studio_result(BOXES[0])
    label["type"], label["value"]["labels"] = "labels", label["value"].pop("rectanglelabels")
    shape = {**copy.deepcopy(label), "type": "rectangle"}
    choice = {"type": "choices", "value": {"choices": ["night"]}}
    task = studio_task(annotations=[{"result": [shape, label, choice]}])
    (entry,) = read_studio(tmp_path, task).entries
    assert [box.name for box in entry.boxes] == ["head"]
    alone = studio_task(annotations=[{"result": [shape]}])
    assert (
        "'rectangle' is not a box with a label" in only_problem(read_studio(tmp_path, alone)).what
    )


def test_label_studio_export_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "min.json"
    path.write_text("{}")
    with pytest.raises(LabellingError, match="JSON-MIN"):
        labelstudio.read(path)


def test_labelbox_boxes_are_pixels(tmp_path: Path) -> None:
    (entry,) = read_box(tmp_path, box_row()).entries
    assert (entry.width, entry.height, entry.reference) == (WIDTH, HEIGHT, "cam/a.jpg")
    assert same_boxes(entry.boxes, BOXES, within=1e-9)


def test_labelbox_lines_that_are_broken_have_their_number(tmp_path: Path) -> None:
    polygon, video, nothing = box_row(), box_row(), box_row()
    first = polygon["projects"]["p"]["labels"][0]["annotations"]["objects"][0]
    first["annotation_kind"] = "ImagePolygon"
    video["projects"]["p"]["labels"][0]["annotations"]["frames"] = {}
    nothing["data_row"] = {}
    path = tmp_path / "export.ndjson"
    rows = [polygon, box_row(), video, nothing, box_row(projects=[])]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    found = labelbox.read(path)
    assert len(found.entries) == 1
    places = [(p.where.rpartition(":")[2], p.what.split(":")[-1].strip()) for p in found.problems]
    assert places[:3] == [
        ("1", "'ImagePolygon' is not a box"),
        ("3", "a video, not a picture"),
        ("4", "data_row has no global_key, external_id or row_data"),
    ]
    assert places[3] == ("5", "projects must be an object, found []")
    assert places[4][0] == "6"


@pytest.mark.parametrize(
    ("project", "why"),
    [
        ({"labels": []}, "nobody has labelled it"),
        (
            {
                "labels": [{"annotations": {"objects": []}}],
                "project_details": {"workflow_status": "IN_REVIEW"},
            },
            "not finished in Labelbox: IN_REVIEW",
        ),
        ({"labels": [{"performance_details": {"skipped": True}}]}, "the labeller skipped it"),
    ],
)
def test_labelbox_rows_that_nobody_finished(
    tmp_path: Path, project: dict[str, Any], why: str
) -> None:
    problem = only_problem(read_box(tmp_path, box_row(projects={"p": project})))
    assert (problem.what, problem.kind) == (why, Kind.UNLABELLED)


def test_labelbox_labels_that_differ_need_a_benchmark(tmp_path: Path) -> None:
    row = box_row()
    labels = row["projects"]["p"]["labels"]
    labels.append({"annotations": {"objects": []}})
    assert "labels differ" in only_problem(read_box(tmp_path, row)).what
    labels[1]["label_details"] = {"is_benchmark_reference": True}
    assert read_box(tmp_path, row).entries[0].boxes == ()


ENVELOPES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "list": lambda task: [task],
    "tasks": lambda task: {"tasks": [task]},
    "page": lambda task: {"page": {"total": 1}, "deliveries": [task]},
    "one task": lambda task: task,
    "wrapped": lambda task: {"data": [{"task": task}]},
}


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_sama_shapes_are_found_wherever_they_are(tmp_path: Path, envelope: str) -> None:
    found = read_sama(tmp_path, ENVELOPES[envelope](sama_task()))
    assert not found.problems
    (entry,) = found.entries
    assert entry.reference == "https://x/cam/a.jpg"
    assert same_boxes(entry.boxes, BOXES, within=1e-9)


def test_sama_one_task_a_line(tmp_path: Path) -> None:
    path = tmp_path / "delivered.ndjson"
    path.write_text(json.dumps(sama_task()) + "\n{}\n")
    found = sama.read(path)
    assert (len(found.entries), found.problems[0].where) == (1, f"{path}:2")


def test_sama_answers_count_and_not_the_prelabels_beside_them(tmp_path: Path) -> None:
    own: dict[str, Any] = {"boxes": {"layers": {"vector_tagging": [{"shapes": []}]}}}
    task = sama_task(data={"url": "https://x/cam/a.jpg", **own})
    assert len(read_sama(tmp_path, [task]).entries[0].boxes) == 2
    del task["answers"]
    assert read_sama(tmp_path, [task]).entries[0].boxes == ()


def test_sama_places_that_differ_are_not_chosen_from(tmp_path: Path) -> None:
    task = sama_task()
    task["answers"]["more"] = {"layers": {"vector_tagging": [{"shapes": []}]}}
    assert "2 places with shapes that differ" in only_problem(read_sama(tmp_path, [task])).what


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"type": "polygon"}, "'polygon' is not a rectangle"),
        ({"points": [[0, 0], [10, 5], [8, 20], [-2, 15]]}, "not the corners"),
        ({"points": [[0, 0], [0, 0], [10, 10], [10, 10]]}, "not the corners"),
        ({"points": [[0, 0], [10, 0], [10, 10]]}, "3 points"),
        ({"points": [[0, 0, 0], [10, 10, 0]]}, "not a pair"),
        ({"points": [["0", 0], [10, 10]]}, "finite number"),
        ({"tags": {}}, "which of"),
        ({"tags": {"a": "head", "b": "hat"}}, "which of"),
        ({"tags": {"class": ["head", "hat"]}}, "must be a text"),
    ],
)
def test_a_broken_sama_shape(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    task = sama_task()
    shapes = task["answers"]["boxes"]["layers"]["vector_tagging"][0]["shapes"]
    shapes[1].update(changes)
    problem = only_problem(read_sama(tmp_path, {"tasks": [task]}))
    assert why in problem.what
    assert "shapes[1]" in problem.what
    assert problem.where.endswith("delivered.json: tasks[0] (task t1)")


def test_two_opposite_corners_and_one_tag_are_enough(tmp_path: Path) -> None:
    task = sama_task()
    shape = task["answers"]["boxes"]["layers"]["vector_tagging"][0]["shapes"][0]
    shape.update(points=[[40, 10], [20, 60]], tags={"Kind": ["head"]})
    assert read_sama(tmp_path, [task]).entries[0].boxes[0] == Box("head", 20, 10, 40, 60)


def test_a_sama_file_without_tasks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabellingError, match="no list of tasks"):
        read_sama(tmp_path, {"status": "done"})


def test_a_bottomless_sama_task_is_left_out(tmp_path: Path) -> None:
    deep: Any = sama_task()
    for _ in range(40):
        deep = {"x": deep}
    problem = only_problem(read_sama(tmp_path, [deep]))
    assert "nested too deeply" in problem.what


def test_a_folder_means_every_export_in_it(tmp_path: Path) -> None:
    for number, folder in enumerate(("", "project-2/")):
        task = studio_task(data={"image": f"s3://b/cam/{number}.jpg"})
        path = tmp_path / f"{folder}export.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps([task, studio_task(annotations=[])]))
    (tmp_path / "notes.txt").write_text("no export")
    reading = sources.read(Source("label-studio", tmp_path), empty_is_background=False)
    assert [entry.reference for entry in reading.entries] == [
        "s3://b/cam/0.jpg",
        "s3://b/cam/1.jpg",
    ]
    assert len(reading.problems) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabellingError, match="no export in this folder"):
        sources.read(Source("sama", tmp_path / "empty"), empty_is_background=False)
