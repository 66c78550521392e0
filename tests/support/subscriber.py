"""A real MQTT subscriber for tests, with paho-mqtt 1.6 or 2.x."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho

WAIT_S = 30.0
"""Far more than anything here takes: a time-out means that it does not happen."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it arrived.

    Attributes:
        topic: where it was published.
        payload: what it says.
        retained: whether the broker kept it from before we subscribed.
        arrived_s: monotonic time of arrival.
    """

    topic: str
    payload: bytes
    retained: bool
    arrived_s: float


class Subscriber:
    """Subscribes with a session that outlives connections, so that it misses nothing.

    Args:
        port: of the broker.
        topics: filters to subscribe to, with QoS 1.
        client_id: its name; one that the broker knows goes on where it stopped.
        configure: changes the client before it connects, for users and TLS.
        host: of the broker.
    """

    def __init__(
        self,
        port: int,
        *topics: str,
        client_id: str = "subscriber",
        configure: Callable[[Any], None] = lambda client: None,
        host: str = "127.0.0.1",
    ) -> None:
        self.arrivals: list[Arrival] = []
        self._topics = topics or ("#",)
        self._address = (host, port)
        self._changed = threading.Condition()
        self._subscribed = False
        self._client = new_client(client_id)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        configure(self._client)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publishes a message and waits until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(WAIT_S)

    def wait(self, happened: Callable[[list[Arrival]], bool], what: str) -> list[Arrival]:
        """Waits until the arrivals are as they should be.

        Args:
            happened: says whether they are.
            what: said if they never are.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: happened(self.arrivals), WAIT_S):
                got = [(each.topic, each.payload[:120]) for each in self.arrivals[-20:]]
                raise AssertionError(f"not within {WAIT_S:.0f} s: {what}; last came {got}")
            return list(self.arrivals)

    def of(self, topic: str) -> list[Arrival]:
        """What came on one topic so far."""
        with self._changed:
            return [each for each in self.arrivals if each.topic == topic]

    def __enter__(self) -> Subscriber:
        self._client.connect(*self._address)
        self._client.loop_start()
        with self._changed:
            assert self._changed.wait_for(lambda: self._subscribed, WAIT_S), "cannot subscribe"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Any, *_: Any) -> None:
        client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(self, *_: Any) -> None:
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        arrival = Arrival(message.topic, message.payload, bool(message.retain), time.monotonic())
        with self._changed:
            self.arrivals.append(arrival)
            self._changed.notify_all()


def new_client(client_id: str) -> Any:
    """A client of the paho that is installed."""
    if hasattr(paho, "CallbackAPIVersion"):
        return paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False
        )
    old_client: Any = paho.Client
    return old_client(client_id=client_id, clean_session=False)
