"""The loop whole, with a ready-made tiny model in the place of training."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from scripts.labelling.picture import Box
from scripts.looping import archives, faulty
from scripts.looping.narration import Narrator
from scripts.looping.photographs import Photograph
from scripts.looping.plan import ASKED, PROBATION, Plan
from scripts.looping.rounds import Loop
from scripts.looping.valohai import Execution
from tests.support import rtsp
from tests.support.models import CELL, SIZE, scene, write_bundle
from tests.support.users import open_folder
from updater import manifest as manifests
from updater.manifest import MANIFEST_NAME

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
FACTOR = 6
COLOURS, CLASSES = ("red", "yellow"), ("helmet", "head")
PICTURES = 8


def view(folder: Path, camera: int) -> list[Photograph]:
    """Pictures of coloured cells, each at other places."""
    folder.mkdir()
    made = []
    for number in range(PICTURES):
        cells = [
            (name, column * CELL, row * CELL)
            for name, column, row in (
                ("red", (number + camera) % 7, number % 7),
                ("yellow", (3 * number + 5 + camera) % 7, (number + 4) % 7),
            )
        ]
        objects = tuple(
            (name, (float(x), float(y), float(x + CELL), float(y + CELL))) for name, x, y in cells
        )
        path = folder / f"{number}.png"
        Image.fromarray(scene(FACTOR, objects=objects)).save(path)
        boxes = tuple(
            Box(CLASSES[COLOURS.index(name)], *corners).scaled(FACTOR, FACTOR)
            for name, corners in objects
        )
        made.append(Photograph(path, FACTOR * SIZE, FACTOR * SIZE, boxes))
    return made


def ready_made(folder: Path, version: str, **figures: Sequence[float]) -> dict[str, Execution]:
    """What the step ``export`` would have made, without training.

    Args:
        folder: made.
        version: of the bundle.
        figures: mean mAP50, by name of the file that they go into.
    """
    outputs = folder / "valohai/outputs"
    outputs.mkdir(parents=True)
    bundle = write_bundle(folder / "bundle")
    # The model of coloured cells under the classes of ours.
    text = (bundle / MANIFEST_NAME).read_text().replace("red", "helmet").replace("yellow", "head")
    manifest = manifests.from_json(text.encode())
    metrics = {"val/map50": figures["metrics"][-1]}
    manifest = replace(manifest, version=version, metrics=metrics)
    (bundle / MANIFEST_NAME).write_bytes(manifests.to_json(manifest))
    archives.pack(bundle, outputs / "bundle.tar")
    for name, values in figures.items():
        lines = [json.dumps({"step": "evaluate", "map50": value}) for value in values]
        (outputs / f"{name}.jsonl").write_text("\n".join(lines))
    return {"export": Execution("export", 0, folder, "")}


def test_the_loop_closes_with_a_ready_made_model() -> None:
    """Everything but training is the real thing here, too."""
    if missing := rtsp.missing():
        pytest.skip(f"no RTSP server: {missing}")
    with open_folder() as folder:
        work = folder / "work"
        work.mkdir(mode=0o755)
        plan = Plan(
            views=[view(folder / f"view-{camera}", camera) for camera in range(2)],
            first={}, next={},
            captures={"random_per_hour": 3600, "per_minute": 60, "per_hour": 600, "per_day": 600},
            probation={**PROBATION, "seconds": 3.0},
            asked=ASKED,
            fault=faulty.DEAF,
            first_done=ready_made(folder / "first", "1.0", metrics=[0.5], production=[]),
            next_done=ready_made(folder / "next", "1.1", metrics=[0.6], production=[0.5]),
            golden=None,
            frames_per_s=8,
        )  # fmt: skip
        result = Loop(plan, work, Narrator()).run()
    assert len(result.rows) == 2
    for row in result.rows.values():
        assert (row.before, row.after, row.last) == ("1.0", "1.1", "1.1")
        assert row.kept > 0
        assert row.arrived > 0
    assert result.map50 == (0.5, 0.6)


@pytest.mark.shared_data
@pytest.mark.skipif("SITEWATCH_LOOP" not in os.environ, reason="takes minutes: SITEWATCH_LOOP=1")
def test_the_loop_closes(shared_data: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts/loop-demo"], check=False, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads((ROOT / "demo-output/loop/result.json").read_text())
    old, new = result["map50"]
    assert new > old
    assert len(result["rows"]) == 5
