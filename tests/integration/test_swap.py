"""The daemon changes its model under a live camera: a real process, stream, store and model."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.benchmarks.latency import people
from tests.benchmarks.memory import resident_mb
from tests.support.daemon_process import DaemonSetup, Running
from tests.support.releases import HandStore
from tests.support.rtsp import RtspServer, missing
from updater.manifest import MODEL_NAME
from updater.trial import Trial, read_report

FRAMES_PER_SECOND = 2
"""Few: a camera's frame that a busy machine overtakes says nothing about us. How much time a change
leaves at 5, 10 and 30 frames a second is a benchmark's matter (``tests/benchmarks/swap.py``)."""

ONE_MODEL_SLACK_MB = 20.0
"""Of the 50 that a second model takes; pictures and snapshots come and go within it."""


@pytest.fixture(scope="module", autouse=True)
def _server_can_run() -> None:
    reason = missing()
    if reason:
        pytest.skip(f"no RTSP server: {reason}")


def camera(folder: Path, picture: Image.Image) -> RtspServer:
    path = folder / "scene.jpg"
    picture.save(path, quality=92)
    rate = ("--size", "640x360", "--rate", str(FRAMES_PER_SECOND))
    return RtspServer(options=("--picture", str(path), *rate))


@pytest.fixture
def somebody(tmp_path: Path) -> Iterator[RtspServer]:
    """A camera that shows one bare-headed person."""
    with camera(tmp_path, people(1)) as running:
        yield running


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[RtspServer]:
    """A camera that shows a bare wall."""
    with camera(tmp_path, Image.new("RGB", (1280, 720), (150, 150, 145))) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path, bundle: Path) -> HandStore:
    store = HandStore(tmp_path / "models", bundle)
    store.install("1.0")
    return store


@dataclass(frozen=True)
class Site:
    """A store, and a daemon that is configured with it."""

    store: HandStore
    setup: DaemonSetup

    @property
    def frames(self) -> list[tuple[int, str]]:
        """Number of each frame of the run that has ended, and the version that looked at it."""
        lines = (self.setup.folder / "trace").read_text().splitlines()
        return [(int(number), version) for number, _, version in map(str.split, lines)]


@pytest.fixture
def site(tmp_path: Path, store: HandStore) -> Site:
    trace = str(tmp_path / "trace")
    setup = DaemonSetup(tmp_path, store.current, program=("tests.support.traced_daemon", trace))
    setup.sections["swap"] = {"sample_every_s": 0.5}
    setup.sections["rules"] = {"update_every_s": 0.5, "confirm_s": 0.0}
    setup.sections["captures"]["enabled"] = False
    return Site(store, setup)


def watch(site: Site, server: RtspServer) -> Running:
    """A daemon that has looked at some frames."""
    site.setup.sections["source"] = {
        "kind": "rtsp",
        "location": server.url,
        "frames_per_second": FRAMES_PER_SECOND,
    }
    running = site.setup.start("--print-alerts")
    running.wait_for_frames(5)
    return running


def trial_of(running: Running) -> Trial | None:
    """As the updater reads it."""
    return read_report(running.status, where="status.json").trial


def wait_for_version(running: Running, version: str) -> None:
    running.wait_for(lambda: running.status["model_version"] == version, version)


def wait_for_samples(running: Running, count: int = 3) -> Trial:
    """Waits until frames were compared, and returns the figures."""

    def compared() -> bool:
        trial = trial_of(running)
        return bool(trial and trial.comparison and trial.comparison.samples >= count)

    running.wait_for(compared, f"{count} samples")
    trial = trial_of(running)
    assert trial is not None
    return trial


def wait_for_the_end_of_the_trial(running: Running) -> None:
    running.wait_for(lambda: trial_of(running) is None, "the end of the trial")


def updates_since(running: Running, seen: int) -> list[dict[str, Any]]:
    """Events beyond the first so many."""
    return [json.loads(line) for line in running.out.splitlines()[seen:]]


def runs_of(versions: list[str]) -> list[str]:
    return [version for version, _ in itertools.groupby(versions)]


