"""Models change under a live camera: frames missed, the longest gap between two, memory.

A real RTSP camera at a fixed rate, the daemon as a process of its own, a real store whose
``current`` changes again and again: each time to a release on trial, which is compared with its
predecessor for some seconds and then committed. A gap is the time between the moments at which the
loop was done with two frames in a row, in the time of one frame. The camera's jitter is in it, and
whatever else the machine does; the stretches without a change show how much that is.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.detection.runtime import LITERT, TfliteRuntime
from daemon.paths import CHECKOUT_BUNDLE
from tests.benchmarks.latency import people
from tests.benchmarks.memory import resident_mb
from tests.support.daemon_process import DaemonSetup, Running
from tests.support.releases import HandStore, copy_bundle
from tests.support.rtsp import RtspServer

RATES = (5, 10, 30)
"""Frames a second."""

SIZE = "640x360"
"""Of the camera: its server encodes on the same cores, and shall not be what is measured."""

CHANGES = 10
QUIET_S = 4.0
COMPARE_S = 6.0
AFTER_S = 1.0
"""So long after the change a delay is still its work."""

START_S = 2.0
"""Of each run: the camera connects, the first inferences."""


@dataclass(frozen=True)
class Change:
    """One change of the model, in monotonic seconds.

    Attributes:
        began_s: ``current`` was switched.
        done_s: the new model ran, as the status file said.
        compared_s: the predecessor was gone.
        rss_mb: resident memory a little later.
    """

    began_s: float
    done_s: float
    compared_s: float
    rss_mb: float


@dataclass(frozen=True)
class Step:
    """From one frame to the next.

    Attributes:
        at_s: when the later one was done with, monotonic seconds.
        gap: since the earlier one, in the time of one frame.
        missed: frames between them that were overtaken.
    """

    at_s: float
    gap: float
    missed: int


def measure(folder: Path, bundle: Path, amount: int | None) -> dict[str, Any]:
    """Figures for each rate.

    Args:
        folder: for files.
        bundle: the model; of a bare ``.tflite`` a bundle like the shipped one is made.
        amount: changes at each rate.
    """
    if bundle.suffix == ".tflite":
        content = bundle.read_bytes()
        runtime = TfliteRuntime(LITERT, content, threads=1, where=str(bundle))
        side = runtime.tensors.inputs[0].shape[1]
        bundle = folder / "bundle"
        copy_bundle(CHECKOUT_BUNDLE, bundle, "1.0", model=content, input_size=side)
    return {
        f"{rate}_fps": _at(folder / str(rate), bundle, rate, amount or CHANGES) for rate in RATES
    }


def _at(folder: Path, bundle: Path, rate: int, count: int) -> dict[str, Any]:
    folder.mkdir()
    store = HandStore(folder / "models", bundle)
    store.install("1.0")
    picture = folder / "people.jpg"
    people(1).save(picture, quality=92)
    trace = folder / "trace"
    setup = DaemonSetup(folder, store.current, program=("tests.support.traced_daemon", str(trace)))
    options = ("--picture", str(picture), "--size", SIZE, "--rate", str(rate))
    with RtspServer(options=options) as camera:
        setup.sections["source"] = {
            "kind": "rtsp",
            "location": camera.url,
            "frames_per_second": rate,
        }
        setup.sections["swap"] = {"compare_seconds": COMPARE_S}
        setup.sections["captures"]["enabled"] = False
        # Each update draws a snapshot, whose 15 MB would hide what the models leave behind.
        setup.sections["rules"] = {"update_every_s": 3600}
        with setup.start() as running:
            running.wait_for_frames(3)
            time.sleep(START_S + QUIET_S)
            alone_mb = resident_mb(running.process.pid)
            changes = [_change(store, running, number) for number in range(count)]
            status = running.status
            running.stop()
    steps = _steps(trace, rate)
    borders_s = [steps[0].at_s, *(s for one in changes for s in (one.began_s, one.compared_s))]
    quiet = list(itertools.pairwise(borders_s))[::2]
    changing = [(one.began_s, one.done_s + AFTER_S) for one in changes]
    comparing = [(one.done_s + AFTER_S, one.compared_s) for one in changes]
    return {
        "invoke_p50_ms": round(status["invoke"]["p50"], 1),
        "frames": len(steps),
        "changing": _worst(steps, changing),
        "comparing": _worst(steps, comparing),
        "neither": _worst(steps, quiet),
        "rss_alone_mb": round(alone_mb, 1),
        "rss_after_mb": [round(one.rss_mb, 1) for one in changes],
    }


def _change(store: HandStore, running: Running, number: int) -> Change:
    release = store.add(f"2.{number}")
    time.sleep(QUIET_S)
    began_s = time.monotonic()
    store.try_out(release)
    running.wait_for(lambda: running.status["model_version"] == release.version, "the change")
    done_s = time.monotonic()
    running.wait_for(lambda: bool(running.status["trial"]["comparison"]["done"]), "the comparison")
    compared_s = time.monotonic()
    store.commit()
    running.wait_for(lambda: running.status["trial"] is None, "the end of the trial")
    return Change(began_s, done_s, compared_s, resident_mb(running.process.pid))


def _steps(trace: Path, rate: int) -> list[Step]:
    frames = [line.split() for line in trace.read_text().splitlines()]
    stamps = [(int(number), float(at_s)) for number, at_s, _ in frames]
    return [
        Step(now_s, (now_s - last_s) * rate, number - last - 1)
        for (last, last_s), (number, now_s) in itertools.pairwise(stamps)
        if now_s >= stamps[0][1] + START_S
    ]


def _worst(steps: list[Step], stretches: list[tuple[float, float]]) -> dict[str, Any]:
    """What happened in some stretches of time: the longest gap of each, all missed frames."""
    inside = [
        [step for step in steps if start_s <= step.at_s <= end_s] for start_s, end_s in stretches
    ]
    return {
        "missed": sum(step.missed for steps in inside for step in steps),
        "longest_gaps_frames": [
            round(max((step.gap for step in steps), default=0.0), 2) for steps in inside
        ],
    }
