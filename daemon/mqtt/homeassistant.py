"""Announces the camera to Home Assistant by MQTT discovery. Pure: topics and payloads out.

One retained message an entity, the form every version with discovery reads
(https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery). An empty retained message on the
same topic takes the entity away again.
"""

from __future__ import annotations

import json
import re
from typing import Any

from daemon.alerts.events import Violation
from daemon.mqtt.topics import Topics

MANUFACTURER = "Sitewatch"
MODEL = "Hard-hat camera"
_ID = re.compile(r"[^A-Za-z0-9_-]")
_VIOLATION_NAMES = {
    Violation.BARE_HEAD: "Bare heads today",
    Violation.HELMET_UNSEEN: "Helmets unseen today",
}


def announcements(
    topics: Topics, *, device_name: str, prefix: str, software_version: str
) -> dict[str, bytes]:
    """The configuration messages, by topic; each is to be retained.

    Args:
        topics: of the device.
        device_name: shown to people.
        prefix: Home Assistant's discovery prefix.
        software_version: of Sitewatch.
    """
    # Home Assistant takes only these characters in a discovery topic.
    node = f"sitewatch_{_ID.sub('_', topics.device_id)}"
    common = {
        "availability_topic": topics.availability,
        "device": {
            "identifiers": [node],
            "name": device_name,
            "manufacturer": MANUFACTURER,
            "model": MODEL,
            "sw_version": software_version,
        },
        "origin": {"name": MANUFACTURER, "sw_version": software_version},
    }
    messages: dict[str, bytes] = {}
    for component, name, fields in _entities(topics):
        config = {"unique_id": f"{node}_{name}", **fields, **common}
        messages[f"{prefix}/{component}/{node}/{name}/config"] = json.dumps(
            config, separators=(",", ":")
        ).encode()
    return messages


def _entities(topics: Topics) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (
            "binary_sensor",
            "violation",
            {
                "name": "Violation",
                "device_class": "safety",
                "state_topic": topics.state,
                "value_template": "{{ 'ON' if value_json.open_violations > 0 else 'OFF' }}",
            },
        ),
        (
            "binary_sensor",
            "paused",
            {
                "name": "Paused",
                "icon": "mdi:pause-circle",
                "entity_category": "diagnostic",
                "state_topic": topics.state,
                "value_template": "{{ 'ON' if value_json.paused else 'OFF' }}",
            },
        ),
        *(_count(topics, violation, name) for violation, name in _VIOLATION_NAMES.items()),
        _sensor(
            topics, "people", "People in view", "people_in_view", state_class="measurement",
            icon="mdi:account-multiple",
        ),
        _sensor(
            topics, "fps", "Frames a second", "frames_per_second", state_class="measurement",
            unit_of_measurement="fps", entity_category="diagnostic",
        ),
        _sensor(topics, "model", "Model version", "model_version", entity_category="diagnostic"),
        _sensor(
            topics, "temperature", "Processor temperature", "temperature_celsius",
            device_class="temperature", unit_of_measurement="°C", state_class="measurement",
            entity_category="diagnostic",
        ),
        _sensor(
            topics, "disk_free", "Disk free", "disk_free_bytes", device_class="data_size",
            unit_of_measurement="B", state_class="measurement", entity_category="diagnostic",
        ),
        _sensor(
            topics, "queued", "Messages waiting", "queued_messages", state_class="measurement",
            entity_category="diagnostic",
        ),
        (
            "image",
            "snapshot",
            {
                "name": "Last violation",
                "image_topic": topics.any_snapshot,
                "content_type": "image/jpeg",
            },
        ),
        (
            "image",
            "requested_snapshot",
            {
                "name": "Requested snapshot",
                "image_topic": topics.requested_snapshot,
                "content_type": "image/jpeg",
            },
        ),
        _button(topics, "take_snapshot", "Take a snapshot", '{"command":"snapshot"}'),
        _button(topics, "pause_hour", "Pause for an hour", '{"command":"pause","duration_s":3600}'),
        _button(topics, "resume", "Resume", '{"command":"resume"}'),
    ]  # fmt: skip


def _sensor(
    topics: Topics, name: str, title: str, state_field: str, **more: str
) -> tuple[str, str, dict[str, Any]]:
    fields = {
        "name": title,
        "state_topic": topics.state,
        "value_template": f"{{{{ value_json.{state_field} }}}}",
        **more,
    }
    return "sensor", name, fields


def _count(topics: Topics, violation: Violation, title: str) -> tuple[str, str, dict[str, Any]]:
    fields = {
        "name": title,
        "icon": "mdi:hard-hat",
        "state_class": "total_increasing",
        "state_topic": topics.state,
        "value_template": f"{{{{ value_json.violations_today.{violation.value} | default(0) }}}}",
    }
    return "sensor", f"{violation.value}_today", fields


def _button(topics: Topics, name: str, title: str, payload: str) -> tuple[str, str, dict[str, Any]]:
    fields = {"name": title, "command_topic": topics.command, "payload_press": payload, "qos": 1}
    return "button", name, fields