def test_models_change_and_no_frame_is_missed(site: Site, somebody: RtspServer) -> None:
    with watch(site, somebody) as running:
        running.wait_for(lambda: '"start"' in running.out, "an alert")
        before_mb = resident_mb(running.process.pid)
        release = site.store.add("2.0")
        site.store.try_out(release)
        wait_for_version(running, "2.0")
        report = read_report(running.status, where="status.json")
        assert report.pid == running.process.pid
        assert report.model_digest == release.digest
        trial = wait_for_samples(running)
        assert trial.running
        assert trial.digest == release.digest
        assert trial.failed == 0
        assert trial.processed >= trial.inferred > 0
        assert trial.previous_invoke_p50_ms > 0
        assert trial.comparison is not None
        assert trial.comparison.found == trial.comparison.stable > 0
        assert trial.comparison.extra == 0
        site.store.commit()
        wait_for_the_end_of_the_trial(running)
        running.wait_for(
            lambda: resident_mb(running.process.pid) < before_mb + ONE_MODEL_SLACK_MB,
            "one model in memory",
        )
        running.process.send_signal(signal.SIGHUP)
        running.wait_for_log("reloaded: nothing changed")
        site.store.try_out(site.store.add("3.0"))
        wait_for_version(running, "3.0")
        wait_for_samples(running, 1)
        site.store.roll_back()
        wait_for_version(running, "2.0")
        assert running.status["model_digest"] == release.digest
        said = len(running.out.splitlines())
        running.wait_for(lambda: len(running.out.splitlines()) > said + 2, "more alerts")
        status = running.status
        assert running.stop() == 0
    numbers = [number for number, _ in site.frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert status["frames"]["overtaken"] == status["frames"]["failed"] == 0
    assert runs_of([version for _, version in site.frames]) == ["1.0", "2.0", "3.0", "2.0"]
    events = updates_since(running, 0)
    assert runs_of([event["model_version"] for event in events]) == ["1.0", "2.0", "3.0", "2.0"]
    # The person stood there all the time: it is one violation, with one start and one end.
    assert len({event["id"] for event in events}) == 1
    assert [event["type"] for event in events].count("start") == 1


def test_a_model_that_finds_nothing_is_reported_as_such(site: Site, somebody: RtspServer) -> None:
    with watch(site, somebody) as running:
        site.store.try_out(site.store.add("2.0", score=1.0))
        wait_for_version(running, "2.0")
        comparison = wait_for_samples(running).comparison
        assert comparison is not None
        assert comparison.stable > 0
        assert comparison.found == comparison.extra == 0
        running.stop()


def test_a_quiet_scene_says_nothing(site: Site, nobody: RtspServer) -> None:
    with watch(site, nobody) as running:
        site.store.try_out(site.store.add("2.0", score=1.0))
        wait_for_version(running, "2.0")

        def watched() -> bool:
            trial = trial_of(running)
            return trial is not None and trial.processed >= 8 * FRAMES_PER_SECOND

        running.wait_for(watched, "frames")
        trial = trial_of(running)
        assert trial is not None
        assert trial.inferred < trial.processed
        comparison = trial.comparison
        assert comparison is not None
        assert comparison.stable == comparison.found == comparison.extra == 0
        running.stop()


def test_a_damaged_model_leaves_the_old_one_at_work(site: Site, somebody: RtspServer) -> None:
    bad = site.store.add("2.0")
    model = site.store.store.release_folder(bad) / MODEL_NAME
    model.write_bytes(model.read_bytes()[:-1])
    with watch(site, somebody) as running:
        site.store.try_out(bad)

        def failed() -> bool:
            trial = trial_of(running)
            return trial is not None and bool(trial.error)

        running.wait_for(failed, "the error")
        trial = trial_of(running)
        assert trial is not None
        assert trial.digest == bad.digest
        assert not trial.running
        assert "manifest's" in trial.error
        assert running.status["model_version"] == "1.0"
        site.store.roll_back()
        wait_for_the_end_of_the_trial(running)
        assert running.stop() == 0
    assert runs_of([version for _, version in site.frames]) == ["1.0"]


def test_a_restart_goes_on_with_the_trial(site: Site, somebody: RtspServer) -> None:
    release = site.store.add("2.0")
    site.store.try_out(release)
    with watch(site, somebody) as running:
        trial = wait_for_samples(running)
        assert trial.digest == release.digest
        assert trial.comparison is not None
        assert trial.comparison.found == trial.comparison.stable > 0
        assert trial.previous_invoke_p50_ms > 0
        status = running.status
        assert status["trial"]["processed"] == status["frames"]["processed"]
        site.store.roll_back()
        wait_for_version(running, "1.0")
        wait_for_the_end_of_the_trial(running)
        # The status is written between two frames: the old model has yet to look at one.
        running.wait_for_frames(running.status["frames"]["processed"] + 1)
        assert running.stop() == 0
    assert runs_of([version for _, version in site.frames]) == ["2.0", "1.0"]
