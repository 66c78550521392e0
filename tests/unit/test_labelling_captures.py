"""Captures become tasks of every tool; what comes back is the same picture of the same group."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from scripts.labelling import coco, labelbox, labelstudio, sama
from scripts.labelling.assemble import AssembleSettings, assemble
from scripts.labelling.captures import Capture, key_of, parse_key, read_captures
from scripts.labelling.classes import class_map
from scripts.labelling.picture import Box, same_boxes
from scripts.labelling.problems import Kind, LabellingError
from scripts.labelling.sources import Source
from scripts.labelling.way_back import write_labels
from scripts.labelling.way_out import TOOLS, WayOut, write_tasks
from tests.support.labelled import BOXES, CLASSES, write_capture
from updater.errors import UsageError

ADDRESS = "https://pictures.s3.eu-central-1.amazonaws.com/site-7"


def captured(root: Path) -> list[Capture]:
    write_capture(root, 1)
    write_capture(root, 2, device="cam-2", day=23, boxes=())
    edge = (Box("head", -40, 10, 60, 90, score=0.9), Box("person", 400, 10, 500, 90, score=0.9),
            Box("helmet", 5, 5, 50, 50, score=0.1))  # fmt: skip
    write_capture(root, 3, boxes=edge)
    found, problems = read_captures(root, ADDRESS, least_score=0.2)
    assert not problems
    return found


def test_captures_are_read_from_a_copy_of_the_bucket(tmp_path: Path) -> None:
    found = {capture.name[:10]: capture for capture in captured(tmp_path)}
    first = found["0000000001"]
    assert first.address.startswith(f"{ADDRESS}/cam-1/2026/11/22/0000000001-20261122T080000Z-")
    assert first.group == "cam-1/2026-11-22"
    assert same_boxes(first.picture.boxes, BOXES)
    assert [box.corners for box in found["0000000003"].picture.boxes] == [(0, 10, 60, 90)]


def test_captures_that_are_damaged_are_reported(tmp_path: Path) -> None:
    cut, other, wrong = (write_capture(tmp_path, n) for n in (1, 2, 3))
    cut.write_bytes(cut.read_bytes()[:2000])
    write_capture(tmp_path / "elsewhere", 9).replace(other)
    wrong.with_suffix(".json").write_text("{}")
    (tmp_path / "limits.json").write_text("{}")
    twin = write_capture(tmp_path, 4)
    for suffix in (".jpg", ".json"):
        copy = tmp_path / "copy" / twin.with_suffix(suffix).name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(twin.with_suffix(suffix).read_bytes())
    found, problems = read_captures(tmp_path, ADDRESS)
    assert [capture.name[:10] for capture in found] == ["0000000004"]
    assert sorted(problem.kind.value for problem in problems) == sorted(
        [Kind.BROKEN, Kind.UNREADABLE, Kind.UNREADABLE, Kind.UNREADABLE, Kind.DUPLICATE]
    )
    with pytest.raises(LabellingError, match="no such folder"):
        read_captures(tmp_path / "absent", ADDRESS)


def test_a_key_says_camera_day_and_content(tmp_path: Path) -> None:
    for capture in captured(tmp_path):
        key = key_of(capture)
        assert "/" not in key
        parsed = parse_key(key)
        assert parsed is not None
        assert (parsed.group, parsed.sha256) == (capture.group, capture.picture.sha256)
    assert parse_key("cam/a.jpg") is None


def test_labelbox_takes_https_alone_and_the_same_ids_each_time(tmp_path: Path) -> None:
    found = captured(tmp_path)
    assert list(labelbox.mal_lines(found)) == list(labelbox.mal_lines(found))
    ids = [line["uuid"] for line in labelbox.mal_lines(found)]
    assert len(set(ids)) == len(ids) == 3
    with pytest.raises(UsageError, match="https address"):
        labelbox.data_rows(read_captures(tmp_path, "s3://pictures/site-7")[0])


def test_sama_takes_a_thousand_tasks_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sama, "TASKS_MAX", 2)
    files = write_tasks("sama", captured(tmp_path), tmp_path / "out", WayOut(CLASSES))
    assert [len(json.loads(path.read_text())["tasks"]) for path in files] == [2, 1]


def test_label_studio_shows_the_least_certain_first_and_escapes_names(tmp_path: Path) -> None:
    tasks = labelstudio.tasks(captured(tmp_path))
    assert sorted(task["predictions"][0].get("score", -1.0) for task in tasks) == [-1.0, 0.5, 0.9]
    config = ElementTree.fromstring(labelstudio.labelling_config(['a"<b', "c'd\""]))
    assert [label.get("value") for label in config.iter("Label")] == ['a"<b', "c'd\""]


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_has_its_files(tool: str, tmp_path: Path) -> None:
    files = write_tasks(tool, captured(tmp_path / "in"), tmp_path / "out", WayOut(CLASSES))
    assert files
    assert all(path.stat().st_size for path in files)


def delivered(tasks: list[dict[str, object]]) -> str:
    """Sama's tasks as they were sent: nobody changed a pre-label."""
    return json.dumps({"tasks": [{"id": str(n), **task} for n, task in enumerate(tasks)]})


def studio_export(tasks: list[dict[str, object]]) -> str:
    """Label Studio's tasks with every prediction accepted."""
    made = [
        {"id": n, "data": task["data"], "annotations": task["predictions"]}
        for n, task in enumerate(tasks)
    ]
    return json.dumps(made)


def test_tasks_that_come_back_find_their_pictures_under_any_name(tmp_path: Path) -> None:
    captures = captured(tmp_path / "in")
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number, capture in enumerate(captures):
        (renamed / f"{number}.jpg").write_bytes(capture.picture.path.read_bytes())
    exports = {
        "sama": delivered(sama.tasks(captures)),
        "label-studio": studio_export(labelstudio.tasks(captures)),
    }
    for form, text in exports.items():
        path = tmp_path / form / "export.json"
        path.parent.mkdir()
        path.write_text(text)
        found = assemble(
            AssembleSettings((Source(form, path),), class_map(CLASSES, ()), (renamed,))
        )
        assert not found.problems
        expected = {c.picture.sha256: (c.group, c.picture.boxes) for c in captures}
        for sample in found.samples:
            group, boxes = expected.pop(sample.picture.sha256)
            assert sample.group == group
            assert same_boxes(sample.picture.boxes, boxes, within=1e-6)
        assert not expected
        out = tmp_path / form / "labels"
        read = coco.read(write_labels(found, CLASSES, out))
        assert not read.problems
        assert {entry.group for entry in read.entries} == {c.group for c in captures}
        with pytest.raises(LabellingError, match="is not empty"):
            write_labels(found, CLASSES, out)
