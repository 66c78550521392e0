"""A real subscriber: prints alerts as they arrive, keeps their pictures."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from scripts.demonstration.broker import DemonstrationError

CONNECT_TIMEOUT_S = 10.0
DRAIN_TIMEOUT_S = 10.0
"""How long messages may take that the daemon handed to the broker before it ended."""


class Subscriber:
    """Subscribes to a device's alerts and pictures while it is open.

    Attributes:
        events: alerts received, without the duplicates that QoS 1 allows.
        pictures: files written.
    """

    def __init__(self, port: int, device: str, folder: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.pictures: list[Path] = []
        self._alert_topic = f"sitewatch/{device}/alert"
        self._folder = folder
        self._seen: set[tuple[str, int]] = set()
        self._numbers: dict[str, int] = {}
        self._ready = threading.Event()
        self._changed = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="sitewatch-demo-subscriber")
        self._client.on_connect = lambda client, *_: client.subscribe(f"{self._alert_topic}/#", 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._port = port

    def __enter__(self) -> Self:
        """Connects; returns once the broker has accepted the subscription."""
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        if not self._ready.wait(CONNECT_TIMEOUT_S):
            self._client.loop_stop()
            raise DemonstrationError("the broker does not answer the subscriber")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()

    def open_ids(self) -> set[str]:
        """Violations that have started and not ended."""
        of_type = {
            kind: {event["id"] for event in self.events if event["type"] == kind}
            for kind in ("start", "end")
        }
        return of_type["start"] - of_type["end"]

    def drain(self) -> None:
        """Waits for what is still on its way: the end of each violation, and its picture."""
        until_s = time.monotonic() + DRAIN_TIMEOUT_S
        with self._changed:
            while self._incomplete() and time.monotonic() < until_s:
                self._changed.wait(until_s - time.monotonic())

    def _incomplete(self) -> bool:
        announced = sum(event["snapshot"] is not None for event in self.events)
        return bool(self.open_ids()) or len(self.pictures) < announced

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        with self._changed:
            if message.topic == self._alert_topic:
                self._take_alert(json.loads(message.payload))
            elif message.topic.endswith("/snapshot"):
                self._take_picture(message.topic.split("/")[-2], bytes(message.payload))
            self._changed.notify_all()

    def _take_alert(self, event: dict[str, Any]) -> None:
        key = (event["id"], event["sequence"])
        if key in self._seen:
            return
        self._seen.add(key)
        self.events.append(event)
        number = self._numbers.setdefault(event["id"], len(self._numbers) + 1)
        print(
            f"alert {number}  {event['type']:<6}  {event['violation']}  {event['severity']}  "
            f"score {event['score']:.2f}  after {event['duration_s']:.1f} s",
            flush=True,
        )

    def _take_picture(self, event_id: str, jpeg: bytes) -> None:
        number = self._numbers.get(event_id, 0)
        path = self._folder / f"alert-{number}-{len(self.pictures) + 1}.jpg"
        path.write_bytes(jpeg)
        self.pictures.append(path)
        print(f"alert {number}  picture {path} ({len(jpeg) // 1000} kB)", flush=True)
