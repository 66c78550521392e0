"""The devices together: started, waited for, asked which model they run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from scripts.looping.cameras import HELD_FRAMES, Cameras
from scripts.looping.device import Camera, Device
from scripts.looping.narration import Narrator, NotShownError
from scripts.looping.plan import Plan
from scripts.looping.services import Services

WAIT_S = 600.0
STALL_TIMEOUT_S = 120.0
"""Training may starve a camera's server of time; that is no dead camera."""


class Fleet:
    """All devices, with their cameras; they run while this is open.

    Attributes:
        devices: by name.

    Args:
        plan: how many, and what they see.
        work: takes their folders.
        cloud: the services around them.
        narrator: says what happens.
    """

    def __init__(self, plan: Plan, work: Path, cloud: Services, narrator: Narrator) -> None:
        self.devices: dict[str, Device] = {}
        self._plan, self._work, self._cloud, self._narrator = plan, work, cloud, narrator
        self._open = ExitStack()

    def start(self, bundle: Path) -> None:
        """Starts the cameras; installs a first model on each device, and starts it."""
        plan = self._plan
        cameras = Cameras(self._work / "frames", plan.views, plan.frames_per_s)
        urls = self._open.enter_context(cameras).urls
        for name, url in zip(plan.devices, urls, strict=True):
            source = {
                "kind": "rtsp",
                "location": url,
                "frames_per_second": plan.frames_per_s,
                "stall_timeout_s": STALL_TIMEOUT_S,
            }
            camera = Camera(source, plan.captures, plan.probation)
            folder = self._work / "devices" / name
            device = Device(name, folder, camera, self._cloud.broker.port, self._cloud.public_key)
            device.install(bundle)
            device.start()
            self._open.callback(device.stop)
            self.devices[name] = device
        self.wait_for_frames(1)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._open.close()

    def watch(self) -> None:
        """Until each camera has shown all its photographs."""
        self.wait_for_frames(HELD_FRAMES * max(len(view) for view in self._plan.views))

    def wait_for_frames(self, count: int) -> None:
        """Until each device has looked at so many frames since its start.

        Raises:
            NotShownError: one never does.
        """
        wait_for(
            lambda: all(device.frames >= count for device in self.devices.values()),
            f"{count} frames on each device",
        )

    def report(self, version: str, what: str) -> None:
        """Every device's updater, daemon and last MQTT state name a version.

        Args:
            version: of the model.
            what: said when they do.

        Raises:
            NotShownError: one never does.
        """
        wanted = dict.fromkeys(self._plan.devices, version)
        wait_for(lambda: self._cloud.models() == wanted, f"MQTT says {version} for every device")
        wait_for(lambda: self.models() == wanted, what)
        self._narrator.tell(f"ok: {what}: {version} (status --json, daemon, MQTT)")

    def models(self) -> dict[str, str]:
        """What runs on each device, by its updater and its daemon."""
        return {name: device.model() for name, device in self.devices.items()}


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    """Waits until something happens.

    Raises:
        NotShownError: it never did.
    """
    until_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until_s:
            raise NotShownError(f"never happened: {what}")
        time.sleep(0.5)
