from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training import checkpoint
from training.train import TrainSettings, train

from tests.unit.training.tiny import STEPS, make


@pytest.fixture
def settings(tmp_path: Path) -> TrainSettings:
    return replace(make(tmp_path), epochs=2)


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
    assert (first.epoch, first.step) == (2, 2 * STEPS)

    train(replace(settings, epochs=3, resume=True))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["epoch"] for line in lines if "rate" in line] == [3]
    second = checkpoint.load(settings.output / "last.pt")
    assert (second.epoch, second.step) == (3, 3 * STEPS)
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
