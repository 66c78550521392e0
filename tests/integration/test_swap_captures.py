"""Pictures that two models see differently are kept: a real daemon, two models, a video file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.demonstration import clip
from tests.support.daemon_process import DaemonSetup, Running
from tests.support.releases import HandStore
from tests.support.videos import write_video
from updater import captures as stored
from updater import manifest as manifests
from updater.captures import Sidecar
from updater.trial import read_report

FRAMES = 3000
"""Two minutes at the 25 or so a second that this model is looked at with; a test takes seconds."""

REASON = "model_disagreement"
TURNED = ("head", "helmet", "person")
"""The shipped model's classes with the first two exchanged: bare heads are helmets."""


@pytest.fixture(scope="module")
def staying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare head that never leaves nor moves."""
    scene = np.full((360, 640, 3), 90, np.uint8)
    scene[40:360, 160:480] = np.asarray(clip.portrait().convert("RGB").resize((320, 320)))
    path = tmp_path_factory.mktemp("clips") / "staying.mp4"
    return write_video(path, (scene for _ in range(FRAMES)), rate=10)


@pytest.fixture
def store(tmp_path: Path, bundle: Path) -> HandStore:
    store = HandStore(tmp_path / "models", bundle)
    store.install("1.0")
    return store


@pytest.fixture
def setup(tmp_path: Path, store: HandStore, staying: Path) -> DaemonSetup:
    setup = DaemonSetup(tmp_path, store.current)
    setup.sections["source"] = {"kind": "file", "location": str(staying)}
    setup.sections["motion"] = {"enabled": False}
    setup.sections["swap"] = {"sample_every_s": 0.2}
    setup.sections["captures"] |= {"random_per_hour": 0.0, "per_minute": 100}
    return setup


def wait_for_samples(running: Running, count: int) -> None:
    """Waits until so many frames were compared, all in all."""

    def compared() -> bool:
        trial = read_report(running.status, where="status.json").trial
        return bool(trial and trial.comparison and trial.comparison.samples >= count)

    running.wait_for(compared, f"{count} samples")


def disagreements(setup: DaemonSetup) -> list[Sidecar]:
    """What was kept for that reason."""
    folder = setup.folder / "captures"
    names = stored.complete_names(path.name for path in folder.glob("*"))
    sidecars = [stored.read(folder, name) for name in names]
    return [each for each in sidecars if any(found.reason == REASON for found in each.reasons)]


def test_helmet_against_head_is_kept_once_with_both_models(
    setup: DaemonSetup, store: HandStore, bundle: Path
) -> None:
    with setup.start() as running:
        running.wait_for_frames(3)
        store.try_out(store.add("2.0", classes=TURNED))
        running.wait_for(lambda: bool(disagreements(setup)), "a capture")
        wait_for_samples(running, 6)
        status = running.status
        assert running.stop() == 0
    assert status["frames"]["failed"] == status["frames"]["overtaken"] == 0
    (kept,) = disagreements(setup)  # it is the same in each frame after it
    assert (kept.model.version, kept.model.classes) == ("2.0", TURNED)
    assert kept.other_model == stored.Model("1.0", manifests.read(bundle).classes)
    assert {found.class_name for found in kept.detections} >= {"helmet"}
    (reason,) = kept.reasons
    everything = sum(one.value for one in reason.subjects)
    assert reason.value == kept.value == pytest.approx(everything / (1 + everything), abs=1e-3)
    assert {one.class_name for one in reason.subjects if one.value == 1.0} == {"helmet", "head"}
    picture = setup.folder / "captures" / f"{kept.name}{stored.PICTURE_SUFFIX}"
    assert stored.sha256_of(picture.read_bytes()) == kept.picture.sha256


@pytest.mark.parametrize(
    ("classes", "enabled"), [((), True), (TURNED, False)], ids=["agreeing", "captures off"]
)
def test_nothing_is_kept(
    setup: DaemonSetup, store: HandStore, classes: tuple[str, ...], enabled: bool
) -> None:
    setup.sections["captures"]["enabled"] = enabled
    with setup.start() as running:
        running.wait_for_frames(3)
        store.try_out(store.add("2.0", classes=classes))
        wait_for_samples(running, 4)
        assert running.stop() == 0
    assert disagreements(setup) == []
