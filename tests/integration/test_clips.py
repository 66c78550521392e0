"""The whole way from a clip to alerts, with the real model; and the same scenes made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config import ModelConfig, RulesConfig, TrackerConfig
from daemon.detection.detections import HELMET
from daemon.detection.detector import Detector
from scripts.evaluate_clips import Looks, look, play, thinned
from tests.support.scenes import Actor, film, walks

RATES_FPS = [10, 5, 2, 1]

PRESENT_S = [(6.0, 19.7), (22.8, 44.9), (50.2, 70.0), (74.5, 87.0), (92.1, 120.2), (123.4, 136.1)]
"""When each person without a hat enters and leaves the clip: seen by eye, frame by frame."""


@pytest.fixture(scope="module")
def detector(project_root: Path) -> Detector:
    """The shipped model, as weak as the tracker wants its boxes."""
    config = ModelConfig(
        bundle=project_root / "packaging/model",
        score_threshold=TrackerConfig().low_score,
        threads=2,
        runtime="litert",
    )
    return Detector.open(config)


@pytest.fixture(scope="module")
def bare_people(detector: Detector, shared_data: Path) -> Looks:
    return look(detector, shared_data / "videos/one-by-one-person-detection.mp4")


@pytest.fixture(scope="module")
def worker(detector: Detector, shared_data: Path) -> Looks:
    return look(detector, shared_data / "videos/worker-zone-detection_480x270.mp4")


@pytest.mark.shared_data
@pytest.mark.parametrize("fps", RATES_FPS)
def test_each_of_six_people_without_a_hat_raises_one_alert(bare_people: Looks, fps: float) -> None:
    outcome = play(thinned(bare_people, fps), RulesConfig(), TrackerConfig())
    times = [event.media_time_s for event in outcome.starts]
    assert len(times) == len(PRESENT_S)
    assert all(
        enters < time_s < leaves for time_s, (enters, leaves) in zip(times, PRESENT_S, strict=True)
    )


@pytest.mark.shared_data
@pytest.mark.parametrize("fps", RATES_FPS)
def test_the_worker_with_the_hard_hat_raises_none(worker: Looks, fps: float) -> None:
    assert play(thinned(worker, fps), RulesConfig(), TrackerConfig()).events == ()


@pytest.mark.parametrize("fps", RATES_FPS)
def test_six_made_up_people_raise_one_alert_each(fps: float) -> None:
    def visit(enters_s: float, leaves_s: float, wears: str) -> Actor:
        stands_s = (enters_s + 2.5, leaves_s - 1.5)
        path = (
            (enters_s, 300.0, 1000.0, 640.0),
            *((time_s, 740.0, 650.0, 600.0) for time_s in stands_s),
            (leaves_s, 1400.0, 660.0, 620.0),
        )
        # Of long hair from behind nothing is found; short hair is found in two frames of three.
        return Actor(path, wears, person_rate=0.95, head_rate=0.66)

    long_hair = {0, 2, 4}
    cast = [
        visit(enters, leaves, "" if i in long_hair else "head")
        for i, (enters, leaves) in enumerate(PRESENT_S)
    ]
    outcome = play(film(cast, fps=fps, to_s=139.0, seed=3), RulesConfig(), TrackerConfig())
    times = [event.media_time_s for event in outcome.starts]
    assert len(times) == len(PRESENT_S)
    assert all(
        enters < time_s < leaves for time_s, (enters, leaves) in zip(times, PRESENT_S, strict=True)
    )


@pytest.mark.parametrize("fps", RATES_FPS)
def test_a_made_up_worker_with_a_hard_hat_raises_none(fps: float) -> None:
    worker = Actor(walks(900, 400, 700, 350, to_s=5.0), HELMET, head_rate=0.7)
    outcome = play(film([worker], fps=fps, to_s=5.0, seed=3), RulesConfig(), TrackerConfig())
    assert outcome.events == ()
