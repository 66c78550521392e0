"""The topics of one device. They are a public interface: docs/mqtt.md."""

from __future__ import annotations

import re
from dataclasses import dataclass

from updater.errors import ConfigError

TOPIC_MAX_BYTES = 256
"""AWS IoT Core takes no longer topics, nor more than 7 slashes (its "Message broker and protocol
limits"); MQTT itself allows 65,535 bytes."""

TOPIC_MAX_SLASHES = 7
_LEVELS_BELOW_DEVICE = 3  # alert/<id>/snapshot
_EVENT_ID_MAX_BYTES = 64
_PREFIX_LEVEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")
_DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EVENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Topics:
    """Makes the topics.

    Attributes:
        prefix: what stands before the device, e.g. ``sitewatch``.
        device_id: the device.

    Raises:
        ConfigError: prefix or device make no topic that every broker takes.
    """

    prefix: str
    device_id: str

    def __post_init__(self) -> None:
        levels = self.prefix.split("/")
        if not all(_PREFIX_LEVEL.fullmatch(level) for level in levels):
            raise ConfigError(
                f"{self.prefix!r} is no topic prefix",
                where="mqtt.topic_prefix",
                hint="Use letters, digits, '.', '_', '-', and '/' between levels.",
            )
        if not _DEVICE_ID.fullmatch(self.device_id):
            raise ConfigError(
                f"{self.device_id!r} is no device id",
                where="device.id",
                hint="Use 1 to 64 letters, digits, '.', '_', '-'.",
            )
        longest = self.snapshot("x" * _EVENT_ID_MAX_BYTES)
        slashes = len(levels) + _LEVELS_BELOW_DEVICE
        if len(longest) > TOPIC_MAX_BYTES or slashes > TOPIC_MAX_SLASHES:
            raise ConfigError(
                f"makes topics of {len(longest)} bytes and {slashes} slashes, "
                f"more than {TOPIC_MAX_BYTES} or {TOPIC_MAX_SLASHES}",
                where="mqtt.topic_prefix",
            )

    @property
    def availability(self) -> str:
        """``online`` or ``offline``, retained; the last will."""
        return self._below("availability")

    @property
    def alert(self) -> str:
        """Events."""
        return self._below("alert")

    def snapshot(self, event_id: str) -> str:
        """The picture of an event.

        Raises:
            ValueError: the id does not fit into a topic; ours always do.
        """
        if not _EVENT_ID.fullmatch(event_id):
            raise ValueError(f"event id {event_id!r} does not fit into a topic")
        return self._below(f"alert/{event_id}/snapshot")

    @property
    def any_snapshot(self) -> str:
        """Filter for the pictures of all events."""
        return self._below("alert/+/snapshot")

    @property
    def requested_snapshot(self) -> str:
        """The picture that the command ``snapshot`` asks for."""
        return self._below("snapshot")

    @property
    def state(self) -> str:
        """How the device is, retained."""
        return self._below("state")

    @property
    def command(self) -> str:
        """What the device is told."""
        return self._below("command")

    def _below(self, name: str) -> str:
        return f"{self.prefix}/{self.device_id}/{name}"
