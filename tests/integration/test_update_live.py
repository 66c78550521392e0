"""Updates while a daemon watches: the shipped model, real frames, and models that are worse.

A bare-headed person (scikit-image's portrait of an astronaut, public domain) walks to and fro; what
the models say about her is what they say about anybody.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.demonstration import clip
from tests.support.daemon_process import DaemonSetup, Running
from tests.support.rights import public_folder
from tests.support.updating import Device
from tests.support.videos import make_video
from updater import manifest as manifests
from updater.bundle import list_files
from updater.manifest import MANIFEST_NAME, MODEL_NAME, Manifest, Thresholds

pytestmark = pytest.mark.once

FRAMES = 3000
"""Two minutes at the 25 or so a second that this model is looked at with."""

WIDTH, HEIGHT = 640, 360
STEP_PX = 4
QUIET_GOLDEN = "golden/nobody.jpg"
"""The one golden picture that a blind model passes: nobody is on it."""


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of the person walking to and fro."""
    portrait = clip.portrait().resize((HEIGHT * 10 // 11, HEIGHT))
    span = WIDTH - portrait.width
    pictures = []
    for number in range(2 * span // STEP_PX):
        canvas = Image.new("RGB", (WIDTH, HEIGHT), (150, 150, 145))
        at = (number * STEP_PX) % (2 * span)
        canvas.paste(portrait, (min(at, 2 * span - at), 0))
        pictures.append(np.asarray(canvas))
    path = tmp_path_factory.mktemp("walk") / "walk.mp4"
    repeated = [pictures[number % len(pictures)] for number in range(FRAMES)]
    return make_video(path, rate=25, pictures=repeated, options=None)


@pytest.fixture
def device(bundle: Path) -> Iterator[Device]:
    """A device on which the shipped model is committed."""
    with public_folder() as folder:
        device = Device(folder)
        device.sections["probation"] = {"seconds": 3, "frames": 30, "timeout_s": 120}
        answer = device.run("install", device.packed(bundle, "1.0"), "--offline")
        assert answer.code == 0, answer.err
        yield device


def daemon(device: Device, walk: Path) -> DaemonSetup:
    """The daemon of that device, to be started."""
    setup = DaemonSetup(device.folder, device.current)
    setup.sections["source"] = {"kind": "file", "location": str(walk)}
    setup.sections["motion"] = {"enabled": False}
    setup.sections["captures"]["enabled"] = False
    setup.sections["swap"] = {"sample_every_s": 0.1}
    return setup


@pytest.fixture
def running(device: Device, walk: Path) -> Iterator[Running]:
    """The daemon on that device, watching."""
    with daemon(device, walk).start("--print-alerts") as running:
        running.wait_for_frames(3)
        yield running


def changed(bundle: Path, folder: Path, *, model: bytes | None = None, **changes: Any) -> Path:
    """The shipped bundle with another model or other fields; it is packed and signed later."""
    folder.mkdir()
    for entry in manifests.read(bundle).files:
        target = folder / entry.path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((bundle / entry.path).read_bytes())
    if model is not None:
        (folder / MODEL_NAME).write_bytes(model)
    manifest = replace(manifests.read(bundle), files=list_files(folder), **changes)
    (folder / MANIFEST_NAME).write_bytes(manifests.to_json(manifest))
    return folder


def shuffled(model: bytes) -> bytes:
    """The model with the bytes of its weights in another order: it loads, and means nothing."""
    content = bytearray(model)
    chance = random.Random(20261122)
    middle, block = len(content) // 2, 1 << 20
    weights = list(content[middle : middle + 2 * block])
    chance.shuffle(weights)
    content[middle : middle + 2 * block] = bytes(weights)
    return bytes(content)


def only_quiet_golden(bundle: Path) -> dict[str, Any]:
    """Golden pictures that a careless maker might choose: nothing is to be found on them."""
    golden = manifests.read(bundle).golden
    return {"golden": tuple(each for each in golden if each.file == QUIET_GOLDEN)}


def assert_back(device: Device, running: Running) -> None:
    """The device and its daemon are on the old model."""
    status = device.status()
    assert (status["current"]["version"], status["current"]["state"]) == ("1.0", "committed")
    running.wait_for(lambda: running.status["model_version"] == "1.0", "the old model is back")
    assert running.process.poll() is None


def test_a_good_model_is_committed_without_a_missed_frame(
    device: Device, running: Running, bundle: Path
) -> None:
    answer = device.run("install", device.packed(bundle, "1.1"))
    assert (answer.code, answer.last_line) == (0, "1.1 is committed; it replaces 1.0"), answer.err
    status = running.status
    assert status["model_version"] == "1.1"
    assert status["frames"]["failed"] == 0
    assert status["frames"]["overtaken"] == 0
    assert device.status()["current"]["state"] == "committed"


def test_shuffled_weights_do_not_pass_the_self_test(
    device: Device, running: Running, bundle: Path
) -> None:
    model = shuffled((bundle / MODEL_NAME).read_bytes())
    bad = device.packed(changed(bundle, device.folder / "work", model=model), "1.1")
    answer = device.run("install", bad)
    assert answer.code == 9
    assert "golden/" in answer.last_line
    assert_back(device, running)


def test_swapped_classes_do_not_pass_the_self_test(
    device: Device, running: Running, bundle: Path
) -> None:
    classes = manifests.read(bundle).classes
    swapped = changed(bundle, device.folder / "work", classes=(classes[1], classes[0], classes[2]))
    answer = device.run("install", device.packed(swapped, "1.1"))
    assert answer.code == 9
    assert_back(device, running)


def test_a_threshold_that_lets_everything_through_does_not_pass_the_self_test(
    device: Device, bundle: Path
) -> None:
    iou = manifests.read(bundle).thresholds.iou
    loud = changed(bundle, device.folder / "work", thresholds=Thresholds(0.01, iou))
    answer = device.run("install", device.packed(loud, "1.1"))
    assert answer.code == 9
    assert "that is not there" in answer.last_line
    assert device.status()["current"]["version"] == "1.0"


@pytest.mark.parametrize("damage", ["weights", "classes", "deaf"])
def test_what_the_golden_pictures_let_through_is_rolled_back_on_probation(
    device: Device, running: Running, bundle: Path, damage: str
) -> None:
    """The same faults where the bundle's own pictures do not show them: the daemon does."""
    found: Manifest = manifests.read(bundle)
    changes = only_quiet_golden(bundle)
    reason = "objects that its predecessor was sure of"
    if damage == "weights":
        changes["model"] = shuffled((bundle / MODEL_NAME).read_bytes())
    elif damage == "classes":
        changes["classes"] = (found.classes[2], found.classes[0], found.classes[1])
    else:
        changes["thresholds"] = Thresholds(0.999, found.thresholds.iou)
    bad = changed(bundle, device.folder / "work", **changes)
    answer = device.run("install", device.packed(bad, "1.1"))
    assert answer.code == 13, answer.err
    assert answer.last_line.startswith("sitewatch-update: 1.1: rolled back to 1.0: it finds ")
    assert reason in answer.last_line
    assert_back(device, running)
    again = device.run("install", device.folder / "1.1.zip")
    assert again.code == 10
    assert reason in again.last_line


def test_every_event_names_the_model_that_saw_it(
    device: Device, running: Running, bundle: Path
) -> None:
    device.run("install", device.packed(bundle, "1.1"))
    running.stop()
    lines = [json.loads(line) for line in (device.folder / "out").read_text().splitlines()]
    versions = [line["model_version"] for line in lines if "model_version" in line]
    assert set(versions) == {"1.0", "1.1"}
    assert versions == sorted(versions), "no event of the old model after the first of the new one"


def test_rolled_back_by_hand_in_the_middle(device: Device, running: Running, bundle: Path) -> None:
    device.sections["probation"] = {"seconds": 100, "frames": 30, "timeout_s": 120}
    second = device.packed(bundle, "1.1")
    install = device.start("install", second)
    running.wait_for(lambda: running.status["model_version"] == "1.1", "the new model runs")
    answer = device.run("rollback")
    assert answer.code == 0, answer.err
    _, said = install.communicate(timeout=120)
    assert install.returncode == 13
    assert "1.1: rolled back to 1.0: rolled back by hand" in said
    assert_back(device, running)
    digest = hashlib.sha256((device.current / MANIFEST_NAME).read_bytes()).hexdigest()
    running.wait_for(lambda: running.status["model_digest"] == digest, "the digest is told")


def test_installed_without_a_daemon_the_next_start_decides(
    device: Device, walk: Path, bundle: Path
) -> None:
    """As after a reboot in the flow: ``wait`` is its later step."""
    answer = device.run("install", device.packed(bundle, "1.1"), "--no-wait")
    assert (answer.code, device.status()["current"]["state"]) == (0, "on_probation")
    with daemon(device, walk).start() as running:
        running.wait_for_frames(3)
        verdict = device.run("wait", "--timeout", "100")
        assert (verdict.code, verdict.last_line) == (0, "1.1 is committed; it replaces 1.0")
        assert running.status["model_version"] == "1.1"
