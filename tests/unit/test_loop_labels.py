"""The loop's photographs, what cameras make of them, and whoever labels what the cameras kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from scripts.labelling import labelstudio
from scripts.labelling.picture import Box, same_boxes
from scripts.looping import cameras, photographs
from scripts.looping.annotator import (
    Annotator,
    InLabelStudio,
    StandIn,
    Truth,
    UnknownPictureError,
)
from scripts.looping.photographs import Photograph
from tests.support import label_studio
from tests.support.labelled import CLASSES, scene, write_picture
from updater.errors import UsageError

pytestmark = pytest.mark.once

BOXES = (Box("head", 10.25, 20.5, 40.75, 61.0), Box("helmet", 100.0, 5.0, 131.3, 44.9))


def photograph(folder: Path, seed: int) -> Photograph:
    return Photograph(write_picture(folder / f"{seed}.jpg", seed), 320, 180, BOXES)


@pytest.mark.parametrize("real", [False, True], ids=["stand-in", "Label Studio"])
def test_the_truth_is_drawn_where_the_camera_shows_it(tmp_path: Path, real: bool) -> None:
    shown = [photograph(tmp_path, seed) for seed in range(6)]
    kept = {}
    for seed in (4, 1):
        path = tmp_path / f"kept-{seed}.jpg"
        cameras.shown(shown[seed]).save(path, "JPEG", quality=60)  # as after a camera and a disk
        kept[f"s3://pictures/{path.name}"] = path
    tasks = tmp_path / "label-studio-tasks.json"
    tasks.write_text(
        json.dumps([{"data": {"image": one}, "predictions": [{"result": []}]} for one in kept])
    )
    config = labelstudio.labelling_config(CLASSES)
    (tmp_path / "label-studio-config.xml").write_text(config)
    truth = Truth(shown, tmp_path / "truth")
    annotator: Annotator = StandIn(truth)
    if real:
        if "SITEWATCH_LABEL_STUDIO" not in os.environ or label_studio.missing():
            pytest.skip("starts a server: SITEWATCH_LABEL_STUDIO=1, setup-cloud --label-studio")
        annotator = InLabelStudio(truth, tmp_path / "server")
    export = tmp_path / "export.json"
    export.write_text(annotator.label(tasks, kept))
    reading = labelstudio.read(export)
    assert not reading.problems
    at = cameras.place(320, 180)
    moved = [
        Box(b.name, b.x1 + at.left, b.y1 + at.top, b.x2 + at.left, b.y2 + at.top) for b in BOXES
    ]
    for entry in reading.entries:
        assert (entry.width, entry.height) == (cameras.SIDE_PX, cameras.SIDE_PX)
        back = [box.scaled(cameras.SIDE_PX, cameras.SIDE_PX) for box in entry.boxes]
        assert same_boxes(back, moved, within=0.01)
    assert len(reading.entries) == 2


def test_a_picture_that_no_camera_was_shown_is_not_guessed(tmp_path: Path) -> None:
    truth = Truth([photograph(tmp_path, seed) for seed in range(3)], tmp_path / "truth")
    stranger = tmp_path / "stranger.png"
    canvas = Image.new("RGB", (cameras.SIDE_PX, cameras.SIDE_PX), cameras.GREY)
    canvas.paste(scene(99), (48, 118))
    canvas.save(stranger)
    with pytest.raises(UnknownPictureError, match="looks like no photograph"):
        truth(stranger)


def test_no_photograph_is_dealt_twice(tmp_path: Path) -> None:
    every = [Photograph(tmp_path / f"{n}.jpg", 1, 1, ()) for n in range(20)]
    dealt = photographs.deal(every, start=5, cameras=3, each=4)
    used = [*dealt.start, *(one for view in dealt.cameras for one in view)]
    assert len(used) == len(set(used)) == 17
    assert [len(view) for view in dealt.cameras] == [4, 4, 4]
    with pytest.raises(UsageError, match="21 photographs are needed, and there are 20"):
        photographs.deal(every, start=5, cameras=4, each=4)


def test_a_copied_set_reads_alike(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for seed in range(4):
        write_picture(source / f"images/train/{seed}.jpg", seed)
        label = source / f"labels/train/{seed}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.4 0.8\n")
    (source / "data.yaml").write_text("names: {0: helmet, 1: head, 2: person}\n")
    found = photographs.read(source, "train")
    assert {one.boxes[0].name for one in found} == {"helmet"}
    assert {len(one.boxes) for one in found} == {1}  # persons are not to be relied on there
    photographs.write_set(found[:2], "train", source, tmp_path / "copy")
    again = photographs.read(tmp_path / "copy", "train")
    assert [one.path.name for one in again] == [one.path.name for one in found[:2]]
