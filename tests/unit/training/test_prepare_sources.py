"""``prepare.py`` with several sources: what it writes is what the training reads."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training.dataset import CLASSES, load_examples
from training.network import YoloV5s
from training.prepare import PrepareSettings, add_persons, prepare
from training.pseudo import PseudoRule

from scripts import labels
from scripts.labelling import labelstudio
from scripts.labelling.assemble import AssembleSettings, Assembly, Sample, assemble
from scripts.labelling.captures import read_captures
from scripts.labelling.classes import class_map
from scripts.labelling.dataset import write
from scripts.labelling.picture import Box
from scripts.labelling.pictures import measure
from scripts.labelling.sources import Source
from tests.support.labelled import BOXES, labelled, write_capture, write_picture

ROOT = Path(__file__).resolve().parents[3]


def run(
    script: str, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), *arguments],
        capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": "/usr/bin:/bin", **(variables or {})},
    )  # fmt: skip


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Valohai's inputs: captures, their labels from Label Studio, and a YOLO set."""
    root = tmp_path / "inputs"
    for seed in range(4):
        write_capture(root / "captures", seed, day=20 + seed)
    captures, _ = read_captures(root / "captures", "s3://pictures/site-7")
    tasks = [
        {"id": n, "data": t["data"], "annotations": [{"result": t["predictions"][0]["result"]}]}
        for n, t in enumerate(labelstudio.tasks(captures))
    ]
    (root / "labels").mkdir()
    (root / "labels" / "export.json").write_text(json.dumps([*tasks, {"id": 99}]))
    site = root / "site"
    for number, part in enumerate(("train", "val"), 100):
        write_picture(site / "images" / part / f"{part}.jpg", number)
        (site / "labels" / part).mkdir(parents=True)
        (site / "labels" / part / f"{part}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    (site / "data.yaml").write_text("names: [hat]\n")
    return root


def test_several_sources_on_valohai(inputs: Path, tmp_path: Path) -> None:
    variables = {"VH_INPUTS_DIR": str(inputs), "VH_OUTPUTS_DIR": str(tmp_path / "outputs")}
    arguments = ["--source", "yolo:site", "--source", "label-studio:labels/export.json"]
    options = ["--pictures", str(inputs / "captures"), "--map", "hat=helmet"]
    done = run("prepare.py", *arguments, *options, variables=variables)
    assert done.returncode == 25
    assert "1 of 7 labelled pictures were left out, more than 10%" in done.stderr
    assert "export.json: [4] (task 99): data must be an object" in done.stderr

    done = run("prepare.py", *arguments, *options, "--most-dropped", "0.2", variables=variables)
    assert done.returncode == 0, done.stderr
    (metadata,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert metadata["step"] == "prepare"
    assert metadata["train/pictures"] + metadata["val/pictures"] == 6
    assert metadata["left_out/broken_label"] == 1
    prepared = tmp_path / "outputs" / "prepared"
    assert (prepared / "report.html").stat().st_size > 1000
    examples = [e for part in ("train", "val") for e in load_examples(prepared, part)]
    boxes = np.concatenate([example.boxes for example in examples])
    assert len(examples) == 6
    assert np.bincount(boxes[:, 0].astype(int), minlength=3).tolist() == [2 + 4, 4, 0]


def test_a_plain_folder_goes_alone(tmp_path: Path) -> None:
    done = run("prepare.py", "--source", str(tmp_path), "--source", "coco:x")
    assert (done.returncode, "a plain folder goes alone" in done.stderr) == (2, True)


def test_labels_go_out_and_come_back(inputs: Path, tmp_path: Path) -> None:
    captures = ["--captures", str(inputs / "captures")]
    out = run("labels.py", "out", *captures, "--tool", "label-studio", "--tool", "sama",
              "--address", "s3://pictures/site-7", "--output", str(tmp_path / "tasks"))  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert len(list((tmp_path / "tasks").iterdir())) == 3
    assert json.loads(out.stdout.splitlines()[-1])["prelabels"] == 8

    export = f"label-studio:{inputs / 'labels' / 'export.json'}"
    back = run("labels.py", "back", *captures, "--source", export, "--most-dropped", "0.2",
               "--output", str(tmp_path / "labels"))  # fmt: skip
    assert back.returncode == 0, back.stderr
    first = json.loads(back.stdout.splitlines()[0])
    assert (first["captures"], first["labelled"]) == (4, 4)
    assert first["kept"] == {"head": 4, "helmet": 4}
    assert first["added"] == first["removed"] == first["relabelled"] == {}

    done = run("prepare.py", "--source", f"coco:{tmp_path / 'labels'}",
               "--output", str(tmp_path / "prepared"))  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_both_scripts_know_the_same_classes() -> None:
    assert labels.CLASSES == CLASSES


def test_persons_replace_those_that_were_labelled_and_only_where_asked(tmp_path: Path) -> None:
    boxes = (*BOXES, Box("person", 200, 10, 300, 170))
    made = []
    for number, form in enumerate(("plain", "persons")):
        picture = labelled(tmp_path / f"{form}.jpg", number, boxes)
        source = Source("yolo", tmp_path, add_persons=form == "persons")
        made.append(Sample(picture, measure(picture.path), "train", "g", source, "w", fixed=True))
    assembly = Assembly(tuple(made), (), {})
    weights = tmp_path / "weights.npz"
    network = YoloV5s(80)
    np.savez(weights, **{name: v.numpy() for name, v in network.state_dict().items()})
    # Nothing has a score above 1: what was labelled as a person goes, and nothing comes.
    nothing = PseudoRule(label=2.0, label_with_head=2.0, ignore=1.5)
    plain, persons = add_persons(assembly, weights, nothing).samples
    assert plain.picture.boxes == boxes
    assert persons.picture.boxes == BOXES
    assert replace(persons, picture=made[1].picture) == made[1]


def test_persons_are_added_as_with_a_plain_folder(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    photographs = sorted((shared_data / "hardhat" / "images" / "val").glob("*"))[:3]
    for photograph in photographs:
        label = shared_data / "hardhat" / "labels" / "val" / f"{photograph.stem}.txt"
        for kind, file in (("images", photograph), ("labels", label)):
            place = source / kind / "train" / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    (source / "classes.txt").write_text("\n".join(CLASSES))
    weights = shared_data / "weights" / "yolov5s_v6.0_coco.npz"
    prepare(PrepareSettings(source, weights, tmp_path / "plain", parts=("train",)))
    assembly = assemble(
        AssembleSettings(
            (Source("yolo", source, add_persons=True),), class_map(CLASSES, ["person=-"])
        )
    )
    write(add_persons(assembly, weights, PseudoRule()), CLASSES, tmp_path / "several")
    plain = {
        hashlib.sha256(e.picture.tobytes()).digest(): e
        for e in load_examples(tmp_path / "plain", "train")
    }
    several = load_examples(tmp_path / "several", "train")
    assert len(several) == len(plain) == 3
    for example in several:
        expected = plain[hashlib.sha256(example.picture.tobytes()).digest()]
        assert (expected.boxes[:, 0] == 2).any()
        assert np.abs(example.boxes - expected.boxes).max() < 0.01
