"""What is counted of a release on trial, and that the updater understands it."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from daemon.detection.detections import Detections
from daemon.frames import Frame
from daemon.sources.picture import ArrayPicture
from daemon.swap.predecessor import PredecessorLook
from daemon.swap.trial import TrialRun
from tests.support.scenes import detections
from tests.unit.test_health import STATUS
from updater.trial import Comparison, read_report

DIGEST = "cd" * 32
FRAME = Frame(0, 0.0, 0.0, 0.0, ArrayPicture(np.zeros((8, 8, 3), np.uint8)))
NOBODY: Detections = detections(())


def no_pause() -> None:
    """Nobody to wait for."""


def test_it_counts_from_the_first_frame_it_runs() -> None:
    trial = TrialRun(DIGEST)
    trial.looked(FRAME, NOBODY, 5.0, 1.0)
    trial.failed()
    assert trial.report().processed == trial.report().failed == 0
    assert not trial.report().running
    trial.begin(previous_invoke_ms=12.0)
    for second, invoke_ms in ((10.0, 20.0), (11.0, 30.0), (12.0, 25.0)):
        trial.looked(FRAME, NOBODY, invoke_ms, second)
    trial.looked(FRAME, None, 0.0, 14.0)
    trial.failed()
    report = trial.report()
    assert report.running
    assert (report.processed, report.inferred, report.failed) == (4, 3, 1)
    assert report.healthy_s == 4.0
    assert (report.invoke_p50_ms, report.previous_invoke_p50_ms) == (25.0, 12.0)
    assert report.comparison is None


def test_the_time_stands_still_while_the_camera_does() -> None:
    trial = TrialRun(DIGEST)
    trial.begin(previous_invoke_ms=0.0)
    assert trial.report().healthy_s == 0.0
    trial.looked(FRAME, None, 0.0, 100.0)
    trial.looked(FRAME, None, 0.0, 103.0)
    assert trial.healthy_s == trial.report().healthy_s == 3.0


def test_what_runs_cannot_fail_to_load() -> None:
    trial = TrialRun(DIGEST)
    trial.give_up("damaged")
    assert trial.report().error == "damaged"
    running = TrialRun(DIGEST)
    running.begin(previous_invoke_ms=0.0)
    running.give_up("a bug elsewhere")
    assert running.report().error == ""


def test_a_comparison_that_could_not_begin_is_over() -> None:
    trial = TrialRun(DIGEST)
    trial.look = PredecessorLook(every_s=1.0, pause=no_pause)
    assert trial.report().comparison == Comparison(0, 0, 0, 0, done=False)
    assert trial.look.release() is None
    assert trial.report().comparison == Comparison(0, 0, 0, 0, done=True)


def test_the_updater_reads_what_the_daemon_writes() -> None:
    trial = TrialRun(DIGEST, error="no runtime")
    trial.look = PredecessorLook(every_s=1.0, pause=no_pause)
    status = replace(STATUS, trial=trial.report())
    report = read_report(asdict(status), where="status.json")
    assert report.trial == status.trial
    assert (report.pid, report.written_monotonic_s) == (status.pid, status.written_monotonic_s)
    assert (report.model_version, report.model_digest) == ("2026.11.22", "ab" * 32)
    assert read_report(asdict(STATUS), where="status.json").trial is None
