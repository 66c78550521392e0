"""What Connect's agent does on a device: the steps of a flow, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

from scripts.looping.device import Device
from tests.support.connect_server import Outcome, Step

DOWNLOAD_TIMEOUT_S = 60.0
_SCRIPTS = ".sh"


@dataclass
class Agents:
    """Of all devices; each may be called from a thread of its own.

    Attributes:
        devices: by name.
        artifactory: address of the registry that the flows name.
        token: by which Connect reads there.
        scripts: upload scripts as they were downloaded, credentials and all.
        log: what devices answered, in the order of time.
    """

    devices: Mapping[str, Device]
    artifactory: str
    token: str = field(repr=False)
    scripts: list[str] = field(default_factory=list, repr=False)
    log: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, name: str, step: Step) -> Outcome:
        """Does a step on the device of that name."""
        device = self.devices[name]
        outcome = self._download(device, step) if step.kind == "artifact_step" else None
        if outcome is None:
            done = device.shell(step.run)
            said = done.stdout if done.returncode == 0 else done.stderr + done.stdout
            outcome = Outcome(done.returncode, said)
        with self._lock:
            what = step.run or step.with_["artifactory-path"]
            self.log.append(f"{name}: {what}\n  {outcome.code}: {outcome.output.strip()}")
        return outcome

    def _download(self, device: Device, step: Step) -> Outcome:
        path = step.with_["artifactory-path"]
        answer = requests.get(
            f"{self.artifactory}/{path}",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=DOWNLOAD_TIMEOUT_S,
        )
        if answer.status_code != 200:
            return Outcome(1, f"{path}: {answer.status_code}")
        folder = Path(device.own(step.with_["device-path"]))
        target = folder / path.rpartition("/")[2]
        if target.suffix == _SCRIPTS:
            with self._lock:
                self.scripts.append(answer.text)
            target.write_text(device.own(answer.text))
        else:
            target.write_bytes(answer.content)
        return Outcome(0, target.name)
