"""YOLO folders and COCO files: layouts, classes by name, and what is left out with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.labelling import coco, yolo
from scripts.labelling.picture import Box, LabelledPicture, same_boxes
from scripts.labelling.problems import Kind, LabellingError, Reading
from tests.support.labelled import BOXES, CLASSES, labelled, write_picture

WIDTH, HEIGHT = 320, 180
LINE = "1 0.5 0.5 0.25 0.25\n"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def whats(found: Reading) -> list[tuple[str, str, Kind]]:
    return [(Path(p.where).name, p.what, p.kind) for p in found.problems]


@given(
    st.lists(
        st.builds(
            lambda name, x, y, w, h: Box(name, x, y, min(x + w, 4000.0), min(y + h, 3000.0)),
            st.sampled_from(CLASSES),
            st.floats(0, 3990),
            st.floats(0, 2990),
            st.floats(2, 4000),
            st.floats(2, 3000),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_label_file_says_what_was_written_to_a_hundredth_of_a_pixel(boxes: list[Box]) -> None:
    read = [
        yolo._box(line, CLASSES) for line in yolo.lines(boxes, CLASSES, 4000, 3000).splitlines()
    ]
    assert same_boxes([b.scaled(4000, 3000) for b in read], boxes, within=0.01)


@pytest.mark.parametrize(
    ("picture", "label", "part", "reference"),
    [
        ("images/train/cam1/a.jpg", "labels/train/cam1/a.txt", "train", "cam1/a.jpg"),
        ("images/a.jpg", "labels/a.txt", None, "a.jpg"),
        ("images/batch 2/a.jpg", "labels/batch 2/a.txt", None, "batch 2/a.jpg"),
        ("valid/images/a.jpg", "valid/labels/a.txt", "val", "a.jpg"),
        ("obj_valid_data/a.jpg", "obj_valid_data/a.txt", "val", "a.jpg"),
    ],
)
def test_the_usual_layouts(
    tmp_path: Path, picture: str, label: str, part: str | None, reference: str
) -> None:
    put(tmp_path / "classes.txt", "hat\nhead\n")
    put(tmp_path / label, LINE)
    file = write_picture(tmp_path / picture, 1)
    (entry,) = yolo.read(tmp_path).entries
    assert (entry.part, entry.reference, entry.file) == (part, reference, file)
    assert entry.boxes == (Box("head", 0.375, 0.375, 0.625, 0.625),)


def test_labels_without_pictures_keep_their_path(tmp_path: Path) -> None:
    put(tmp_path / "classes.txt", "hat\nhead\n")
    put(tmp_path / "labels/train/cam1/a.b.txt", LINE)
    (entry,) = yolo.read(tmp_path).entries
    assert (entry.reference, entry.file) == ("cam1/a.b", None)


def test_classes_come_by_name_from_data_yaml(tmp_path: Path) -> None:
    put(tmp_path / "data.yaml", "path: .\ntrain: train.txt\nnames: {1: head, 0: 'hard: hat'}\n")
    assert yolo.class_names(tmp_path) == ("hard: hat", "head")
    put(tmp_path / "data.yaml", "names: [a, b]\n")
    assert yolo.class_names(tmp_path / "data.yaml") == ("a", "b")


def test_boxes_that_count_neither_way_come_back_as_such(tmp_path: Path) -> None:
    put(tmp_path / "classes.txt", "helmet\nhead\nperson\n")
    put(tmp_path / "labels/train/a.txt", "1 0.5 0.5 0.2 0.2\n")
    put(tmp_path / "ignore/train/a.txt", "2 0.5 0.5 0.4 0.8\n")
    (entry,) = yolo.read(tmp_path).entries
    assert [(box.name, box.ignore) for box in entry.boxes] == [("head", False), ("person", True)]


def test_label_studio_names_its_classes_in_alphabetical_order(tmp_path: Path) -> None:
    put(tmp_path / "classes.txt", "head\nhelmet\n")
    notes = {"categories": [{"id": 1, "name": "helmet"}, {"id": 0, "name": "head"}]}
    put(tmp_path / "notes.json", json.dumps(notes))
    assert yolo.class_names(tmp_path) == ("head", "helmet")
    put(tmp_path / "classes.txt", "helmet\nhead\n")
    with pytest.raises(LabellingError, match=r"notes\.json and classes\.txt name different"):
        yolo.class_names(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "names: {0: a, 2: b}"),
        ("data.yaml", "names: [a, 1]"),
        ("data.yaml", "names: !!python/object/apply:os.system [true]"),
        ("data.yaml", "[1"),
        ("data.yaml", "train: x"),
        ("classes.txt", "a\na\n"),
        ("classes.txt", "\n"),
        ("notes.json", '{"categories": [{"id": 5, "name": "a"}]}'),
        ("notes.json", "{}"),
        ("readme.txt", "a"),
    ],
)
def test_classes_that_cannot_be_told_are_refused(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path / name, text)
    with pytest.raises(LabellingError):
        yolo.class_names(tmp_path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1 0.5 0.5 0.2", "4 values are no box"),
        ("1 0.5 0.5 0.2 0.2 0.9", "6 values are a score: predictions, not labels"),
        ("1 .1 .1 .2 .1 .2 .2 .1 .2", "9 values are no box"),
        ("2 0.5 0.5 0.2 0.2", "class '2', and there are 2 (hat, head), from 0"),
        ("-1 0.5 0.5 0.2 0.2", "class '-1'"),
        ("1.0 0.5 0.5 0.2 0.2", "class '1.0'"),
        ("1 nan 0.5 0.2 0.2", "cx must be a number"),
        ("1 0.5 0.5 0 0.2", "must be relative"),
        ("1 160 90 80 45", "must be relative"),
        ("1 1.5 0.5 0.2 0.2", "must be relative"),
    ],
)
def test_a_broken_line_leaves_its_picture_out(tmp_path: Path, line: str, why: str) -> None:
    put(tmp_path / "classes.txt", "hat\nhead\n")
    put(tmp_path / "labels/a.txt", f"{LINE}\n{line}\n")
    put(tmp_path / "labels/b.txt", LINE)
    found = yolo.read(tmp_path)
    ((where, what, kind),) = whats(found)
    assert (where, kind, len(found.entries)) == ("a.txt:3", Kind.BROKEN, 1)
    assert why in what


def test_an_empty_file_says_nothing_unless_it_is_said_to(tmp_path: Path) -> None:
    put(tmp_path / "classes.txt", "hat\nhead\n")
    write_picture(tmp_path / "images/a.jpg", 1)
    write_picture(tmp_path / "images/b.jpg", 2)
    put(tmp_path / "labels/a.txt", "")
    assert whats(yolo.read(tmp_path)) == [
        ("a.txt", "an empty label file: nobody may have looked", Kind.UNLABELLED),
        ("b.txt", "no label file: nobody may have looked", Kind.UNLABELLED),
    ]
    kept = yolo.read(tmp_path, empty_is_background=True)
    assert [entry.boxes for entry in kept.entries] == [(), ()]


def test_a_listed_picture_without_labels_is_reported(tmp_path: Path) -> None:
    put(tmp_path / "data.yaml", "train: train.txt\nnames: [hat, head]\n")
    put(tmp_path / "train.txt", "data/images/train/a.jpg\ndata/images/train/b.jpg\n")
    put(tmp_path / "labels/train/a.txt", LINE)
    found = yolo.read(tmp_path)
    assert len(found.entries) == 1
    ((_, what, kind),) = whats(found)
    assert (what.split(":")[0], kind) == ("no label file", Kind.UNLABELLED)


def test_label_file_that_is_not_text_or_two_pictures_for_one(tmp_path: Path) -> None:
    put(tmp_path / "classes.txt", "hat\nhead\n")
    put(tmp_path / "labels/a.txt", "").write_bytes(b"\xff\xfe")
    assert whats(yolo.read(tmp_path))[0][1:] == ("not UTF-8 at byte 0", Kind.BROKEN)
    write_picture(tmp_path / "images/b.jpg", 1)
    write_picture(tmp_path / "images/b.png", 2)
    with pytest.raises(LabellingError, match="would share one label file"):
        yolo.read(tmp_path)


def test_a_folder_without_anything_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "classes.txt", "hat\n")
    with pytest.raises(LabellingError, match="neither pictures nor labels"):
        yolo.read(tmp_path)
    with pytest.raises(LabellingError, match="no such folder"):
        yolo.read(tmp_path / "absent" / "deep")


def document(**changes: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": 7, "file_name": "train/a.jpg", "width": WIDTH, "height": HEIGHT},
            {"id": 8, "file_name": "train/b.jpg", "width": WIDTH, "height": HEIGHT},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40], "iscrowd": 0}
        ],
        "categories": [{"id": 3, "name": "head"}, {"id": 1, "name": "hat"}],
        **changes,
    }


def test_coco_boxes_crowds_and_pictures_nobody_may_have_looked_at(tmp_path: Path) -> None:
    path = put(tmp_path / "annotations" / "instances_val.json", json.dumps(document()))
    found = coco.read(tmp_path)
    (entry,) = found.entries
    assert entry.boxes == (Box("head", 10, 20, 40, 60),)
    assert (entry.part, entry.width, entry.reference) == ("val", WIDTH, "train/a.jpg")
    assert found.problems[0].kind is Kind.UNLABELLED
    assert len(coco.read(path, empty_is_background=True).entries) == 2
    crowd = document()
    crowd["annotations"][0]["iscrowd"] = 1
    put(path, json.dumps(crowd))
    assert coco.read(path).entries[0].boxes[0].ignore


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        ({"category_id": 9}, "category_id 9 is no category"),
        ({"category_id": "3"}, "category_id 3 is no category"),
        ({"bbox": [1, 2, 3]}, "bbox has 3 numbers"),
        ({"bbox": [1, 2, "3", 4]}, "finite number"),
        ({"bbox": None}, "must be a list"),
        ({"image_id": 99}, "image_id 99 is no image"),
    ],
)
def test_a_broken_coco_annotation(tmp_path: Path, annotation: dict[str, Any], why: str) -> None:
    whole = document()
    whole["annotations"].append({**whole["annotations"][0], **annotation})
    found = coco.read(put(tmp_path / "a.json", json.dumps(whole)))
    broken = [p for p in found.problems if p.kind is Kind.BROKEN]
    assert [p.where.rpartition(": ")[2] for p in broken] == ["annotations[1]"]
    assert why in broken[0].what
    assert bool(found.entries) == (annotation == {"image_id": 99})


@pytest.mark.parametrize(
    "changes",
    [
        {"images": None},
        {"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
        {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]},
        {"images": [document()["images"][0]] * 2},
    ],
)
def test_a_coco_file_that_cannot_be_told_apart_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(LabellingError, match=r"a\.json"):
        coco.read(put(tmp_path / "a.json", json.dumps(document(**changes))))


def test_a_folder_without_coco_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabellingError, match="no COCO file"):
        coco.read(tmp_path)


def test_our_coco_knows_what_was_looked_at(tmp_path: Path) -> None:
    first = labelled(tmp_path / "a.jpg", 1, (*BOXES, Box("person", 1, 2, 30, 40, ignore=True)))
    second = labelled(tmp_path / "b.jpg", 2, ())
    pictures: list[tuple[LabelledPicture, str, str]] = [
        (first, "a.jpg", "cam/2026-11-22"),
        (second, "b.jpg", "cam/2026-11-23"),
    ]
    path = put(tmp_path / "instances.json", json.dumps(coco.document(pictures, CLASSES)))
    found = coco.read(path)
    assert not found.problems
    assert [entry.sha256 for entry in found.entries] == [first.sha256, second.sha256]
    assert [entry.group for entry in found.entries] == ["cam/2026-11-22", "cam/2026-11-23"]
    assert same_boxes(found.entries[0].boxes, first.boxes, within=1e-9)
    assert found.entries[1].boxes == ()
