from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from training.bundle import expectations, read_figures
from training.card import Card, render
from training.dataset import CLASSES, DatasetError
from training.decode import Found
from training.golden import Scene, scenes

from updater.errors import SelfTestError

PICTURE = np.zeros((100, 100, 3), np.uint8)
SCENE = Scene("one", PICTURE, (("head", (10.0, 10.0, 50.0, 50.0)),))


def found(*rows: tuple[str, float, list[float]]) -> Found:
    return Found(
        np.asarray([box for _, _, box in rows], np.float32).reshape(-1, 4),
        np.asarray([score for _, score, _ in rows], np.float32),
        np.asarray([CLASSES.index(name) for name, _, _ in rows], np.int64),
    )


def test_expectation_is_the_true_box_and_a_share_of_the_score() -> None:
    (wanted,) = expectations(SCENE, found(("head", 0.8, [12, 10, 50, 50])))
    assert wanted.box == (10.0, 10.0, 50.0, 50.0)
    assert wanted.min_score == pytest.approx(0.56)


def test_a_miss_a_wrong_class_and_a_false_alarm_are_refused() -> None:
    with pytest.raises(SelfTestError, match="does not find the head"):
        expectations(SCENE, found())
    with pytest.raises(SelfTestError, match="does not find the head"):
        expectations(SCENE, found(("helmet", 0.9, [10, 10, 50, 50])))
    with pytest.raises(SelfTestError, match=r"person 0\.40"):
        expectations(
            SCENE, found(("head", 0.9, [10, 10, 50, 50]), ("person", 0.4, [60, 60, 90, 90]))
        )


def test_scenes_hold_their_boxes() -> None:
    made = scenes()
    assert len({scene.name for scene in made}) == len(made)
    for scene in made:
        height, width = scene.picture.shape[:2]
        for name, (x1, y1, x2, y2) in scene.objects:
            assert name in CLASSES
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height


def test_figures_are_those_of_model_and_size(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    lines = [
        {"step": "evaluate", "model": "a.tflite", "size_px": 320, "map50": 0.1},
        {"step": "evaluate", "model": "a.tflite", "size_px": 416, "map50": 0.2, "val_sha256": "ab"},
        {"step": "evaluate", "model": "c.tflite", "size_px": 416, "map50": 0.2, "head_map50": None},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    assert read_figures(path, "a.tflite", 416) == ({"val/map50": 0.2}, {"val_sha256": "ab"})
    with pytest.raises(DatasetError, match="no figure for val/head_map50"):
        read_figures(path, "c.tflite", 416)
    with pytest.raises(DatasetError, match="no figures"):
        read_figures(path, "b.tflite", 416)


def test_card_names_every_class_and_the_licence() -> None:
    metrics = {f"val/{name}_{kind}": 0.5 for name in CLASSES for kind in ("map50", "map50_95")}
    card = render(
        Card("1.0", 416, {**metrics, "val/map50": 0.5, "val/map50_95": 0.4}, {"data": "x"})
    )
    assert all(f"| {name} |" in card for name in CLASSES)
    assert "GPL-3.0" in card
