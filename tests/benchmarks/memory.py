"""Resident memory of the daemon over many frames, every one of them inferred."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scripts.demonstration import clip
from tests.support.daemon_process import DaemonSetup
from tests.support.videos import write_video

FRAMES = 20_000


def measure(folder: Path, bundle: Path, amount: int | None) -> dict[str, Any]:
    """Megabytes after the frames, and the slope over the second half of them."""
    frames = amount or FRAMES
    scene = np.asarray(Image.fromarray(next(iter(clip.frames()))).resize((640, 360)))
    video = write_video(folder / "long.mp4", (scene for _ in range(frames)), rate=25)
    setup = DaemonSetup(folder, bundle)
    setup.sections["motion"] = {"enabled": False}
    setup.sections["health"]["status_every_s"] = 1.0
    samples: list[tuple[int, float]] = []
    with setup.start("--source", str(video)) as running:
        while running.process.poll() is None:
            status = running.status
            resident = resident_mb(running.process.pid)
            if status and resident:
                samples.append((status["frames"]["processed"], resident))
            time.sleep(0.5)
        code = running.process.returncode
    counts = np.array([count for count, _ in samples], float)
    sizes = np.array([size for _, size in samples])
    late = counts >= counts.max() / 2
    slope = np.polyfit(counts[late] / 1000, sizes[late], 1)[0]
    return {
        "exit_code": code,
        "frames": int(counts.max()),
        "rss_first_mb": round(float(sizes[0]), 1),
        "rss_last_mb": round(float(sizes[-1]), 1),
        "rss_peak_mb": round(float(sizes.max()), 1),
        "slope_kb_per_1000_frames": round(float(slope) * 1000, 1),
    }


def resident_mb(pid: int) -> float:
    """``VmRSS`` of a process in 10^6 bytes; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if "VmRSS" in line), 0.0)
