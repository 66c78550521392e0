"""What agents of simulated devices ask the stand-in for Connect: work, and to take a report.

**This is no interface of JFrog's**: how Connect's own agent speaks is not documented. It is as much
as is known of it: agents poll outbound, every 15 s; they run a flow's steps, and say how they went.

``GET /simulated-agent/DEVICE/work`` gives the steps that are left (204: none) and the command of
the General Rollback; ``POST /simulated-agent/DEVICE/report`` takes how one step went. Both may be
asked again: an agent that was cut off gets what is left, and a report that came before changes
nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.connect_server import Step

AGENTS = "/simulated-agent/"
POLL_S = 15.0
"""Of Connect's agent, unless it is told otherwise."""


class UnknownDeviceError(Exception):
    """No group has this device."""


@dataclass(slots=True)
class _Assignment:
    deployment: str
    steps: Sequence[Step]
    rollback: str
    next: int = 0


class Desk:
    """Which steps each device has still to do. Any thread may use it.

    Args:
        devices: known ones.
    """

    def __init__(self, devices: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[_Assignment]] = {device: deque() for device in devices}

    def assign(
        self, deployment: str, devices: Iterable[str], steps: Sequence[Step], rollback: str
    ) -> None:
        """Lets devices do steps, after those that they have still to do."""
        with self._lock:
            for device in devices:
                self._waiting[device].append(_Assignment(deployment, steps, rollback))

    def work(self, device: str) -> dict[str, Any] | None:
        """What is left of the oldest deployment, as JSON; None if nothing is.

        Raises:
            UnknownDeviceError: the device is in no group.
        """
        with self._lock:
            waiting = self._of(device)
            if not waiting:
                return None
            first = waiting[0]
            return {
                "deployment": first.deployment,
                "first": first.next,
                "rollback": first.rollback,
                "steps": [
                    {"kind": step.kind, "run": step.run, "with": dict(step.with_)}
                    for step in first.steps[first.next :]
                ],
            }

    def report(self, device: str, deployment: str, step: int, code: int) -> str:
        """Takes how a step went.

        Returns:
            The deployment's status on the device now; "" if the report was known.

        Raises:
            UnknownDeviceError: the device is in no group.
        """
        with self._lock:
            waiting = self._of(device)
            if not waiting or (waiting[0].deployment, waiting[0].next) != (deployment, step):
                return ""
            waiting[0].next += 1
            if code == 0 and waiting[0].next < len(waiting[0].steps):
                return "in_progress"
            waiting.popleft()
            return "success" if code == 0 else "failed"

    def _of(self, device: str) -> deque[_Assignment]:
        try:
            return self._waiting[device]
        except KeyError:
            raise UnknownDeviceError(device) from None
