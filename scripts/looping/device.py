"""A simulated device: a folder, in it all that a camera has, and the real programs on it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.looping.narration import NotShownError
from tests.support import planted
from tests.support.daemon_process import DaemonSetup, Running
from updater.trust import keys

ROOT = Path(__file__).resolve().parents[2]
COMMAND_TIMEOUT_S = 600.0
UPDATER_ID, GROUP_ID = 64_002, 64_001
"""Who ``sitewatch-update`` becomes where root starts it, and the group by which it reads what the
daemon keeps; on a device the package makes the accounts."""

_NO_ACCOUNT = "sitewatch-loop-demo"

MOVED = {
    "/usr/bin/sitewatch-update": "bin/sitewatch-update",
    "/usr/share/sitewatch/connect/": "connect/",
    "/var/lib/sitewatch/incoming": "incoming",
    "/run/sitewatch-": "run/sitewatch-",
}
"""Paths of an installed device that flows name, and where a simulated one has them."""


@dataclass(frozen=True, slots=True)
class Camera:
    """How a device is set up.

    Attributes:
        source: section of its configuration.
        captures: what differs from the defaults there.
        probation: section of ``update.toml``.
    """

    source: Mapping[str, Any]
    captures: Mapping[str, Any] = field(default_factory=dict)
    probation: Mapping[str, Any] = field(default_factory=dict)


class Device:
    """One of them.

    Args:
        name: its id, too.
        folder: its own; every account must be able to enter those above it.
        camera: how it is set up.
        broker_port: of the MQTT broker on loopback.
        release_key: public key that it trusts.
    """

    def __init__(
        self, name: str, folder: Path, camera: Camera, broker_port: int, release_key: Path
    ) -> None:
        self.name, self.folder = name, folder
        self._running: Running | None = None
        for part in ("bin", "connect", "incoming", "store"):
            (folder / part).mkdir(parents=True)
        (folder / "run").mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(folder / "store", UPDATER_ID, GROUP_ID)
        keys.add(folder / "keys", release_key)
        self._write_updater(camera)
        self._daemon = DaemonSetup(
            folder,
            folder / "store/current",
            {
                "device": {"id": name},
                "source": dict(camera.source),
                "motion": {"enabled": False},
                "mqtt": {"host": "127.0.0.1", "port": broker_port, "state_every_s": 1.0},
                "captures": {
                    "folder": str(folder / "captures"), "free_floor_bytes": 0, **camera.captures,
                },
                "swap": {"sample_every_s": 0.1},
            },
        )  # fmt: skip
        self._daemon.sections["model"]["threads"] = 1

    def _write_updater(self, camera: Camera) -> None:
        folder = self.folder
        sections: dict[str, Mapping[str, Any]] = {
            "": {"user": _NO_ACCOUNT, "status_file": str(folder / "status.json")},
            "selftest": {"runtime": "litert", "threads": 1},
            "probation": camera.probation,
            "upload": {"captures": str(folder / "captures")},
        }
        lines = []
        for name, values in sections.items():
            lines += [f"[{name}]"] if name else []
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        config = folder / "update.toml"
        config.write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "updater"]
        common = ["--config", config, "--store", folder / "store", "--keys", folder / "keys"]
        _script(
            folder / "bin/sitewatch-update",
            f'#!/bin/sh\nexec {shlex.join(command)} "$@" {shlex.join(map(str, common))}\n',
        )
        for script in (ROOT / "packaging/connect").glob("*.sh"):
            _script(folder / "connect" / script.name, self.own(script.read_text()))

    def own(self, text: str) -> str:
        """A command or script of an installed device, with this one's paths."""
        for path, place in MOVED.items():
            text = text.replace(path, f"{self.folder}/{place}")
        return text

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as an agent of Connect's would, root's shell on the device."""
        return subprocess.run(
            ["/bin/sh", "-c", self.own(command)],
            cwd="/", capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S,
            env=planted.environment(
                XDG_RUNTIME_DIR=str(self.folder / "run"), PYTHONPATH=str(ROOT),
                AWS_EC2_METADATA_DISABLED="true",
            ),
        )  # fmt: skip

    def install(self, bundle: Path) -> None:
        """Installs its first model, as it is done before a device is sent out.

        Raises:
            NotShownError: it cannot be installed.
        """
        done = self.shell(f"/usr/bin/sitewatch-update install {shlex.quote(str(bundle))} --offline")
        if done.returncode != 0:
            raise NotShownError(f"cannot install: {done.stderr.strip()}", where=self.name)

    def status(self) -> dict[str, Any]:
        """What ``sitewatch-update status --json`` says.

        Raises:
            NotShownError: nothing.
        """
        done = self.shell("/usr/bin/sitewatch-update status --json")
        if done.returncode != 0:
            raise NotShownError(f"no status: {done.stderr.strip()}", where=self.name)
        return dict(json.loads(done.stdout))

    def model(self) -> str:
        """The model that runs, by the updater's word and the daemon's own; both if they differ."""
        current = self.status()["current"] or {}
        told, runs = str(current.get("version")), str(self.running.status.get("model_version"))
        state = current.get("state")
        settled = told == runs and state == "committed"
        return told if settled else f"{told} ({state}), the daemon has {runs}"

    def captures(self) -> set[str]:
        """Pictures kept, complete ones, by name."""
        return {path.stem for path in (self.folder / "captures").glob("*-*.json")}

    def stored(self) -> set[str]:
        """Those that the upload has marked."""
        return {path.stem for path in (self.folder / "captures").glob("*-*.stored")}

    # ------------------------------------------------------------ the daemon

    def start(self) -> None:
        """Starts ``sitewatch run``."""
        root = os.geteuid() == 0
        with (self.folder / "log").open("a") as log, (self.folder / "out").open("a") as out:
            process = subprocess.Popen(
                self._daemon.command(), stdout=out, stderr=log, env=planted.environment(),
                cwd=ROOT, group=GROUP_ID if root else None, extra_groups=[] if root else None,
            )  # fmt: skip
        self._running = Running(self._daemon, process)

    @property
    def running(self) -> Running:
        """The daemon.

        Raises:
            NotShownError: it has ended by itself, or was never started.
        """
        if self._running is None or self._running.process.poll() is not None:
            said = "" if self._running is None else self._running.log[-1000:]
            raise NotShownError(f"no daemon runs: {said}", where=self.name)
        return self._running

    def stop(self) -> None:
        """Ends it, if it runs."""
        running, self._running = self._running, None
        if running is not None and running.process.poll() is None:
            running.stop()

    @property
    def frames(self) -> int:
        """That the daemon has looked at."""
        return int(self.running.status.get("frames", {}).get("processed", 0))


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
