"""Subscribes to the whole fleet, in a process of its own: ``python -m … SETTINGS``."""

from __future__ import annotations

import json
import sys
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support.fleet import part
from tests.support.fleet.tally import Arrivals
from tests.support.subscriber import new_client

CLIENT_ID = "fleet-receiver"
TOPICS = ("sitewatch/+/alert", "sitewatch/+/alert/+/snapshot", "sitewatch/+/availability")


class Receiver:
    """Counts what comes, with a session that outlives connections."""

    def __init__(self, port: int) -> None:
        self._lock = threading.Lock()
        self._arrivals = Arrivals()
        self._online: set[str] = set()
        self._subscribed = threading.Event()
        client = new_client(CLIENT_ID)
        client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in TOPICS])
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._take
        client.reconnect_delay_set(min_delay=1, max_delay=1)
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert self._subscribed.wait(30.0), "cannot subscribe"

    def respond(self, question: Any) -> Any:
        """``count``, or the path of a file for everything."""
        with self._lock:
            if question == "count":
                return {"online": len(self._online), "events": self._arrivals.events}
            arrived = self._arrivals
            told = {
                "first": {
                    device: list(events.values()) for device, events in arrived.first.items()
                },
                "pictures": sorted(arrived.pictures),
                "repeated": arrived.repeated,
                "changed": arrived.changed,
            }
        Path(question).write_text(json.dumps(told))
        return None

    def _take(self, _client: Any, _userdata: Any, message: Any) -> None:
        _, device, kind, *rest = str(message.topic).split("/")
        with self._lock:
            if kind == "availability":
                (self._online.add if message.payload == b"online" else self._online.discard)(device)
            elif rest:
                self._arrivals.pictures.add(sha256(message.payload).hexdigest())
            else:
                self._arrivals.take(device, message.payload)


def read(path: Path) -> Arrivals:
    """What a receiver has written."""
    told = json.loads(path.read_text())
    return Arrivals(
        first={
            device: {event[0]: tuple(event) for event in events}
            for device, events in told["first"].items()
        },
        pictures=set(told["pictures"]),
        repeated=told["repeated"],
        changed=told["changed"],
    )


if __name__ == "__main__":
    receiver = Receiver(json.loads(sys.argv[1])["broker_port"])
    part.say("subscribed")
    part.answer(receiver.respond)
