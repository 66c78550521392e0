"""The publisher against a real Mosquitto: what users see, and what they see when it fails."""

from __future__ import annotations

import hashlib
import json
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from daemon.alerts.events import EventType
from daemon.clock import Clock
from daemon.config import DeviceConfig, MqttConfig, OutboxConfig
from daemon.mqtt.commands import Command, CommandName
from daemon.mqtt.homeassistant import announcements
from daemon.mqtt.messages import DeviceState
from daemon.mqtt.publisher import LinkState, Publisher
from daemon.mqtt.topics import Topics
from daemon.outbox.outbox import Outbox
from tests.support.alerts import JPEG, make_event
from tests.support.certificates import Authority
from tests.support.mosquitto import BrokerTls, Mosquitto
from tests.support.subscriber import WAIT_S, Subscriber
from updater.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
ALERT = "sitewatch/gate/alert"
AVAILABILITY = "sitewatch/gate/availability"
STATE = "sitewatch/gate/state"
COMMAND = "sitewatch/gate/command"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(OutboxConfig(path=tmp_path / "outbox.sqlite3")) as opened:
        yield opened


@contextmanager
def publishing(config: MqttConfig, outbox: Outbox, **more: Any) -> Iterator[Publisher]:
    """A publisher that waits as little as it may between its tries."""
    publisher = Publisher(
        config,
        outbox,
        device=DeviceConfig(id="gate", name="North gate"),
        clock=Clock(),
        jitter=lambda: 0.0,
        **more,
    )
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop()
        publisher.check()


def mqtt(broker: Mosquitto, **changes: Any) -> MqttConfig:
    return replace(MqttConfig(host=broker.host, port=broker.port, keepalive_s=5), **changes)


