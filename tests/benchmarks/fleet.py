"""A simulated fleet of several sizes: what a device costs, and whether an event is lost.

Each size goes through four phases: the devices connect; they are idle (pings, states, polls); they
raise events in peace; they raise events while the broker is restarted and later killed, a fifth of
the devices has no network for a while, a fifth is killed, and a roll-out runs. Cost is processor
time, which depends little on what else the machine does; ratios are taken within one run.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.fleet.fleet import HOSTS, Fleet
from tests.support.fleet.host import is_bad

DEVICES = (125, 250, 500, 1000)
IDLE_S = 60.0
CALM_EVENTS = 6
CALM_S = 45.0
EVENTS = 12
"""Of a device, in each of the two phases with events."""

FAULTS_S = 60.0
ROLLOUT_POLL_S = 5.0
HOUR_S = 3600.0
PARTS = ("broker", "connect", "receiver", "devices")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a phase.

    Attributes:
        seconds: that it took.
        processor_s: by part, seconds.
        requests: that the agents made.
    """

    seconds: float
    processor_s: dict[str, float]
    requests: int


def measure(folder: Path, devices: Sequence[int] = DEVICES) -> dict[str, Any]:
    """Figures of each size, and how they grow with it."""
    sizes = []
    for count in devices:
        place = folder / str(count)
        place.mkdir()
        sizes.append(_one_size(place, count))
        print(json.dumps(sizes[-1]), file=sys.stderr, flush=True)  # the next one takes minutes
    return {"sizes": sizes, "growth": _growth(sizes) if len(sizes) > 1 else None}


def _one_size(folder: Path, count: int) -> dict[str, Any]:
    with Fleet(folder, count) as fleet:
        empty = fleet.resident_bytes()["broker"]
        connecting = _cost(fleet, fleet.start_devices)
        idle = _cost(fleet, lambda: time.sleep(IDLE_S))
        memory = fleet.resident_bytes()
        calm = _cost(fleet, lambda: _calm(fleet))
        rollouts: list[Any] = []
        faults = _cost(fleet, lambda: rollouts.append(_faults(fleet)))
        status = fleet.status()
        requests = fleet.connect.ask("requests")
        account = fleet.account()
    (rollout,) = rollouts
    hours = count * idle.seconds / HOUR_S
    events = count * CALM_EVENTS
    return {
        "devices": count,
        "lost": len(account.lost), "lost_pictures": len(account.lost_pictures),
        "disordered": account.disordered, "changed": account.changed,
        "promised": account.promised, "unpromised": account.unpromised,
        "repeated": account.repeated,
        "lost_of": sorted({device for device, _ in account.lost})[:10],
        "rollout": {
            "code": rollout.code,
            "in_table": len(rollout.statuses),
            "as_reported": sum(
                rollout.statuses.get(name) == ("failed" if is_bad(name) else "success")
                for name in fleet.names
            ),
            "processor_s": round(rollout.processor_s, 3),
        },
        "connections": status["connections"],
        "errors": status["errors"],
        "unanswered_polls": status["unanswered"],
        "requests": requests,
        "idle_requests_per_device_hour": round(idle.requests / hours, 1),
        "seconds": {
            "connecting": round(connecting.seconds, 1), "idle": round(idle.seconds, 1),
            "calm": round(calm.seconds, 1), "faults": round(faults.seconds, 1),
        },
        "broker_connect_ms_per_device": round(connecting.processor_s["broker"] / count * 1e3, 3),
        "idle_s_per_device_hour": {
            part: round(idle.processor_s[part] / hours, 4) for part in PARTS
        },
        "ms_per_event": {
            part: round(
                (calm.processor_s[part] - idle.processor_s[part] * calm.seconds / idle.seconds)
                / events * 1e3, 4,
            )
            for part in PARTS
        },
        "faults_s": {part: round(faults.processor_s[part], 2) for part in PARTS},
        "broker_kb_per_device": round((memory["broker"] - empty) / count / 1e3, 2),
        "mb": {part: round(size / 1e6, 1) for part, size in memory.items()},
        "raw_s": {
            "idle": {part: round(idle.processor_s[part], 4) for part in PARTS},
            "calm": {part: round(calm.processor_s[part], 4) for part in PARTS},
        },
    }  # fmt: skip


def _calm(fleet: Fleet) -> None:
    fleet.raise_events(CALM_EVENTS, CALM_S)
    fleet.wait_delivered()


def _faults(fleet: Fleet) -> Any:
    """The broker stopped and killed, devices cut off and killed, and a roll-out all the while."""
    goal = CALM_EVENTS + EVENTS
    began_s = time.monotonic()

    def at(second: float) -> None:
        time.sleep(max(0.0, began_s + second - time.monotonic()))

    def left_s() -> float:
        return max(5.0, began_s + FAULTS_S - time.monotonic())

    fleet.raise_events(goal, FAULTS_S)
    finish = fleet.start_rollout(ROLLOUT_POLL_S)
    at(5)
    fleet.broker_relay.silence()
    at(10)
    fleet.stop_broker()
    at(15)
    fleet.restart_host(HOSTS - 1, goal, left_s())
    fleet.broker.start()
    at(25)
    fleet.broker_relay.cut()
    fleet.connect_relay.cut()
    at(35)
    fleet.broker_relay.mend()
    fleet.connect_relay.mend()
    at(45)
    fleet.kill_broker()
    at(48)
    fleet.broker.start()
    rollout = finish()
    fleet.wait_delivered()
    fleet.wait_online()
    return rollout


def _cost(fleet: Fleet, phase: Callable[[], None]) -> Cost:
    def requests() -> int:
        return int(fleet.connect.ask("requests")["agents"])

    asked, before, began_s = requests(), fleet.processor_s(), time.monotonic()
    phase()
    after = fleet.processor_s()
    return Cost(
        seconds=time.monotonic() - began_s,
        processor_s={part: after[part] - before[part] for part in PARTS},
        requests=requests() - asked,
    )


def _growth(sizes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Cost = a + b n by least squares, with R², and the cost a device at the ends of the range."""
    counts = np.array([size["devices"] for size in sizes], float)
    costs: dict[str, Callable[[dict[str, Any]], float]] = {
        "broker, idle": lambda size: size["raw_s"]["idle"]["broker"],
        "broker, events": lambda size: size["raw_s"]["calm"]["broker"],
        "broker, memory": lambda size: size["mb"]["broker"],
        "stand-in, idle": lambda size: size["raw_s"]["idle"]["connect"],
        "devices, idle": lambda size: size["raw_s"]["idle"]["devices"],
        "devices, events": lambda size: size["raw_s"]["calm"]["devices"],
        "jfrog-connect.py": lambda size: size["rollout"]["processor_s"],
    }
    return {name: _fit(counts, np.array([of(one) for one in sizes])) for name, of in costs.items()}


def _fit(counts: Any, costs: Any) -> dict[str, float]:
    slope, start = np.polyfit(counts, costs, 1)
    rest = costs - (start + slope * counts)
    apart = costs - costs.mean()
    each = costs / counts
    return {
        "a": round(float(start), 4),
        "b": round(float(slope), 6),
        "r2": round(1 - float(rest @ rest) / float(apart @ apart), 4),
        "each_at_largest_over_second": round(float(each[-1] / each[1]), 3),
    }
