"""What Valohai is told of outputs, by the real commands; and that they start from anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from training.dataset import CLASSES
from training.identity import identify
from training.sidecar import describe
from training.train import train

from tests.unit.training.tiny import make
from updater.manifest import (
    MANIFEST_NAME,
    FileEntry,
    InputSpec,
    Manifest,
    OutputSpec,
    Thresholds,
    to_json,
)

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


def call(script: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "script",
    ["prepare.py", "train.py", "export.py", "evaluate.py", "bundle.py", "members.py", "sidecar.py"],
)
def test_a_step_starts_from_any_folder(script: str, tmp_path: Path) -> None:
    done = call(script, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_data_set_becomes_a_version_that_follows_from_its_content(tmp_path: Path) -> None:
    make(tmp_path)
    output = tmp_path / "prepared.tar"
    arguments = ("--data", tmp_path / "data", "--dataset", "prepared", "--tag", "prepared")
    done = call("sidecar.py", output, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "prepared.tar.metadata.json").read_text())
    identity = identify(tmp_path / "data")
    assert told["valohai.dataset-versions"] == [f"dataset://prepared/{identity.version}"]
    assert told["valohai.tags"] == ["prepared"]
    assert "valohai.alias" not in told
    assert (told["val_sha256"], told["train_pictures"]) == (identity.val_sha256, 8)
    assert json.loads(done.stdout)["dataset_version"] == identity.version

    # One label more, and it is another; a file of the same content elsewhere is the same.
    (tmp_path / "data/labels/train/0.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    changed = identify(tmp_path / "data")
    assert changed.version != identity.version
    assert changed.val_sha256 == identity.val_sha256


def test_a_bundle_tells_what_its_manifest_does(tmp_path: Path) -> None:
    manifest = Manifest(
        version="2026.11.23",
        name="test",
        classes=CLASSES,
        input=InputSpec(64, 64),
        output=OutputSpec("head_maps", strides=(8,), anchors=(((1.0, 2.0),),)),
        thresholds=Thresholds(0.35, 0.5),
        files=(FileEntry("model.tflite", 1, "0" * 64),),
        metrics={"val/map50": 0.5},
        provenance={"dataset_version": "0123456789abcdef"},
    )
    (tmp_path / MANIFEST_NAME).write_bytes(to_json(manifest))
    output = tmp_path / "bundle.tar"
    arguments = ("--manifest", tmp_path / MANIFEST_NAME, "--tag", "candidate")
    done = call("sidecar.py", output, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "bundle.tar.metadata.json").read_text())
    assert told["dataset_version"] == "0123456789abcdef"
    assert (told["version"], told["val/map50"]) == ("2026.11.23", 0.5)


def test_a_data_set_without_its_content_is_refused(tmp_path: Path) -> None:
    done = call("sidecar.py", tmp_path / "a.tar", "--dataset", "prepared", cwd=tmp_path)
    assert done.returncode == 2
    assert "--dataset" in done.stderr


def test_an_alias_is_one_name(tmp_path: Path) -> None:
    told = json.loads(describe(tmp_path / "model.zip", alias="model-test").read_text())
    assert told == {"valohai.alias": "model-test", "valohai.tags": []}


def test_training_tells_of_its_outputs_and_leaves_a_report(tmp_path: Path) -> None:
    settings = replace(make(tmp_path), epochs=1)
    train(settings)
    told = json.loads((settings.output / "best.pt.metadata.json").read_text())
    assert told["dataset_version"] == identify(settings.data).version
    assert told["valohai.tags"] == ["model"]
    assert 0 <= told["map50"] <= 1
    assert "seed 1" in told["settings"]
    report = (settings.output / "report.html").read_text()
    assert told["dataset_version"] in report
    assert "losses and mAP50" in report
