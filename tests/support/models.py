"""The tiny models of ``tests/fixtures/models`` and what they are meant to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from daemon.config import ModelConfig
from daemon.frames import RgbImage
from updater.bundle import list_files
from updater.manifest import (
    MANIFEST_NAME,
    MODEL_NAME,
    GoldenObject,
    GoldenPicture,
    InputSpec,
    Manifest,
    OutputSpec,
    Thresholds,
    to_json,
)

FOLDER = Path(__file__).parent.parent / "fixtures" / "models"
SIZE = 64
CLASSES = ("red", "yellow")
RED = (255, 0, 0)
YELLOW = (255, 255, 0)
GREY = 114
CELL = 8

STRIDES = (8, 16, 32)
ANCHORS = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)

Corners = tuple[float, float, float, float]

SCENE: tuple[tuple[str, Corners], ...] = (
    ("red", (40.0, 16.0, 48.0, 24.0)),
    ("yellow", (8.0, 48.0, 16.0, 56.0)),
)


def scene(factor: int = 1, *, objects: tuple[tuple[str, Corners], ...] = SCENE) -> RgbImage:
    """A grey square picture with coloured cells on it, ``factor`` times as large as the input."""
    rgb = np.full((SIZE, SIZE, 3), GREY, np.uint8)
    for name, (x1, y1, x2, y2) in objects:
        rgb[int(y1) : int(y2), int(x1) : int(x2)] = RED if name == "red" else YELLOW
    return rgb.repeat(factor, 0).repeat(factor, 1)


def labels(folder: Path) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(CLASSES) + "\n")
    return path


def config(
    folder: Path, name: str = "head_maps_int8", *, runtime: str = "litert", threads: int = 1
) -> ModelConfig:
    """A bare model; ``folder`` takes its labels.

    Its parent, which pytest makes once a session, keeps what was measured, so that each model is
    tried in a process of its own only once.
    """
    return ModelConfig(
        bundle=FOLDER / f"{name}.tflite",
        labels=labels(folder),
        runtime=runtime,
        threads=threads,
        runtime_cache=folder.parent / "runtime.json",
    )


def write_bundle(
    folder: Path,
    *,
    model: str = "head_maps_int8",
    golden: tuple[tuple[str, Corners], ...] = SCENE,
    shown: tuple[tuple[str, Corners], ...] = SCENE,
    min_score: float = 0.5,
    invoke_limit_ms: float = 0.0,
    minimum_daemon: str = "0.1.0",
    with_golden: bool = True,
) -> Path:
    """A complete bundle whose golden picture shows ``shown`` and promises ``golden``."""
    (folder / "golden").mkdir(parents=True)
    (folder / MODEL_NAME).write_bytes((FOLDER / f"{model}.tflite").read_bytes())
    Image.fromarray(scene(2, objects=shown)).save(folder / "golden/scene.png")
    wanted = tuple(
        GoldenObject(name, (2 * x1, 2 * y1, 2 * x2, 2 * y2), min_score)
        for name, (x1, y1, x2, y2) in golden
    )
    manifest = Manifest(
        version="2026.11.22",
        name="coloured cells",
        classes=CLASSES,
        input=InputSpec(SIZE, SIZE),
        output=OutputSpec("head_maps", strides=STRIDES, anchors=ANCHORS),
        thresholds=Thresholds(0.4, 0.5),
        files=list_files(folder),
        golden=(GoldenPicture("golden/scene.png", wanted),) if with_golden else (),
        invoke_limit_ms=invoke_limit_ms,
        minimum_daemon=minimum_daemon,
    )
    (folder / MANIFEST_NAME).write_bytes(to_json(manifest))
    return folder
