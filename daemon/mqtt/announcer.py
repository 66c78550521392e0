"""Tells Home Assistant of the camera, and takes back what was told before and is not so now."""

from __future__ import annotations

import json
from collections.abc import Callable

from daemon.config import DeviceConfig, MqttConfig
from daemon.mqtt import homeassistant
from daemon.mqtt.topics import Topics
from daemon.outbox.outbox import Outbox
from updater.version import VERSION

NOTE = "home_assistant_topics"
Publish = Callable[[str, bytes], int]
"""Publishes a retained message, returns its id."""


class Announcer:
    """Keeps the retained configuration messages at the broker in step with the configuration.

    Which topics were announced is remembered in the outbox, so that switching the announcement
    off works after a restart too; and a broker that never had any gets no message at all (AWS IoT
    Core closes the connection over a topic that the policy does not name).

    Args:
        topics: of the device.
        device: its name.
        outbox: remembers.
    """

    def __init__(self, topics: Topics, device: DeviceConfig, outbox: Outbox) -> None:
        self._topics = topics
        self._device = device
        self._outbox = outbox
        self._wanted: list[str] = []
        self._clearing: set[int] = set()

    def announce(self, config: MqttConfig, publish: Publish) -> None:
        """Sends what is so, and clears what is not."""
        wanted: dict[str, bytes] = {}
        if config.home_assistant:
            wanted = homeassistant.announcements(
                self._topics,
                device_name=self._device.name or self._device.id,
                prefix=config.home_assistant_prefix,
                software_version=VERSION,
            )
        self._wanted = sorted(wanted)
        remembered = json.loads(self._outbox.note(NOTE) or "[]")
        known = sorted({*remembered, *wanted})
        if known != remembered:  # before they are sent: one too many is cleared, one too few stays
            self._outbox.keep_note(NOTE, json.dumps(known))
        for topic, payload in wanted.items():
            publish(topic, payload)
        self._clearing = {publish(topic, b"") for topic in known if topic not in wanted}

    def acknowledge(self, message_id: int) -> None:
        """Notes that the broker has a message; ids of other messages are ignored."""
        if message_id in self._clearing:
            self._clearing.discard(message_id)
            if not self._clearing:
                self._outbox.keep_note(NOTE, json.dumps(self._wanted))
