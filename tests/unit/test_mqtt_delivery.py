from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from daemon.config import OutboxConfig
from daemon.mqtt.delivery import WINDOW_BYTES, WINDOW_MESSAGES, Delivery
from daemon.outbox.outbox import Draft, Outbox


class Wire:
    """Stands for a connection: notes what is sent, gives ids as paho does."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self._ids = count(1)

    def publish(self, _topic: str, payload: bytes) -> int:
        self.sent.append(payload)
        return next(self._ids)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(OutboxConfig(path=tmp_path / "outbox.sqlite3")) as opened:
        yield opened


def fill(outbox: Outbox, number: int, size_bytes: int = 10) -> list[bytes]:
    payloads = [b"%d" % index + bytes(size_bytes) for index in range(number)]
    for payload in payloads:
        drafts = [Draft("alert", payload)]
        outbox.put(partial(lambda made, _: made, drafts), expendable=False)
    return payloads


def test_a_window_is_sent_in_order_and_refilled_as_it_empties(outbox: Outbox) -> None:
    payloads = fill(outbox, WINDOW_MESSAGES + 5)
    wire, delivery = Wire(), Delivery(outbox)
    for _ in range(3):
        delivery.send(wire.publish)
    assert wire.sent == payloads[:WINDOW_MESSAGES]
    delivery.acknowledge(1)
    delivery.acknowledge(2)
    delivery.send(wire.publish)
    assert wire.sent == payloads[: WINDOW_MESSAGES + 2]
    assert delivery.in_flight == WINDOW_MESSAGES


def test_bytes_bound_the_window_too(outbox: Outbox) -> None:
    fill(outbox, 10, WINDOW_BYTES // 3)
    wire, delivery = Wire(), Delivery(outbox)
    for _ in range(5):
        delivery.send(wire.publish)
    assert sum(map(len, wire.sent)) <= WINDOW_BYTES
    assert len(wire.sent) == 2


def test_a_message_larger_than_the_window_goes_alone(outbox: Outbox) -> None:
    payloads = fill(outbox, 2, WINDOW_BYTES * 2)
    wire, delivery = Wire(), Delivery(outbox)
    delivery.send(wire.publish)
    delivery.send(wire.publish)
    assert wire.sent == payloads[:1]
    delivery.acknowledge(1)
    delivery.send(wire.publish)
    assert wire.sent == payloads


def test_only_what_was_acknowledged_is_deleted(outbox: Outbox) -> None:
    payloads = fill(outbox, 3)
    wire, delivery = Wire(), Delivery(outbox)
    delivery.send(wire.publish)
    delivery.acknowledge(2)
    delivery.acknowledge(99)  # of a state message
    delivery.settle()
    assert delivery.delivered == 1
    again = Wire()
    Delivery(outbox).send(again.publish)
    assert again.sent == [payloads[0], payloads[2]]


def test_after_trouble_one_waits_for_the_other_until_the_first_has_arrived(outbox: Outbox) -> None:
    payloads = fill(outbox, 5)
    wire, delivery = Wire(), Delivery(outbox, one_by_one=True)
    for _ in range(3):
        delivery.send(wire.publish)
    assert wire.sent == payloads[:1]
    oldest = delivery.oldest
    assert oldest is not None
    assert oldest.payload == payloads[0]
    delivery.acknowledge(1)
    delivery.send(wire.publish)
    assert wire.sent == payloads
