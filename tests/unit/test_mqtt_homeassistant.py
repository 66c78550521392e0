from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from daemon.alerts.events import Violation
from daemon.mqtt.homeassistant import announcements
from daemon.mqtt.messages import DeviceState
from daemon.mqtt.topics import Topics

TOPICS = Topics("sitewatch", "gate.1")
SCHEMAS = Path(__file__).resolve().parents[2] / "daemon" / "schemas"
_TOPIC = re.compile(r"homeassistant/(binary_sensor|sensor|image|button)/[\w-]+/[\w-]+/config")


@pytest.fixture
def configs() -> dict[str, dict[str, Any]]:
    made = announcements(
        TOPICS, device_name="Gate", prefix="homeassistant", software_version="1.2.3"
    )
    return {topic: json.loads(payload) for topic, payload in made.items()}


def test_topics_have_the_form_that_home_assistant_reads(
    configs: dict[str, dict[str, Any]],
) -> None:
    assert all(_TOPIC.fullmatch(topic) for topic in configs)


def test_all_belong_to_one_device_and_follow_its_availability(
    configs: dict[str, dict[str, Any]],
) -> None:
    assert len({json.dumps(config["device"]) for config in configs.values()}) == 1
    assert {config["availability_topic"] for config in configs.values()} == {TOPICS.availability}
    ids = [config["unique_id"] for config in configs.values()]
    assert len(set(ids)) == len(ids)


def test_what_was_asked_for_is_there(configs: dict[str, dict[str, Any]]) -> None:
    names = {topic.split("/")[1] + "/" + topic.split("/")[3] for topic in configs}
    assert {
        "binary_sensor/violation", "sensor/model", "sensor/temperature", "sensor/fps",
        "sensor/people", "image/snapshot",
    } <= names  # fmt: skip
    assert {f"sensor/{each.value}_today" for each in Violation} <= names


def test_templates_name_fields_that_the_state_has(configs: dict[str, dict[str, Any]]) -> None:
    fields = set(DeviceState.__dataclass_fields__)
    for config in configs.values():
        used = re.findall(r"value_json\.(\w+)", config.get("value_template", ""))
        assert set(used) <= fields
        if "value_template" in config:
            assert config["state_topic"] == TOPICS.state
            assert used


def test_buttons_send_commands_that_the_schema_allows(
    configs: dict[str, dict[str, Any]],
) -> None:
    schema = json.loads((SCHEMAS / "command.json").read_text())
    buttons = [config for topic, config in configs.items() if "/button/" in topic]
    assert len(buttons) == 3
    for button in buttons:
        jsonschema.validate(json.loads(button["payload_press"]), schema)
        assert button["command_topic"] == TOPICS.command


def test_another_prefix_is_used() -> None:
    made = announcements(TOPICS, device_name="Gate", prefix="ha", software_version="1")
    assert all(topic.startswith("ha/") for topic in made)
