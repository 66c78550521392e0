"""Processor time on a still scene, with the motion gate and without, in one run each."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np

from daemon.frames import RgbImage
from scripts.demonstration import clip
from tests.support.daemon_process import DaemonSetup
from tests.support.videos import write_video

FRAMES = 1500
FRAMES_PER_SECOND = 5
NOISE_LEVELS = 3.0


def measure(folder: Path, bundle: Path, amount: int | None) -> dict[str, Any]:
    """Processor seconds for the same frames of an empty, noisy wall at 5 frames a second."""
    frames = amount or FRAMES
    video = write_video(folder / "still.mp4", _still(frames), rate=FRAMES_PER_SECOND)
    seconds = {}
    for name, enabled, limit in (("start", True, 1), ("gated", True, 0), ("always", False, 0)):
        setup = DaemonSetup(folder / name, bundle)
        setup.folder.mkdir()
        setup.sections["motion"] = {"enabled": enabled}
        source = video
        if limit:
            source = write_video(folder / "one.mp4", _still(limit), rate=FRAMES_PER_SECOND)
        before = _children_s()
        done = setup.run("--source", str(source))
        assert done.code == 0, done.err
        seconds[name] = _children_s() - before
    start = seconds["start"]
    return {
        "frames": frames,
        "start_cpu_s": round(start, 2),
        "gated_cpu_s": round(seconds["gated"] - start, 2),
        "always_cpu_s": round(seconds["always"] - start, 2),
        "ratio": round((seconds["gated"] - start) / (seconds["always"] - start), 3),
    }


def _still(frames: int) -> list[RgbImage]:
    """A bare wall with a sensor's noise; 16 different pictures of it in turn."""
    wall = next(iter(clip.frames())).astype(np.float32)
    chance = np.random.default_rng(1)
    pictures = [
        np.clip(wall + chance.normal(0, NOISE_LEVELS, wall.shape), 0, 255).astype(np.uint8)
        for _ in range(16)
    ]
    return [pictures[number % 16] for number in range(frames)]


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
