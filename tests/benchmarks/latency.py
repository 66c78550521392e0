"""From exposure to subscriber: a live RTSP camera, the daemon, a real Mosquitto, a subscriber.

Exposure is when the frame reached the daemon (an RTSP stream does not tell the camera's own time).
The subscriber runs on the same machine, so both ends read one monotonic clock.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scripts.demonstration import clip
from tests.support.daemon_process import DaemonSetup
from tests.support.mosquitto import Mosquitto
from tests.support.rtsp import RtspServer
from tests.support.subscriber import Subscriber

FRAMES_PER_SECOND = 5
EVENTS = 400


def measure(folder: Path, bundle: Path, amount: int | None, *, count: int = 1) -> dict[str, Any]:
    """Milliseconds from exposure to the subscriber, of updates of violations in view.

    Args:
        folder: for files.
        bundle: the model.
        amount: events to wait for.
        count: people in view; all their updates come with the same frame, one after another.
    """
    wanted = amount or EVENTS
    picture = folder / "people.jpg"
    people(count).save(picture, quality=92)
    options = ("--picture", str(picture), "--size", "1280x720", "--rate", str(FRAMES_PER_SECOND))
    with (
        Mosquitto(folder / "broker") as broker,
        RtspServer(options=options) as camera,
        Subscriber(broker.port, "sitewatch/+/alert") as subscriber,
    ):
        setup = DaemonSetup(folder, bundle)
        setup.sections["source"] = {
            "kind": "rtsp",
            "location": camera.url,
            "frames_per_second": FRAMES_PER_SECOND,
        }
        setup.sections["mqtt"] |= {"enabled": True, "port": broker.port}
        setup.sections["rules"] = {"update_every_s": 0.5, "confirm_s": 0.0}
        with setup.start() as running:
            while len(subscriber.arrivals) < wanted:
                assert running.process.poll() is None, running.log[-2000:]
                time.sleep(0.2)
            status = running.status
            running.stop()
        arrivals = list(subscriber.arrivals)
    # The first second holds the start of everything: connections, first inference.
    delays_ms = np.array(
        [
            (arrival.arrived_s - json.loads(arrival.payload)["monotonic_s"]) * 1e3
            for arrival in arrivals[10:]
        ]
    )
    return {
        "people": count,
        "events": len(delays_ms),
        "p50_ms": round(float(np.percentile(delays_ms, 50)), 1),
        "p99_ms": round(float(np.percentile(delays_ms, 99)), 1),
        "worst_ms": round(float(delays_ms.max()), 1),
        "invoke_p50_ms": round(status["invoke"]["p50"], 1),
        "invoke_p95_ms": round(status["invoke"]["p95"], 1),
    }


def people(count: int) -> Image.Image:
    """One to four bare-headed people side by side, 1280x720."""
    canvas = Image.new("RGB", (1280, 720), (150, 150, 145))
    portrait = clip.portrait().resize((300, 330))
    for column in range(count):
        canvas.paste(portrait, (10 + column * 318, 200))
    return canvas
