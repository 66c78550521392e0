"""What Connect is asked and what it tells, whichever version of its interface. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Status(StrEnum):
    """Of a deployment on one device."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILED = "failed"
    ABORTED = "aborted"

    @property
    def final(self) -> bool:
        """Whether it stays so."""
        return self in (Status.SUCCESS, Status.FAILED, Status.ABORTED)


_WORDS: Mapping[str, Status] = {
    **{status.value: status for status in Status},
    "succeeded": Status.SUCCESS,
    "completed": Status.SUCCESS,
    "failure": Status.FAILED,
    "error": Status.FAILED,
    "reverted": Status.FAILED,
    "rolled_back": Status.FAILED,
    "canceled": Status.ABORTED,
    "cancelled": Status.ABORTED,
    "queued": Status.PENDING,
    "scheduled": Status.PENDING,
    "waiting": Status.PENDING,
    "running": Status.IN_PROGRESS,
    "updating": Status.IN_PROGRESS,
}


@dataclass(frozen=True, slots=True)
class Device:
    """Of a group.

    Attributes:
        uuid: Connect's name for it.
        name: ours.
    """

    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class Result:
    """Of one device.

    Attributes:
        device: which.
        status: of the deployment there.
        note: what Connect says beside it.
    """

    device: Device
    status: Status
    note: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A flow to be run on a group.

    Attributes:
        flow: its id.
        group: of devices.
        app: Connect's deployment tag; "" for none.
        version: of it; "" for none.
        comment: names this deployment and no other.
        parameters: of the flow; may be secret.
    """

    flow: str
    group: str
    app: str
    version: str
    comment: str
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)


class Connect(Protocol):
    """What a roll-out needs of Connect; raises ServiceError."""

    def devices(self, group: str) -> tuple[Device, ...]:
        """The devices of a group."""

    def start(self, order: Order) -> str:
        """Starts a flow, once; what the deployment is called afterwards, or ""."""

    def results(self, order: Order, deployment: str) -> tuple[Result, ...]:
        """How far it is on the devices that are told of."""


def status_of(word: object) -> Status | None:
    """The status that a word stands for; None for a word that nobody knows."""
    return _WORDS.get(str(word).strip().lower().replace(" ", "_").replace("-", "_"))


def objects_in(document: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a JSON document, outer ones first: where answers put theirs differs."""
    waiting = deque([document])  # a list would take time with the square of a fleet's size
    while waiting:
        found = waiting.popleft()
        if isinstance(found, Mapping):
            yield found
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def first_text(found: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of these members that is a text or a number; "" if none is."""
    for name in names:
        value = found.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return str(value)
    return ""
