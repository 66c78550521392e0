"""The demonstration's parts with real brokers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("amqtt", reason="the demonstration runs in .venv")

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from scripts.demonstration.broker import DemonstrationError, running_broker
from scripts.demonstration.subscriber import Subscriber
from updater.errors import SourceError

JPEG = b"\xff\xd8" + bytes(150_000)
"""As large as a snapshot gets; to the subscriber a picture is just bytes."""


@pytest.fixture(params=[False, True], ids=["mosquitto", "embedded"])
def embedded(request: pytest.FixtureRequest) -> bool:
    if not request.param and not shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/bin:/sbin"):
        pytest.skip("mosquitto is not installed: scripts/setup --tests")
    return bool(request.param)


def alert(kind: str, sequence: int) -> dict[str, Any]:
    """The fields of an alert that the subscriber reads."""
    return {
        "id": "abc", "type": kind, "sequence": sequence, "violation": "bare_head",
        "severity": "critical", "score": 0.9, "duration_s": 1.0,
        "snapshot": {"topic": "sitewatch/demo/alert/abc/snapshot"} if kind == "start" else None,
    }  # fmt: skip


def test_subscriber_receives_alerts_and_pictures(
    embedded: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        running_broker(tmp_path, embedded=embedded) as broker,
        Subscriber(broker.port, "demo", tmp_path) as subscriber,
    ):
        publisher = Client(CallbackAPIVersion.VERSION2)
        publisher.connect("127.0.0.1", broker.port)
        publisher.loop_start()
        start = json.dumps(alert("start", 1)).encode()
        for topic, payload in (
            ("alert", start),
            ("alert", start),  # the duplicate that QoS 1 allows
            ("alert/abc/snapshot", JPEG),
            ("state", b"{}"),  # not subscribed
            ("alert", json.dumps(alert("end", 3)).encode()),
        ):
            publisher.publish(f"sitewatch/demo/{topic}", payload, qos=1).wait_for_publish(10)
        subscriber.drain()
        publisher.disconnect()
        publisher.loop_stop()
    assert [event["type"] for event in subscriber.events] == ["start", "end"]
    assert subscriber.open_ids() == set()
    assert [path.read_bytes() for path in subscriber.pictures] == [JPEG]
    assert capsys.readouterr().out.count("bare_head") == 2


def test_a_broker_that_does_not_come_up_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.demonstration.broker.AMQTT", "listeners: nonsense {port}\n")
    with (
        pytest.raises(DemonstrationError, match=r"amqtt .* did not come up"),
        running_broker(tmp_path, embedded=True),
    ):
        pytest.fail("it came up")


def test_the_whole_demonstration(bundle: Path, project_root: Path) -> None:
    command = [sys.executable, "-m", "scripts.demonstration", "--embedded-broker"]
    done = subprocess.run(
        [*command, "--model", str(bundle)],
        cwd=project_root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "alert 1  start   bare_head" in done.stdout
    assert list((project_root / "demo-output").glob("alert-1-*.jpg"))


def test_a_video_that_is_none_is_named(project_root: Path) -> None:
    command = [sys.executable, "-m", "scripts.demonstration", "/nowhere/video.mp4"]
    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)
    assert done.returncode == SourceError.exit_code
    assert done.stderr == "demo: /nowhere/video.mp4: no such file\n"
