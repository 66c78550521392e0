"""The proof of a bundle, with a real model that sees coloured cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.config import ModelConfig
from daemon.detection.detections import Detections
from daemon.detection.runtime import installed
from daemon.proof import TIMED_RUNS, compare, prove
from tests.support.models import SCENE, write_bundle
from updater.errors import BundleError, ModelError
from updater.manifest import GoldenObject, GoldenPicture

RUNTIMES = [kind.name for kind, _ in installed()]


def wanted(folder: Path, runtime: str = RUNTIMES[0]) -> ModelConfig:
    return ModelConfig(bundle=folder, runtime=runtime, threads=1)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_good_bundle(tmp_path: Path, runtime: str) -> None:
    proof = prove(wanted(write_bundle(tmp_path / "b"), runtime))

    assert proof.failures == ()
    assert (proof.version, proof.runtime, proof.golden) == ("2026.11.22", runtime, 1)
    assert len(proof.invoke_ms) == TIMED_RUNS
    assert proof.resident_bytes > 10_000_000


def test_an_object_that_is_not_found(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", shown=SCENE[:1])
    assert prove(wanted(folder)).failures == (
        "golden/scene.png: no yellow is found at [16, 96, 32, 112]",
    )


def test_an_object_that_is_not_there(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", golden=SCENE[:1])
    (failure,) = prove(wanted(folder)).failures
    assert "a yellow is found (score 0.99" in failure


def test_a_picture_without_anything_must_stay_so(tmp_path: Path) -> None:
    assert prove(wanted(write_bundle(tmp_path / "empty", golden=(), shown=()))).failures == ()
    folder = write_bundle(tmp_path / "found", golden=())
    assert len(prove(wanted(folder)).failures) == 2


def test_a_score_that_is_too_low(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", min_score=0.999)
    failures = prove(wanted(folder)).failures
    assert len(failures) == 2
    assert "under 0.999" in failures[0]


def test_a_model_that_is_too_slow(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", invoke_limit_ms=1e-6)
    (failure,) = prove(wanted(folder)).failures
    assert "and 1e-06 are allowed" in failure
    folder = write_bundle(tmp_path / "c", invoke_limit_ms=60_000)
    assert prove(wanted(folder)).failures == ()


def test_without_golden_pictures_nothing_is_proven(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", with_golden=False)
    assert "nothing is proven" in prove(wanted(folder)).failures[0]


@pytest.mark.parametrize("name", ["model.tflite", "golden/scene.png"])
def test_a_damaged_file(tmp_path: Path, name: str) -> None:
    folder = write_bundle(tmp_path / "b")
    data = bytearray((folder / name).read_bytes())
    data[-5] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match="sha256"):
        prove(wanted(folder))


def test_a_model_of_another_layout_than_the_manifest_says(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", model="yolov5_fraction_int8")
    with pytest.raises(ModelError, match="'head_maps' of the manifest"):
        prove(wanted(folder))


def found(*rows: tuple[int, float, tuple[float, float, float, float]]) -> Detections:
    return Detections(
        boxes=np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
        scores=np.array([row[1] for row in rows], np.float32),
        class_ids=np.array([row[0] for row in rows], np.int32),
        classes=("head", "person"),
        width=100,
        height=100,
        model_version="1",
    )


BOX = (10.0, 10.0, 50.0, 50.0)
GOLDEN = GoldenPicture("g.jpg", (GoldenObject("head", BOX, 0.5),), min_iou=0.6)


@pytest.mark.parametrize(
    ("rows", "differences"),
    [
        ([(0, 0.9, BOX)], 0),
        ([(0, 0.9, BOX), (1, 0.39, BOX)], 0),
        ([(0, 0.9, BOX), (1, 0.4, BOX)], 1),
        ([(0, 0.9, BOX), (0, 0.8, BOX)], 1),
        ([(1, 0.9, BOX)], 2),
        ([(0, 0.9, (10, 10, 50, 30))], 2),
        ([(0, 0.49, BOX)], 1),
        ([], 1),
    ],
)
def test_differences_are_counted(
    rows: list[tuple[int, float, tuple[float, float, float, float]]], differences: int
) -> None:
    assert len(compare(GOLDEN, found(*rows), 0.4)) == differences


def test_a_score_of_just_the_threshold_is_one_too_many() -> None:
    rows = ((0, 0.9, BOX), (1, 0.5, BOX))
    assert len(compare(GOLDEN, found(*rows), 0.5)) == 1
    assert compare(GOLDEN, found(*rows), 0.501) == []


def test_two_objects_do_not_share_a_detection() -> None:
    twice = replace(GOLDEN, objects=GOLDEN.objects * 2)
    assert len(compare(twice, found((0, 0.9, BOX)), 0.4)) == 1
    assert compare(twice, found((0, 0.9, BOX), (0, 0.8, BOX)), 0.4) == []
