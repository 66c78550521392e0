"""Where Mosquitto's own limits lie for a fleet: its defaults against what docs/fleet.md recommends.

Each line of the result counts what a receiver with a session of its own got of what the broker had
acknowledged. None of it is the device's to mend: with the acknowledgement its part is done.
"""

from __future__ import annotations

import random
import resource
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.fleet.fleet import BROKER_LINES, Fleet
from tests.support.fleet.part import processor_s
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber, new_client

DEFAULTS = ("autosave_interval 1800", "max_queued_messages 1000", "max_inflight_messages 20")
"""Of Mosquitto 2.0, mosquitto.conf(5)."""

EACH_CHANGE = ("autosave_on_changes true", "autosave_interval 1", *BROKER_LINES[1:])
"""The recommended, but everything is saved after each message."""

WAITING = 3000
AT_ONCE = 500
CLIENTS = 1100
FILES = 1024
"""What systemd lets a service open at first (``DefaultLimitNOFILE=``, systemd-system.conf(5));
Debian's mosquitto.service does not ask for more."""

KILLS = 10
DEVICES = 50
BETWEEN_KILLS_S = 3.0
EVENTS_PER_KILL = 10
ALERT = "sitewatch/gate/alert"
QUIET_S = 2.0


def measure(folder: Path, bundle: Path, amount: int | None) -> dict[str, Any]:
    """What arrived, with the defaults and with the recommended settings.

    Args:
        folder: for files.
        bundle: not used.
        amount: how often the broker is killed.
    """
    del bundle
    found: dict[str, Any] = {"open_files": _open_files(folder / "files")}
    for name, lines, saves in (
        ("defaults", DEFAULTS, False),
        ("recommended", BROKER_LINES, True),
        ("each_change", EACH_CHANGE, True),
    ):
        place = folder / name
        found[name] = {
            "receiver_away": _receiver_away(place / "away", lines),
            "killed_then_published": _killed_then_published(place / "first", lines, saves),
            "published_then_killed": _published_then_killed(place / "last", lines),
            "killed_at_work": _killed_at_work(place / "work", lines, amount or KILLS),
        }
    return found


def _receiver_away(folder: Path, lines: Sequence[str]) -> dict[str, Any]:
    """Messages for a receiver that comes back later."""
    with Mosquitto(folder, lines=tuple(lines)) as broker:
        _subscribe(broker)
        return {**_publish(broker, WAITING), "arrived": _collected(broker)}


def _killed_then_published(folder: Path, lines: Sequence[str], saves: bool) -> dict[str, Any]:
    """The receiver went a minute ago, then the broker is killed, then messages come.

    Args:
        folder: for files.
        lines: of the configuration.
        saves: whether the broker has saved within this minute, which is not waited for.
    """
    with Mosquitto(folder, lines=tuple(lines)) as broker:
        _subscribe(broker)
        if saves:
            broker.save()
        broker.kill()
        broker.start()
        return {**_publish(broker, AT_ONCE), "arrived": _collected(broker)}


def _published_then_killed(folder: Path, lines: Sequence[str]) -> dict[str, Any]:
    """The broker is killed right after it has acknowledged messages for a receiver that is away."""
    with Mosquitto(folder, lines=tuple(lines)) as broker:
        _subscribe(broker)
        broker.save()
        told = _publish(broker, AT_ONCE)
        broker.kill()
        broker.start()
        return {**told, "arrived": _collected(broker)}


def _killed_at_work(folder: Path, lines: Sequence[str], kills: int) -> dict[str, Any]:
    """A fleet raises events while the broker is killed again and again."""
    folder.mkdir(parents=True)
    chance = random.Random(5)
    goal = kills * EVENTS_PER_KILL
    with Fleet(folder, DEVICES, hosts=2, poll_s=60.0, eager=True, lines=tuple(lines)) as fleet:
        fleet.start_devices()
        fleet.raise_events(goal, kills * BETWEEN_KILLS_S)
        for _ in range(kills):
            time.sleep(chance.uniform(0.5, 1.5) * BETWEEN_KILLS_S)
            fleet.kill_broker()
            fleet.broker.start()
        fleet.wait_delivered()
        account = fleet.account()
    return {
        "kills": kills, "promised": account.promised, "lost": len(account.lost),
        "lost_pictures": len(account.lost_pictures), "disordered": account.disordered,
    }  # fmt: skip


def _open_files(folder: Path) -> dict[str, int]:
    """Clients that a broker takes which may open as many files as systemd lets it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with Mosquitto(folder) as broker, ExitStack() as stack:
        resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        taken = 0
        for number in range(CLIENTS):
            client = stack.enter_context(socket.create_connection((broker.host, broker.port), 1.0))
            client.settimeout(0.2)
            name = b"c%d" % number
            # CONNECT of MQTT 3.1.1, section 3.1: clean session, keep-alive of 60 s.
            body = b"\0\4MQTT\4\2\0\x3c" + len(name).to_bytes(2, "big") + name
            client.sendall(b"\x10" + bytes([len(body)]) + body)
            try:
                taken += client.recv(4) == b"\x20\2\0\0"
            except OSError:
                break
        return {"allowed": FILES, "clients": taken}


def _subscribe(broker: Mosquitto) -> None:
    """A receiver that wants what comes while it is away."""
    with Subscriber(broker.port, ALERT):
        pass


def _publish(broker: Mosquitto, count: int) -> dict[str, Any]:
    """Messages until each is acknowledged, and the broker's processor time for one."""
    before_s = processor_s(broker.pid)
    client = new_client("sender")
    client.max_queued_messages_set(0)
    client.connect(broker.host, broker.port)
    client.loop_start()
    told = [client.publish(ALERT, b"%d" % number, qos=1) for number in range(count)]
    for one in told:
        one.wait_for_publish(60.0)
    client.disconnect()
    client.loop_stop()
    taken_ms = (processor_s(broker.pid) - before_s) * 1e3
    return {"acknowledged": count, "broker_ms_each": round(taken_ms / count, 4)}


def _collected(broker: Mosquitto) -> int:
    """How many messages a receiver gets that comes back."""
    with Subscriber(broker.port, ALERT) as receiver:
        before = -1
        while len(receiver.arrivals) != before:
            before = len(receiver.arrivals)
            time.sleep(QUIET_S)
        return len({each.payload for each in receiver.arrivals})
