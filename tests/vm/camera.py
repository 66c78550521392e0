"""Sitewatch in a machine: installed, updated, asked how it is."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from tests.vm import media
from tests.vm.machine import Machine, MachineError

UNIT = "sitewatch.service"
WORK_TIMEOUT_S = 3600.0
"""An emulated machine is some twenty times slower than a real one, the model up to 400 times."""

COMMITTED, SELFTEST_FAILED, NOTHING_ON_PROBATION = 0, 9, 16

APT = "apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "

CONFIGURATION = f"""\
[source]
kind = "file"
location = "{media.VIDEO}"
[model]
runtime = "litert"
threads = 1
[motion]
enabled = false
[mqtt]
enabled = false
[swap]
compare_seconds = 30
[health]
status_every_s = 1.0
"""
"""The video is read as fast as it is looked at: one processor is left for the updater."""
UPDATE_CONFIGURATION = """\
[selftest]
runtime = "litert"
threads = 1
time_limit_s = 3600
[probation]
seconds = 5
frames = 10
timeout_s = 3600
"""
PATIENCE = """\
[Service]
TimeoutStartSec=900
WatchdogSec=300
"""
"""An emulated machine would miss what is fair on a Raspberry Pi."""


class Camera:
    """Sitewatch in a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def install(self) -> float:
        """Installs the package with apt, and waits for the first processed frame.

        Returns:
            Seconds from apt's start to then.
        """
        machine = self.machine
        machine.write("/etc/sitewatch/sitewatch.toml", CONFIGURATION)
        machine.write("/etc/sitewatch/update.toml", UPDATE_CONFIGURATION)
        for unit in (UNIT, "sitewatch-recover.service"):
            machine.write(f"/etc/systemd/system/{unit}.d/emulated.conf", PATIENCE)
        began_s = time.monotonic()
        machine.run(APT + media.DEB, timeout_s=2 * WORK_TIMEOUT_S)
        self.wait_until_it_watches()
        took_s = time.monotonic() - began_s
        machine.run(f"sitewatch-update keys add {media.KEY}")
        return took_s

    def wait_until_it_watches(self) -> None:
        """Waits for a frame processed by a daemon that was not restarted.

        Raises:
            MachineError: there is none, or the daemon had to be restarted.
        """

        def watches() -> bool:
            ready = self.property("ActiveState") == "active"
            return ready and bool(self.status().get("frames", {}).get("processed"))

        self.machine.eventually(watches, WORK_TIMEOUT_S, "no frame is processed")
        restarts = self.property("NRestarts")
        if restarts != "0":
            raise MachineError(f"{restarts} restarts\n{self.journal()}")

    def install_model(self, source: str, *options: str) -> subprocess.CompletedProcess[str]:
        """``sitewatch-update install``, to its verdict."""
        command = " ".join(("sitewatch-update install", source, *options))
        return self.machine.run(command, check=False, timeout_s=WORK_TIMEOUT_S)

    def expect_installed(self, source: str, version: str, *options: str) -> float:
        """Installs a model, which must be committed and run.

        Returns:
            Seconds to the verdict.

        Raises:
            MachineError: not so.
        """
        began_s = time.monotonic()
        done = self.install_model(source, *options)
        if done.returncode != COMMITTED:
            raise MachineError(f"{source}: {done.returncode}\n{done.stderr}\n{self.journal()}")
        took_s = time.monotonic() - began_s
        self.expect(version)
        return took_s

    def expect(self, *versions: str) -> str:
        """One of these models is good, whole, and looked with; which.

        Raises:
            MachineError: not so.
        """
        self.machine.run("sitewatch-update verify --all")
        current = self.update_status()["current"]
        if current["version"] not in versions or current["state"] != "committed":
            raise MachineError(f"{current} is current; expected {versions}\n{self.journal()}")
        self.machine.eventually(
            lambda: self.status().get("model_version") == current["version"],
            WORK_TIMEOUT_S,
            f"{current['version']} does not run",
        )
        return str(current["version"])

    def wait_for_verdict(self) -> str:
        """What became of the model on probation, if there was one.

        Raises:
            MachineError: it was rolled back, though it is good.
        """
        done = self.machine.run(
            f"sitewatch-update wait --timeout {WORK_TIMEOUT_S}",
            check=False,
            timeout_s=WORK_TIMEOUT_S,
        )
        if done.returncode not in (COMMITTED, NOTHING_ON_PROBATION):
            raise MachineError(f"{done.stdout}\n{done.stderr}\n{self.journal()}")
        return done.stdout.strip()

    def update_status(self) -> dict[str, Any]:
        """What ``sitewatch-update status --json`` says."""
        return dict(json.loads(self.machine.run("sitewatch-update status --json").stdout))

    def status(self) -> dict[str, Any]:
        """The daemon's status file; empty where there is none yet, or no more."""
        found = self.machine.run("cat /run/sitewatch/status.json", check=False)
        return dict(json.loads(found.stdout)) if found.returncode == 0 else {}

    def property(self, name: str, unit: str = UNIT) -> str:
        """A unit's property, as ``systemctl show`` has it."""
        return self.machine.run(f"systemctl show -P {name} {unit}").stdout.strip()

    def journal(self) -> str:
        """The last that our units have logged."""
        command = "journalctl -o short-monotonic --no-pager -n 40 -u 'sitewatch*'"
        return self.machine.run(command, check=False).stdout

    def recovered(self) -> str:
        """What the recovery before the camera's start has said, in this boot."""
        command = "journalctl -b -o cat --no-pager _COMM=sitewatch-updat -u sitewatch-recover"
        return " / ".join(self.machine.run(command, check=False).stdout.splitlines())
