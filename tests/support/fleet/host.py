"""Several simulated devices in one process: ``python -m … SETTINGS``.

Each has the daemon's own outbox, in a folder of its own, and the daemon's own publisher. One thread
stands for all their cameras, one for all their agents.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from daemon.alerts.events import EventType
from daemon.clock import Clock
from daemon.config import DeviceConfig, MqttConfig, OutboxConfig
from daemon.mqtt.messages import DeviceState
from daemon.mqtt.publisher import LinkState, Publisher
from daemon.outbox.outbox import Outbox
from tests.support.alerts import make_event
from tests.support.fleet import part
from tests.support.fleet.agent import Agent
from tests.support.fleet.tally import Promise

PICTURE_BYTES = 20_000
TYPES = (EventType.START, EventType.UPDATE, EventType.END)
JOURNAL = "journal"
BAD_EVERY = 20
"""Of so many devices the last finds the new model bad."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of a process.

    Attributes:
        names: of its devices.
        folder: for their files.
        broker_port: where they connect.
        connect_port: where their agents ask.
        token: of the agents.
        poll_s: between two questions of an agent.
        state_s: between two state messages of a device.
        eager: whether they return without the jitter that spreads a real fleet.
    """

    names: list[str]
    folder: str
    broker_port: int
    connect_port: int
    token: str
    poll_s: float
    state_s: float
    eager: bool


class Schedule:
    """Does things at their time, in one thread."""

    def __init__(self, name: str) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._ended = False
        self.failure = ""
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def after(self, wait_s: float, action: Callable[[], None]) -> None:
        """Does it after some time."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + wait_s, next(self._count), action))
            self._changed.notify()

    def every(self, period_s: float, action: Callable[[], None], first_s: float) -> None:
        """Does it again and again."""

        def again() -> None:
            self.after(period_s, again)
            action()

        self.after(first_s, again)

    def end(self) -> None:
        """Does nothing any more."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (action := self._next()) is not None:
                action()
        except Exception as error:
            self.failure = repr(error)
            raise

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._ended:
                left_s = self._due[0][0] - time.monotonic() if self._due else None
                if left_s is not None and left_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(left_s)
        return None


class Device:
    """One camera, as far as the outbox and the broker know.

    Attributes:
        raised: events that it has raised in all its lives.
    """

    def __init__(self, name: str, settings: Settings, clock: Clock, raised: int) -> None:
        folder = Path(settings.folder, name)
        self.name = name
        self.raised = raised
        self.outbox = Outbox(OutboxConfig(path=folder / "outbox.sqlite3"))
        self.publisher = Publisher(
            MqttConfig(host="127.0.0.1", port=settings.broker_port),
            self.outbox,
            device=DeviceConfig(id=name),
            clock=clock,
            jitter=(lambda: 0.0) if settings.eager else random.random,
        )
        self._clock = clock

    def raise_event(self, journal: int) -> None:
        """Raises its next event, and writes down that it is promised."""
        kind = TYPES[self.raised % len(TYPES)]
        picture = (
            random.Random(f"{self.name}/{self.raised}").randbytes(PICTURE_BYTES)
            if kind is EventType.START
            else None
        )
        event = make_event(f"{self.name}-{self.raised // len(TYPES):05d}", kind)
        receipt = self.publisher.publish_event(event, picture, self._clock.stamp())
        assert receipt.durable, self.outbox.stats()
        digest = "-" if picture is None else sha256(picture).hexdigest()
        line = f"{self.name} {receipt.sequence} {event.event_id} {kind.value} {digest}\n"
        os.write(journal, line.encode())  # a process that is killed leaves it to the kernel whole
        self.raised += 1

    def publish_state(self) -> None:
        """Says how it is."""
        self.publisher.publish_state(
            DeviceState(queued_messages=self.outbox.stats().messages, model_version="1.0")
        )


class Host:
    """The devices of this process."""

    def __init__(self, settings: Settings) -> None:
        folder = Path(settings.folder)
        folder.mkdir(parents=True, exist_ok=True)
        promised = read_journal(folder)
        self._journal = os.open(folder / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        clock = Clock()
        self._devices = [
            Device(name, settings, clock, len(promised.get(name, ()))) for name in settings.names
        ]
        self._agent = Agent(settings.connect_port, settings.token, does)
        self._goal = 0
        self._cameras = Schedule("cameras")
        self._agents = Schedule("agents")
        for device in self._devices:
            device.publisher.start()
            self._cameras.every(
                settings.state_s, device.publish_state, random.random() * settings.state_s
            )
            self._agents.every(
                settings.poll_s,
                partial(self._agent.poll, device.name),
                random.random() * settings.poll_s,
            )

    def respond(self, question: Any) -> Any:
        """``status``, or how many events each device is to have raised in all, and in how long."""
        if question != "status":
            self._goal = question["goal"]
            for device in self._devices:
                gap_s = question["over_s"] / max(1, self._goal - device.raised)
                self._cameras.after(random.random() * gap_s, partial(self._raise, device, gap_s))
            return None
        for device in self._devices:
            device.publisher.check()
        assert not (self._cameras.failure or self._agents.failure)
        stats = [device.outbox.stats() for device in self._devices]
        links = [device.publisher.status() for device in self._devices]
        return {
            "online": sum(one.link is LinkState.ONLINE for one in links),
            "connections": sum(one.connections for one in links),
            "waiting": sum(one.messages for one in stats),
            "dropped": sum(one.dropped for one in stats),
            "done": sum(device.raised >= self._goal for device in self._devices),
            "requests": self._agent.requests,
            "unanswered": self._agent.unanswered,
            "errors": sorted({one.last_error for one in links} - {""})[:5],
        }

    def end(self) -> None:
        """Says goodbye for every device."""
        self._agents.end()
        self._cameras.end()
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda device: device.publisher.stop(), self._devices))
        for device in self._devices:
            device.outbox.close()
        os.close(self._journal)

    def _raise(self, device: Device, gap_s: float) -> None:
        if device.raised < self._goal:
            device.raise_event(self._journal)
            self._cameras.after(gap_s, partial(self._raise, device, gap_s))


def does(device: str, command: str) -> tuple[int, str]:
    """What a device does with a step: nothing, but some find that the model is bad."""
    if "install" in command and is_bad(device):
        return 13, "sitewatch-update: 1.1: rolled back to 1.0"
    return 0, "1.1 is committed" if command else "downloaded"


def is_bad(device: str) -> bool:
    """Whether the device finds that the model is bad."""
    return int(device.rpartition("-")[2]) % BAD_EVERY == BAD_EVERY - 1


def read_journal(folder: Path) -> dict[str, list[Promise]]:
    """What the devices of a folder have promised, in order."""
    found: dict[str, list[Promise]] = {}
    path = folder / JOURNAL
    if path.exists():
        for line in path.read_text().splitlines():
            device, sequence, event_id, kind, digest = line.split()
            promise = (int(sequence), event_id, kind, "" if digest == "-" else digest)
            found.setdefault(device, []).append(promise)
    return found


def main(settings: Settings) -> None:
    """Runs until its input ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a device has some seven files
    host = Host(settings)
    part.say(len(settings.names))
    try:
        part.answer(host.respond)
    finally:
        host.end()


if __name__ == "__main__":
    main(Settings(**json.loads(sys.argv[1])))