def until(happened: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline_s, f"not within {WAIT_S:.0f} s: {what}"
        time.sleep(0.01)


def schema(name: str) -> jsonschema.Draft202012Validator:
    loaded = json.loads((ROOT / "daemon" / "schemas" / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(loaded)
    return jsonschema.Draft202012Validator(loaded)


def test_messages_as_received_fit_their_schemas(tmp_path: Path, outbox: Outbox) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port) as subscriber:
        with publishing(mqtt(broker), outbox) as publisher:
            stamp = Clock().stamp()
            publisher.publish_state(DeviceState(violations_today={"bare_head": 2}, invoke_ms=31.5))
            publisher.publish_event(make_event(), JPEG, stamp)
            publisher.publish_event(make_event(type=EventType.UPDATE, zone="ramp"), None, stamp)
            publisher.publish_event(make_event(type=EventType.END), None, stamp)
            subscriber.wait(lambda _: len(subscriber.of(ALERT)) == 3, "three alerts")
            subscriber.wait(lambda _: bool(subscriber.of(STATE)), "the state")
        subscriber.wait(lambda _: len(subscriber.of(AVAILABILITY)) == 2, "online and offline")
        alerts = [json.loads(each.payload) for each in subscriber.of(ALERT)]
        for alert in alerts:
            schema("alert").validate(alert)
        schema("state").validate(json.loads(subscriber.of(STATE)[-1].payload))
        for availability in subscriber.of(AVAILABILITY):
            schema("availability").validate(availability.payload.decode())

    assert [alert["type"] for alert in alerts] == ["start", "update", "end"]
    assert [alert["sequence"] for alert in alerts] == [1, 2, 3]
    assert [alert["zone"] for alert in alerts] == ["", "ramp", ""]
    assert alerts[0]["box"] == [100.0, 50.0, 220.0, 410.0]
    assert alerts[0]["duration_s"] == 1.5
    assert alerts[1]["snapshot"] is None
    picture = subscriber.of(alerts[0]["snapshot"]["topic"])
    assert [each.payload for each in picture] == [JPEG]
    assert alerts[0]["snapshot"]["sha256"] == hashlib.sha256(JPEG).hexdigest()
    order = [each.topic for each in subscriber.arrivals if "/alert" in each.topic]
    assert order[:2] == [ALERT, "sitewatch/gate/alert/gate-0001/snapshot"]


def test_state_and_availability_are_retained_and_nothing_else(
    tmp_path: Path, outbox: Outbox
) -> None:
    with (
        Mosquitto(tmp_path / "broker") as broker,
        publishing(mqtt(broker), outbox) as publisher,
    ):
        publisher.publish_state(DeviceState())
        publisher.publish_event(make_event(), JPEG, Clock().stamp())
        until(lambda: publisher.status().delivered == 2, "delivery")
        with Subscriber(broker.port) as late:
            late.wait(lambda all_: len(all_) == 2, "two retained messages")
            assert {each.topic for each in late.arrivals} == {STATE, AVAILABILITY}
            assert all(each.retained for each in late.arrivals)
            assert late.of(AVAILABILITY)[0].payload == b"online"


def test_alerts_wait_while_the_broker_is_away_and_come_in_order(
    tmp_path: Path, outbox: Outbox
) -> None:
    broker = Mosquitto(tmp_path / "broker")
    with (
        broker,
        Subscriber(broker.port, ALERT) as subscriber,
        publishing(mqtt(broker), outbox) as publisher,
    ):
        publisher.publish_event(make_event("before"), None, Clock().stamp())
        subscriber.wait(lambda all_: len(all_) == 1, "the alert before")
        broker.stop()
        until(lambda: publisher.status().link is not LinkState.ONLINE, "noticing")
        for number in range(50):
            publisher.publish_event(make_event(f"away-{number:02d}"), JPEG, Clock().stamp())
        assert outbox.stats().messages == 100
        broker.start()
        subscriber.wait(lambda all_: len(all_) >= 51, "the alerts that waited")
        until(lambda: outbox.stats().messages == 0, "the outbox to empty")
    ids = [json.loads(each.payload)["id"] for each in subscriber.arrivals]
    assert ids == ["before", *(f"away-{number:02d}" for number in range(50))]


def test_alerts_without_a_broker_survive_a_restart(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    path = OutboxConfig(path=tmp_path / "outbox.sqlite3")
    with Outbox(path) as outbox, publishing(mqtt(broker), outbox) as publisher:
        publisher.publish_event(make_event("old"), None, Clock().stamp())
        until(lambda: publisher.status().last_error != "", "noticing that nobody answers")
        assert "cannot be reached" in publisher.status().last_error
    with (
        broker,
        Subscriber(broker.port, ALERT) as subscriber,
        Outbox(path) as outbox,
        publishing(mqtt(broker), outbox) as publisher,
    ):
        publisher.publish_event(make_event("new"), None, Clock().stamp())
        subscriber.wait(lambda all_: len(all_) == 2, "both alerts")
    found = [json.loads(each.payload) for each in subscriber.arrivals]
    assert [(each["id"], each["sequence"]) for each in found] == [("old", 1), ("new", 2)]


def test_a_refused_login_is_reported_and_mended_without_a_restart(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text("wrong-horse\n")
    user = tmp_path / "user"
    user.write_text("gate\n")
    with Mosquitto(tmp_path / "broker", users={"gate": "right-horse"}) as broker:
        config = mqtt(broker, username_file=user, password_file=secret)
        with publishing(config, outbox) as publisher:
            publisher.publish_event(make_event(), None, Clock().stamp())
            until(lambda: publisher.status().link is LinkState.REFUSED, "the refusal")
            assert "the broker refuses the login" in publisher.status().last_error
            assert publisher.status().connections == 0
            assert outbox.stats().messages == 1
            secret.write_text("right-horse\n")
            until(lambda: outbox.stats().messages == 0, "delivery with the right password")
    assert "the broker refuses the login" in caplog.text
    assert "horse" not in caplog.text


def test_tls_with_a_client_certificate(tmp_path: Path, outbox: Outbox) -> None:
    authority = Authority(tmp_path / "ca")
    broker_certificate, broker_key = authority.issue("broker")
    certificate, key = authority.issue("gate")
    tls = BrokerTls(authority.certificate, broker_certificate, broker_key, ask_clients=True)
    with Mosquitto(tmp_path / "broker", tls=tls) as broker:
        config = mqtt(
            broker,
            tls=True,
            ca_file=authority.certificate,
            certificate_file=certificate,
            key_file=key,
        )
        with publishing(config, outbox) as publisher:
            publisher.publish_event(make_event(), bytes(100_000), Clock().stamp())
            until(lambda: publisher.status().delivered == 2, "delivery over TLS")


def test_a_broker_that_asks_for_a_certificate_refuses_without_one(
    tmp_path: Path, outbox: Outbox
) -> None:
    authority = Authority(tmp_path / "ca")
    tls = BrokerTls(authority.certificate, *authority.issue("broker"), ask_clients=True)
    with Mosquitto(tmp_path / "broker", tls=tls) as broker:
        config = mqtt(broker, tls=True, ca_file=authority.certificate)
        with publishing(config, outbox) as publisher:
            publisher.publish_event(make_event(), None, Clock().stamp())
            until(lambda: publisher.status().link is LinkState.REFUSED, "the refusal")
            assert "certificate" in publisher.status().last_error
            assert outbox.stats().messages == 1


@pytest.mark.parametrize(
    ("trusted", "expired", "link", "words"),
    [
        (False, False, LinkState.REFUSED, "is not trusted"),
        (True, True, LinkState.WAITING, "Is the device's clock right"),
    ],
)
def test_a_broker_with_a_bad_certificate_gets_nothing(
    tmp_path: Path, outbox: Outbox, trusted: bool, expired: bool, link: LinkState, words: str
) -> None:
    authority = Authority(tmp_path / "ca")
    other = Authority(tmp_path / "other", "somebody else")
    tls = BrokerTls(authority.certificate, *authority.issue("broker", expired=expired))
    with Mosquitto(tmp_path / "broker", tls=tls) as broker:
        ca = authority.certificate if trusted else other.certificate
        with publishing(mqtt(broker, tls=True, ca_file=ca), outbox) as publisher:
            publisher.publish_event(make_event(), None, Clock().stamp())
            until(lambda: publisher.status().link is link, "the refusal")
            assert words in publisher.status().last_error
            assert outbox.stats().messages == 1


def test_a_killed_process_is_offline_by_its_last_will(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port) as subscriber:
        outbox, journal = str(tmp_path / "outbox.sqlite3"), str(tmp_path / "journal")
        arguments = [outbox, str(broker.port), journal, "100000", "1"]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.producer", *arguments], cwd=ROOT
        )
        try:
            subscriber.wait(lambda _: bool(subscriber.of(AVAILABILITY)), "online")
        finally:
            process.kill()
            process.wait()
        subscriber.wait(lambda _: len(subscriber.of(AVAILABILITY)) == 2, "the last will")
        assert [each.payload for each in subscriber.of(AVAILABILITY)] == [b"online", b"offline"]


def test_commands_are_checked_and_queued(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port) as subscriber:
        subscriber.publish(COMMAND, b'{"command":"resume"}', retain=True)
        with publishing(mqtt(broker), outbox) as publisher:
            until(lambda: publisher.status().commands_refused == 1, "refusing the retained one")
            subscriber.publish(COMMAND, b'{"command":"pause","duration_s":600}')
            assert publisher.commands.get(timeout=WAIT_S) == Command(CommandName.PAUSE, 600)
            for nonsense in (b"\xff", b"[]", b'{"command":"reboot"}'):
                subscriber.publish(COMMAND, nonsense)
            until(lambda: publisher.status().commands_refused == 4, "refusing nonsense")
            for _ in range(10):
                subscriber.publish(COMMAND, b'{"command":"snapshot"}')
            until(lambda: publisher.status().commands_refused >= 10, "refusing a flood")
            while True:
                try:
                    assert publisher.commands.get_nowait() == Command(CommandName.SNAPSHOT)
                except queue.Empty:
                    break
            assert publisher.publish_requested_snapshot(JPEG)
            subscriber.wait(lambda _: bool(subscriber.of("sitewatch/gate/snapshot")), "the picture")
    assert "retained" in caplog.text


def test_a_huge_retained_command_is_not_taken_in_and_stops_no_alert(
    tmp_path: Path, outbox: Outbox
) -> None:
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Subscriber(broker.port, ALERT) as subscriber,
        publishing(mqtt(broker), outbox) as publisher,
    ):
        until(lambda: publisher.status().link is LinkState.ONLINE, "online")
        subscriber.publish(COMMAND, bytes(60_000_000), retain=True)
        until(lambda: "sends a message of more than" in publisher.status().last_error, "noticing")
        publisher.publish_event(make_event(), None, Clock().stamp())
        subscriber.wait(lambda all_: len(all_) == 1, "the alert afterwards")
        assert publisher.commands.empty()


def announcements_of_gate() -> dict[str, bytes]:
    return announcements(
        Topics("sitewatch", "gate"),
        device_name="North gate",
        prefix="homeassistant",
        software_version=VERSION,
    )


def test_home_assistant_is_told_and_untold(tmp_path: Path) -> None:
    configs = "homeassistant/+/sitewatch_gate/+/config"
    path = OutboxConfig(path=tmp_path / "outbox.sqlite3")
    with Mosquitto(tmp_path / "broker") as broker:
        with (
            Outbox(path) as outbox,
            publishing(mqtt(broker, home_assistant=True), outbox) as publisher,
            Subscriber(broker.port, configs, client_id="first") as first,
        ):
            count = len(announcements_of_gate())
            first.wait(lambda all_: len(all_) == count, "the announcements")
            told = {each.topic for each in first.arrivals}
        # Off, and after a restart: what was announced before is taken back.
        with (
            Outbox(path) as outbox,
            Subscriber(broker.port, configs, client_id="second") as second,
            publishing(mqtt(broker, home_assistant=False), outbox) as publisher,
        ):
            second.wait(
                lambda all_: {each.topic for each in all_ if not each.payload} == told,
                "the clearing of every announcement",
            )
            until(lambda: outbox.note("home_assistant_topics") == "[]", "forgetting them")
            second.arrivals.clear()
            publisher.reload(mqtt(broker, home_assistant=True))
            second.wait(
                lambda all_: {each.topic for each in all_ if each.payload} == told,
                "announcements after a reload",
            )
        with Subscriber(broker.port, configs, client_id="third") as third:
            third.wait(lambda all_: {each.topic for each in all_} == told, "retained again")


def test_a_snapshot_that_the_broker_does_not_take_holds_up_nothing_for_ever(
    tmp_path: Path, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.mqtt.publisher.STEADY_S", 0.0)  # keeps the waits short
    lines = ("max_packet_size 20000",)
    with (
        Mosquitto(tmp_path / "broker", lines=lines) as broker,
        Subscriber(broker.port, ALERT) as subscriber,
        publishing(mqtt(broker), outbox) as publisher,
    ):
        publisher.publish_event(make_event("large"), bytes(50_000), Clock().stamp())
        publisher.publish_event(make_event("after"), None, Clock().stamp())
        subscriber.wait(
            lambda all_: any(json.loads(each.payload)["id"] == "after" for each in all_),
            "the alert after the snapshot",
        )
        until(lambda: outbox.stats().messages == 0, "the outbox to empty")
        assert outbox.stats().undeliverable == 1
        assert "50000 bytes" in publisher.status().last_error


def test_switched_off_it_keeps_alerts_in_the_outbox(outbox: Outbox) -> None:
    with publishing(MqttConfig(enabled=False), outbox) as publisher:
        publisher.publish_event(make_event(), JPEG, Clock().stamp())
        assert publisher.status().link is LinkState.DISABLED
    assert outbox.stats().messages == 2


def test_a_full_disk_does_not_stop_an_alert(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the outbox's folder should be")
    config = OutboxConfig(path=tmp_path / "state" / "outbox.sqlite3")
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Subscriber(broker.port, ALERT) as subscriber,
        Outbox(config) as outbox,
        publishing(mqtt(broker), outbox) as publisher,
    ):
        receipt = publisher.publish_event(make_event("live"), JPEG, Clock().stamp())
        assert not receipt.durable
        subscriber.wait(lambda all_: len(all_) == 1, "the alert from memory")
        assert "state" in outbox.stats().last_error
