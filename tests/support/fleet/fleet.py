"""A simulated fleet with its broker, its receiver and the stand-in for Connect, as processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.support import planted
from tests.support.fleet import host, subscriber
from tests.support.fleet.part import ROOT, Part, processor_s, resident_bytes
from tests.support.fleet.relay import Relay
from tests.support.fleet.tally import Account, Promise, account
from tests.support.mosquitto import Mosquitto

TOKEN = "connect-t0ken-fleet"
CANARY, REST = "Test", "Production"
CANARY_EVERY = 20
"""Of so many devices the first is a canary."""

BROKER_LINES = ("autosave_interval 30", "max_queued_messages 100000", "max_inflight_messages 0")
"""As docs/fleet.md recommends."""

HOSTS = 5
"""Processes with devices. The first's network can go."""

WAIT_S = 240.0
"""Far more than anything here takes."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """What ``jfrog-connect.py`` did.

    Attributes:
        code: its exit code.
        said: its standard error.
        statuses: by device, of its result table.
        processor_s: that it took, seconds.
    """

    code: int
    said: str
    statuses: dict[str, str]
    processor_s: float


class Fleet:
    """The fleet; a context in which it runs.

    Args:
        folder: for files.
        count: devices.
        hosts: processes that they are spread over.
        poll_s: between two questions of an agent.
        state_s: between two state messages of a device.
        eager: whether devices return without jitter.
        lines: of the broker's configuration.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        *,
        hosts: int = HOSTS,
        poll_s: float = 15.0,
        state_s: float = 30.0,
        eager: bool = False,
        lines: tuple[str, ...] = BROKER_LINES,
    ) -> None:
        self.names = [f"cam-{number:04d}" for number in range(count)]
        canaries = self.names[::CANARY_EVERY]
        self.groups = {
            CANARY: canaries,
            REST: [name for name in self.names if name not in set(canaries)],
        }
        self.folder = folder
        self.broker = Mosquitto(folder / "broker", lines=lines)
        self.hosts: list[Part] = []
        self._stack = contextlib.ExitStack()
        self._gone_s = {"broker": 0.0, "devices": 0.0}
        self._settings = [
            host.Settings(
                names=self.names[number * count // hosts : (number + 1) * count // hosts],
                folder=str(folder / f"host-{number}"), broker_port=self.broker.port, connect_port=0,
                token=TOKEN, poll_s=poll_s, state_s=state_s, eager=eager,
            )
            for number in range(hosts)
        ]  # fmt: skip

    def __enter__(self) -> Fleet:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        self._stack.enter_context(self.broker)
        self.receiver = self._part("subscriber", {"broker_port": self.broker.port})
        self.connect = self._part("connect", {"token": TOKEN, "groups": self.groups})
        self.receiver.wait_ready()
        self.broker.save()  # killed now, it would still know its receiver
        served = self.connect.wait_ready()
        self.broker_relay = self._stack.enter_context(Relay(self.broker.port))
        self.connect_relay = self._stack.enter_context(Relay(served["port"]))
        self._settings = [
            replace(settings, connect_port=served["port"]) for settings in self._settings
        ]
        self._settings[0] = replace(
            self._settings[0], broker_port=self.broker_relay.port,
            connect_port=self.connect_relay.port,
        )  # fmt: skip

    def start_devices(self) -> None:
        """Starts them, and waits until the receiver has heard that each is online."""
        self.hosts = [self._part("host", asdict(settings)) for settings in self._settings]
        for one in self.hosts:
            one.wait_ready()
        self.wait_online()

    def wait_online(self) -> None:
        """Waits until the receiver has heard of every device that it is online."""
        wait(lambda: self.receiver.ask("count")["online"] == len(self.names), "all online")

    def restart_host(self, number: int, goal: int, over_s: float) -> None:
        """Kills a process with devices and starts it again; they go on to raise events."""
        self._gone_s["devices"] += processor_s(self.hosts[number].pid)
        self.hosts[number].kill()
        self.hosts[number] = self._part("host", asdict(self._settings[number]))
        self.hosts[number].wait_ready()
        self.hosts[number].ask({"goal": goal, "over_s": over_s})

    def kill_broker(self) -> None:
        """Kills it with ``SIGKILL``."""
        self._gone_s["broker"] += processor_s(self.broker.pid)
        self.broker.kill()

    def stop_broker(self) -> None:
        """Stops it in good order, with what is on its way to it unread until then."""
        self._gone_s["broker"] += processor_s(self.broker.pid)
        self.broker.stop(deaf_s=0.3)

    def raise_events(self, goal: int, over_s: float) -> None:
        """Lets each device raise events until it has raised so many in its life; does not wait."""
        for one in self.hosts:
            one.ask({"goal": goal, "over_s": over_s})

    def status(self) -> dict[str, Any]:
        """Sums over all processes with devices."""
        found = [one.ask("status") for one in self.hosts]
        sums = {name: sum(one[name] for one in found) for name in found[0] if name != "errors"}
        return {**sums, "errors": sorted({text for one in found for text in one["errors"]})}

    def wait_delivered(self) -> None:
        """Waits until every event is raised and acknowledged by the broker."""

        def delivered() -> bool:
            found = self.status()
            assert found["dropped"] == 0, found
            return bool(found["done"] == len(self.names) and not found["waiting"])

        wait(delivered, "everything delivered")

    def promised(self) -> dict[str, list[Promise]]:
        """What the devices promised."""
        return {
            device: events
            for settings in self._settings
            for device, events in host.read_journal(Path(settings.folder)).items()
        }

    def account(self) -> Account:
        """What arrived of it, once nothing comes any more."""
        wanted = sum(map(len, self.promised().values()))
        seen, still = -1, 0
        while seen < wanted and still < 20:
            time.sleep(0.5)
            now = self.receiver.ask("count")["events"]
            still = still + 1 if now == seen else 0
            seen = now
        path = self.folder / "arrived.json"
        self.receiver.ask(str(path))
        return account(self.promised(), subscriber.read(path))

    def start_rollout(self, poll_s: float) -> Callable[[], Rollout]:
        """Starts ``jfrog-connect.py`` on both groups; what waits for its end."""
        publication, output = self.folder / "publication.json", self.folder / "out"
        publication.write_text(
            json.dumps(
                {"version": "1.1", "artifactory_path": "m/1.1/model.zip", "sha256": "ab" * 32}
            )
        )
        command = [
            sys.executable, "scripts/jfrog-connect.py", "--flow_id", self.connect.ready["flow"],
            "--app_name", "sitewatch", "--project", "site", "--connect", self.connect.ready["url"],
            "--publication", publication, "--output", output, "--poll", poll_s,
            "--calls-per-minute", "0", "--canary", CANARY, "--share", "1", "--group", REST,
            "--fleet-share", "0.9",
        ]  # fmt: skip
        said = self.folder / "rollout.log"
        with said.open("wb") as errors:
            process = subprocess.Popen(
                list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors,
                env=planted.environment(CONNECT_TOKEN=TOKEN),
            )  # fmt: skip

        def finish() -> Rollout:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            found = output / "rollout.json"
            stages = json.loads(found.read_text()) if found.exists() else []
            return Rollout(
                process.returncode,
                said.read_text(),
                {one["name"]: one["status"] for stage in stages for one in stage["devices"]},
                usage.ru_utime + usage.ru_stime,
            )

        return finish

    def processor_s(self) -> dict[str, float]:
        """Processor time so far, by part, seconds."""
        return {
            "broker": self._gone_s["broker"] + processor_s(self.broker.pid),
            "connect": processor_s(self.connect.pid),
            "receiver": processor_s(self.receiver.pid),
            "devices": self._gone_s["devices"] + sum(processor_s(one.pid) for one in self.hosts),
        }

    def resident_bytes(self) -> dict[str, int]:
        """Resident memory, by part."""
        return {
            "broker": resident_bytes(self.broker.pid),
            "connect": resident_bytes(self.connect.pid),
            "devices": sum(resident_bytes(one.pid) for one in self.hosts),
        }

    def _part(self, module: str, settings: object) -> Part:
        made = Part(module, settings, self.folder / f"{module}.log")
        self._stack.callback(made.stop)
        return made


def wait(happened: Callable[[], bool], what: str) -> None:
    """Waits until something has happened."""
    deadline_s = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline_s, f"not within {WAIT_S:.0f} s: {what}"
        time.sleep(0.1)
