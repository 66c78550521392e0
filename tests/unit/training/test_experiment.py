from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from training import checkpoint
from training.checkpoint import Checkpoint
from training.dataset import CLASSES, Boxes, DatasetError, write_boxes
from training.decode import Found
from training.experiment import Experiment, run, trials
from training.floatruntime import device_detector
from training.metrics import average_precision
from training.network import YoloV5s
from training.predict import detect, torch_maps

from daemon.sources.picture import ArrayPicture
from scripts.selection import resample, results
from scripts.selection.results import ALL, BOXES, DEVICE, RANDOM


@pytest.fixture
def network() -> YoloV5s:
    """Untrained; torch's own start makes every score about 0.25."""
    torch.manual_seed(0)
    return YoloV5s(len(CLASSES)).eval()


@pytest.fixture
def experiment(tmp_path: Path, network: YoloV5s) -> Experiment:
    """Twelve tiny pictures to train on, two to evaluate."""
    rng = np.random.default_rng(0)
    for part, number in (("train", 12), ("val", 2)):
        (tmp_path / "data/images" / part).mkdir(parents=True)
        for each in range(number):
            picture = rng.integers(0, 255, (4, 4, 3), np.uint8).repeat(16, 0).repeat(16, 1)
            cv2.imwrite(str(tmp_path / f"data/images/{part}/{part}{each}.png"), picture)
            box = np.asarray([[each % 2, 20, 10, 44, 40]], np.float32)
            write_boxes(tmp_path / f"data/labels/{part}/{part}{each}.txt", box, 64, 64)
    weights = network.state_dict()
    start = tmp_path / "weights.pt"
    checkpoint.save(start, Checkpoint(0, 0, 0.0, 0.0, 0, weights, weights, {}))
    return Experiment(
        data=tmp_path / "data",
        weights=start,
        work=tmp_path / "work",
        results=tmp_path / "results.jsonl",
        start=4,
        counts=(2,),
        size_px=64,
        batch=2,
        start_epochs=1,
        steps=3,
        jobs=1,
    )


def test_a_seed_is_done_once_and_arms_differ_in_pictures_only(experiment: Experiment) -> None:
    run(experiment, [1], controls=True)
    text = experiment.results.read_text()
    by_arm = {each.trial.arm: each for each in results.read(experiment.results)}
    assert {each.trial for each in by_arm.values()} == set(trials(experiment, 1, controls=True))
    assert by_arm[DEVICE].steps == by_arm[RANDOM].steps == 3
    assert sum(by_arm[DEVICE].boxes.values()) == sum(by_arm[RANDOM].boxes.values()) == 2
    assert by_arm[BOXES].boxes["helmet"] + by_arm[BOXES].boxes["head"] == 2
    assert sum(by_arm[ALL].boxes.values()) == 8
    chosen = json.loads((experiment.work / "1-device-2/chosen.json").read_text())
    assert len(set(chosen)) == 2

    run(replace(experiment, weights=Path("gone")), [1], controls=True)
    assert experiment.results.read_text() == text


def test_too_few_photographs_are_an_error(experiment: Experiment) -> None:
    with pytest.raises(DatasetError, match="only 12 photographs"):
        run(replace(experiment, start=11), [1])


def test_the_devices_detector_finds_what_the_networks_own_path_finds(network: YoloV5s) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (64, 64, 3), np.uint8)
    with torch.no_grad():  # untrained, all scores are nearly one: suppression would be a lottery
        for convolution in network.head.m:
            convolution.weight.mul_(100)
    found = device_detector(network, 64, "1").detect(ArrayPicture(picture))
    own = detect(picture, 64, torch_maps(network), 0.15)
    assert len(found) == len(own) > 10
    np.testing.assert_allclose(found.scores, own.scores, atol=1e-4)
    np.testing.assert_allclose(found.boxes[0], own.boxes[0], atol=1e-2)


def test_resampling_starts_from_the_figure_of_the_evaluation() -> None:
    rng = np.random.default_rng(2)
    truth, found = [], []
    for _ in range(30):
        corner = rng.uniform(0, 100, (4, 2))
        boxes = np.concatenate((corner, corner + rng.uniform(10, 30, (4, 2))), 1)
        labels = rng.integers(0, 2, 4)
        truth.append(np.column_stack((labels, boxes)).astype(np.float32))
        near = boxes + rng.normal(0, 3, boxes.shape)
        found.append(
            Found(near.astype(np.float32), rng.random(4, np.float32), labels.astype(np.int64))
        )
    plain = average_precision(truth, found, ("helmet", "head"))

    def of(label: int, rows: list[Boxes]) -> list[Boxes]:
        return [each[each[:, 0] == label][:, 1:] for each in rows]

    for label, name in enumerate(("helmet", "head")):
        matched = resample.match(
            of(label, truth),
            [each.boxes[each.classes == label] for each in found],
            [each.scores[each.classes == label] for each in found],
        )
        again = resample.average_precision(matched, np.ones(30))
        assert again == pytest.approx(plain[name].map50, abs=1e-6)
