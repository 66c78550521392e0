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
from training.dataset import CLASSES, write_boxes
from training.network import YoloV5s
from training.train import TrainSettings, train


@pytest.fixture
def settings(tmp_path: Path) -> TrainSettings:
    """Four tiny pictures a part, and an untrained network to start from."""
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        (tmp_path / "data" / "images" / part).mkdir(parents=True)
        for number in range(4):
            picture = rng.integers(0, 80, (60, 64, 3), np.uint8)
            picture[10:40, 20:44] = 250
            cv2.imwrite(str(tmp_path / "data" / "images" / part / f"{number}.png"), picture)
            box = np.asarray([[0, 20, 10, 44, 40]], np.float32)
            write_boxes(tmp_path / "data" / "labels" / part / f"{number}.txt", box, 64, 60)
    torch.manual_seed(0)
    weights = YoloV5s(len(CLASSES)).state_dict()
    start = tmp_path / "start.pt"
    checkpoint.save(start, Checkpoint(0, 0, 0.0, 0.0, 0, weights, weights, {}))
    return TrainSettings(
        data=tmp_path / "data",
        weights=start,
        output=tmp_path / "run",
        epochs=2,
        batch=2,
        warmup_steps=1,
        evaluate_every=1,
        evaluate_px=64,
        sizes_px={64: 1.0},
    )


def test_a_run_reports_in_json_lines_and_can_be_resumed(
    settings: TrainSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["epoch"] for line in lines if "rate" in line] == [1, 2]
    data, *others = [line for line in lines if "rate" not in line]
    assert (data["step"], len(data["train_sha256"]), len(data["val_sha256"])) == ("data", 64, 64)
    assert all("head_map50" in line for line in others)
    first = checkpoint.load(settings.output / "last.pt")
    assert (first.epoch, first.step) == (2, 4)

    train(replace(settings, epochs=3, resume=True))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["epoch"] for line in lines if "rate" in line] == [3]
    second = checkpoint.load(settings.output / "last.pt")
    assert (second.epoch, second.step) == (3, 6)
    assert second.elapsed_s > first.elapsed_s
    assert not torch.equal(
        first.network["model.0.conv.weight"], second.network["model.0.conv.weight"]
    )


def test_a_time_budget_that_is_used_up_ends_the_run_after_its_first_epoch(
    settings: TrainSettings,
) -> None:
    train(replace(settings, epochs=500, budget_s=0.001))
    assert not (settings.output / "last.pt").exists() or (
        checkpoint.load(settings.output / "last.pt").epoch <= 1
    )
