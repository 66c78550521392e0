"""What arrived of what was promised, by device and sequence number. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Promise = tuple[int, str, str, str]
"""Sequence, id and type of an event, and its picture's SHA-256 ("" without)."""


@dataclass(slots=True)
class Arrivals:
    """What a subscriber has seen.

    Attributes:
        first: events by device, in the order in which each arrived first.
        pictures: hashes of the pictures.
        repeated: events that came again.
        changed: events that came again and were not the same.
    """

    first: dict[str, dict[int, Promise]] = field(default_factory=dict)
    pictures: set[str] = field(default_factory=set)
    repeated: int = 0
    changed: int = 0

    def take(self, device: str, payload: bytes) -> None:
        """Notes an alert that came on a device's topic."""
        alert = json.loads(payload)
        picture = alert["snapshot"]["sha256"] if alert["snapshot"] else ""
        event = (int(alert["sequence"]), str(alert["id"]), str(alert["type"]), str(picture))
        events = self.first.setdefault(device, {})
        if event[0] in events:
            self.repeated += 1
            self.changed += events[event[0]] != event
        else:
            events[event[0]] = event

    @property
    def events(self) -> int:
        """Different events so far."""
        return sum(map(len, self.first.values()))


@dataclass(frozen=True, slots=True)
class Account:
    """Promised against arrived.

    Attributes:
        promised: events that ``publish_event`` had accepted.
        lost: of these, those that never came: device and sequence.
        lost_pictures: the same of pictures.
        disordered: events that came first after a later one of their device.
        unpromised: events that came without a promise: a process was killed between the two.
        repeated: events that came again, as QoS 1 allows.
        changed: events that came again and were not the same.
    """

    promised: int
    lost: tuple[tuple[str, int], ...]
    lost_pictures: tuple[tuple[str, int], ...]
    disordered: int
    unpromised: int
    repeated: int
    changed: int

    @property
    def holds(self) -> bool:
        """Whether nothing is lost, and order holds."""
        return not (self.lost or self.lost_pictures or self.disordered or self.changed)


def account(promised: Mapping[str, Sequence[Promise]], arrived: Arrivals) -> Account:
    """Compares."""
    lost, lost_pictures = [], []
    for device, events in promised.items():
        got = arrived.first.get(device, {})
        lost += [(device, event[0]) for event in events if got.get(event[0]) != event]
        lost_pictures += [
            (device, event[0]) for event in events if event[3] and event[3] not in arrived.pictures
        ]
    disordered = unpromised = 0
    for device, got in arrived.first.items():
        newest = 0
        for sequence in got:
            disordered += sequence < newest
            newest = max(newest, sequence)
        unpromised += len(got.keys() - {event[0] for event in promised.get(device, ())})
    return Account(
        promised=sum(map(len, promised.values())),
        lost=tuple(lost),
        lost_pictures=tuple(lost_pictures),
        disordered=disordered,
        unpromised=unpromised,
        repeated=arrived.repeated,
        changed=arrived.changed,
    )
