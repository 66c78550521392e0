"""Models that take over, step by step: real store, real models, the test itself as the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.captures.disagreement import Disagreement
from daemon.captures.phash import phash
from daemon.config import ModelConfig, SwapConfig
from daemon.frames import Frame
from daemon.sources.picture import ArrayPicture
from daemon.swap.comparison import PLACE_COUNTS_MAX
from daemon.swap.start import open_first
from daemon.swap.swapper import ModelSwapper
from tests.support import models
from tests.support.daemon_process import wait_for
from tests.support.releases import HandStore
from updater.errors import BundleError
from updater.manifest import MODEL_NAME
from updater.trial import Comparison, Trial

LOW_SCORE = 0.1
"""What the detector reports from: under the makers' 0.4, as in the daemon."""


class Loop:
    """The daemon's loop as far as the swapper knows it, and a camera that shows one scene.

    Args:
        bundle: what the configuration names.
        swap: of the comparison.
    """

    def __init__(self, bundle: Path, swap: SwapConfig | None = None) -> None:
        config = ModelConfig(
            bundle=bundle,
            runtime="litert",
            threads=1,
            score_threshold=LOW_SCORE,
            runtime_cache=bundle.parent / "runtime.json",
        )
        self.swapper = ModelSwapper(
            open_first(config), swap or SwapConfig(sample_every_s=0.1), model=lambda: config
        )
        self.scene = models.scene()
        self.versions: list[str] = []
        self.skipped_s = 0.0
        self.swapper.start()

    def frame(self) -> None:
        """One turn."""
        swapper = self.swapper
        number = len(self.versions)
        picture = ArrayPicture(self.scene)
        frame = Frame(number, number / 10, time.time(), time.monotonic(), picture)
        found = swapper.detector.detect(picture)
        self.versions.append(found.model_version)
        now_s = time.monotonic() + self.skipped_s
        swapper.looked(frame, found, swapper.detector.timing.invoke_ms, now_s)
        if swapper.pending is not None:
            swapper.adopt()
        swapper.idle()
        time.sleep(0.002)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Turns until something holds."""

        def turned() -> bool:
            self.frame()
            return condition()

        wait_for(turned, what)

    def until_version(self, version: str) -> None:
        """Turns until a model looks."""
        self.until(lambda: self.versions[-1] == version, version)

    @property
    def trial(self) -> Trial:
        """The figures, which must be there."""
        trial = self.swapper.trial()
        assert trial is not None
        return trial

    @property
    def comparison(self) -> Comparison:
        """The figures of the comparison, which must be there."""
        comparison = self.trial.comparison
        assert comparison is not None
        return comparison

    @property
    def changes(self) -> list[str]:
        """The versions that looked, repetitions left out."""
        return [v for n, v in enumerate(self.versions) if n == 0 or self.versions[n - 1] != v]


@pytest.fixture
def store(tmp_path: Path) -> HandStore:
    store = HandStore(tmp_path / "store", models.write_bundle(tmp_path / "bundle"))
    store.install("1.0")
    return store


@pytest.fixture
def loop(store: HandStore) -> Iterator[Loop]:
    loop = Loop(store.current)
    yield loop
    loop.swapper.stop()


def test_a_new_model_takes_over_and_is_compared_with_the_old_one(
    store: HandStore, loop: Loop
) -> None:
    loop.until(lambda: len(loop.versions) > 20, "some frames")
    assert loop.swapper.trial() is None
    release = store.add("2.0")
    store.try_out(release)
    loop.until_version("2.0")
    loop.until(lambda: loop.comparison.samples >= PLACE_COUNTS_MAX, "samples")
    trial = loop.trial
    assert trial.running
    assert trial.digest == release.digest == loop.swapper.running.digest
    assert trial.processed == trial.inferred == loop.versions.count("2.0")
    assert trial.invoke_p50_ms > 0
    assert trial.previous_invoke_p50_ms > 0
    assert loop.comparison.found == loop.comparison.stable == 2 * PLACE_COUNTS_MAX
    assert loop.comparison.extra == 0
    store.commit()
    loop.until(lambda: loop.swapper.trial() is None, "the end of the trial")
    assert loop.changes == ["1.0", "2.0"]


def test_a_rollback_brings_the_old_model_back(store: HandStore, loop: Loop) -> None:
    old = loop.swapper.detector
    store.try_out(store.add("2.0"))
    loop.until_version("2.0")
    loop.until(lambda: loop.comparison.samples >= 1, "a sample")
    store.roll_back()
    loop.until_version("1.0")
    assert loop.swapper.detector is old  # it was still there
    assert loop.swapper.trial() is None
    store.try_out(store.add("3.0"))
    loop.until_version("3.0")
    assert loop.changes == ["1.0", "2.0", "1.0", "3.0"]


def test_after_the_comparison_the_old_model_is_loaded_again(store: HandStore) -> None:
    loop = Loop(store.current, SwapConfig(compare_seconds=0.3, sample_every_s=0.1))
    old = loop.swapper.detector
    store.try_out(store.add("2.0"))
    loop.until_version("2.0")
    loop.until(lambda: loop.comparison.done, "the end of the comparison")
    store.roll_back()
    loop.until_version("1.0")
    assert loop.swapper.detector is not old
    loop.swapper.stop()


def test_a_model_that_finds_nothing_shows(store: HandStore, loop: Loop) -> None:
    store.try_out(store.add("2.0", score=1.0))
    loop.until_version("2.0")
    loop.until(lambda: loop.comparison.samples >= PLACE_COUNTS_MAX, "samples")
    assert loop.comparison.stable == 2 * PLACE_COUNTS_MAX
    assert (loop.comparison.found, loop.comparison.extra) == (0, 0)


def test_a_model_that_finds_something_else_shows(store: HandStore, loop: Loop) -> None:
    swapped = tuple(reversed(models.CLASSES))
    store.try_out(store.add("2.0", classes=swapped))
    loop.until_version("2.0")
    loop.until(lambda: loop.comparison.samples >= PLACE_COUNTS_MAX, "samples")
    assert loop.comparison.found == 0
    assert loop.comparison.extra == 2 * loop.comparison.samples


def test_a_frame_that_both_see_differently_is_handed_over_once(
    store: HandStore, loop: Loop
) -> None:
    store.try_out(store.add("2.0", classes=tuple(reversed(models.CLASSES))))
    handed: list[Disagreement] = []

    def take() -> bool:
        found = loop.swapper.disagreement()
        if found is not None:
            handed.append(found)
        return len(handed) >= 3

    loop.until(take, "disagreements")
    numbers = [found.frame.sequence for found in handed]
    assert numbers == sorted(set(numbers)), "each frame once"
    for found in handed:
        assert loop.versions[found.frame.sequence] == "2.0"
        assert (found.detections.model_version, found.other.model_version) == ("2.0", "1.0")
        assert sorted(subject.class_name for subject in found.subjects) == [
            "red", "red", "yellow", "yellow",
        ]  # fmt: skip
        assert found.phash == phash(loop.scene)


def test_while_the_loop_takes_none_the_newest_alone_is_held(store: HandStore, loop: Loop) -> None:
    store.try_out(store.add("2.0", classes=tuple(reversed(models.CLASSES))))
    loop.until_version("2.0")
    loop.until(lambda: loop.comparison.samples >= 3, "samples")
    loop.swapper.stop()  # nothing more is compared from here on
    newest = loop.swapper.disagreement()
    assert newest is not None
    assert newest.frame.sequence > loop.versions.index("2.0") + 4, "not the first pair's"
    assert loop.swapper.disagreement() is None


def test_models_that_agree_hand_over_nothing(store: HandStore, loop: Loop) -> None:
    store.try_out(store.add("2.0"))
    loop.until_version("2.0")
    loop.until(lambda: loop.comparison.samples >= 3, "samples")
    assert loop.swapper.disagreement() is None


def test_an_empty_scene_says_nothing(store: HandStore, loop: Loop) -> None:
    loop.scene = models.scene(objects=())
    store.try_out(store.add("2.0", score=1.0))
    loop.until_version("2.0")
    loop.until(lambda: loop.comparison.samples >= PLACE_COUNTS_MAX, "samples")
    assert loop.comparison.stable == loop.comparison.found == loop.comparison.extra == 0


def test_without_a_comparison_the_old_model_goes_at_once(store: HandStore) -> None:
    loop = Loop(store.current, SwapConfig(compare_seconds=0.0))
    store.try_out(store.add("2.0"))
    loop.until_version("2.0")
    assert loop.trial.comparison is None
    loop.swapper.stop()


def damage(store: HandStore, path: str) -> None:
    model = store.store.layout.root / path / MODEL_NAME
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 0xFF
    model.write_bytes(content)


def test_a_damaged_model_never_runs(store: HandStore, loop: Loop) -> None:
    bad = store.add("2.0")
    damage(store, bad.path)
    store.try_out(bad)
    loop.until(lambda: loop.swapper.trial() is not None and bool(loop.trial.error), "the error")
    assert "damaged" in loop.trial.error
    assert not loop.trial.running
    assert loop.trial.processed == 0
    assert loop.trial.digest == bad.digest != loop.swapper.running.digest
    store.roll_back()
    loop.until(lambda: loop.swapper.trial() is None, "the end of the trial")
    store.try_out(store.add("3.0"))
    loop.until_version("3.0")
    assert loop.changes == ["1.0", "3.0"]


def test_a_model_that_no_runtime_loads_never_runs(store: HandStore, loop: Loop) -> None:
    store.try_out(store.add("2.0", model=b"\0\0\0\0TFL3 and nothing that is a model"))
    loop.until(lambda: loop.swapper.trial() is not None and bool(loop.trial.error), "the error")
    assert "litert" in loop.trial.error
    assert loop.changes == ["1.0"]


def test_a_link_that_leads_nowhere_changes_nothing(store: HandStore, loop: Loop) -> None:
    link = store.current.with_name("elsewhere")
    link.symlink_to("none")
    link.replace(store.current)
    seen = len(loop.versions)
    loop.until(lambda: len(loop.versions) > seen + 100, "frames")
    store.install("2.0")
    loop.until_version("2.0")
    assert loop.changes == ["1.0", "2.0"]


def test_a_start_on_trial_counts_and_compares(store: HandStore) -> None:
    store.try_out(store.add("2.0"))
    loop = Loop(store.current)
    assert loop.trial.running
    loop.until(lambda: loop.trial.comparison is not None, "the predecessor")
    loop.until(lambda: loop.comparison.samples >= PLACE_COUNTS_MAX, "samples")
    trial = loop.trial
    assert trial.processed == len(loop.versions)
    assert trial.previous_invoke_p50_ms > 0
    assert not loop.comparison.done
    loop.skipped_s = SwapConfig().compare_seconds
    loop.until(lambda: loop.comparison.done, "the end of the comparison")
    store.commit()
    loop.until(lambda: loop.swapper.trial() is None, "the end of the trial")
    assert loop.changes == ["2.0"]
    loop.swapper.stop()


def test_a_start_on_a_damaged_trial_runs_the_one_before(store: HandStore) -> None:
    bad = store.add("2.0")
    damage(store, bad.path)
    store.try_out(bad)
    loop = Loop(store.current)
    loop.until(lambda: len(loop.versions) > 100, "frames")
    assert "damaged" in loop.trial.error
    assert loop.trial.digest == bad.digest
    store.roll_back()
    loop.until(lambda: loop.swapper.trial() is None, "the end of the trial")
    assert loop.changes == ["1.0"]
    loop.swapper.stop()


def test_a_damaged_predecessor_leaves_the_trial_without_a_comparison(store: HandStore) -> None:
    release = store.add("2.0")
    committed = store.store.journal.committed
    assert committed is not None
    store.try_out(release)
    damage(store, committed.path)
    loop = Loop(store.current)
    loop.until(lambda: loop.trial.comparison is not None and loop.comparison.done, "its end")
    assert loop.comparison.samples == 0
    assert loop.trial.running
    loop.swapper.stop()


def test_a_plain_folder_is_not_followed(tmp_path: Path) -> None:
    bundle = models.write_bundle(tmp_path / "bundle")
    loop = Loop(bundle)
    loop.frame()
    assert loop.swapper.running.digest
    assert loop.swapper.trial() is None
    loop.swapper.stop()


def test_a_bare_model_has_no_digest(tmp_path: Path) -> None:
    start = open_first(models.config(tmp_path))
    assert start.link is None
    assert start.model.digest == ""
    start.model.close()


def test_nothing_to_start_with_is_an_error(tmp_path: Path) -> None:
    config = replace(models.config(tmp_path), bundle=tmp_path / "current")
    with pytest.raises(BundleError, match="there is no model here"):
        open_first(config)


def test_a_stop_while_a_model_waits_for_the_loop(store: HandStore, loop: Loop) -> None:
    store.try_out(store.add("2.0"))
    wait_for(lambda: loop.swapper.pending is not None, "the model")
    loop.swapper.stop()
    assert loop.changes == []
