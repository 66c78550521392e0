"""Publishes events, state and pictures from a thread of its own, and takes in commands.

An event goes into the outbox, on disk, before :meth:`Publisher.publish_event` returns; the thread
is woken at once and sends it. The camera loop therefore never waits for the network, only for the
disk, and only when there is an alert.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from daemon.clock import Clock, Stamp
from daemon.config import DeviceConfig, MqttConfig
from daemon.events import AlertEvent, EventType
from daemon.mqtt import credentials, homeassistant, messages
from daemon.mqtt.backoff import Backoff
from daemon.mqtt.commands import BURST, EVERY_S, Command, CommandRefusedError, parse
from daemon.mqtt.connection import BrokerUnreachableError, Connection, Received, Will
from daemon.mqtt.delivery import Delivery
from daemon.mqtt.messages import DeviceState, SnapshotReference
from daemon.mqtt.ratelimit import TokenBucket
from daemon.mqtt.topics import Topics
from daemon.outbox import Draft, Outbox, Receipt
from updater.errors import BrokerError, ConfigError
from updater.version import VERSION

AWS_HOST_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn")
AWS_PUBLISH_MAX_BYTES = 131_072
"""Topic, header and payload together; more and AWS IoT Core closes the connection ("AWS IoT Core
message broker and protocol limits")."""

PUBLISH_OVERHEAD_BYTES = 300
"""Fixed header and a topic of up to 256 bytes."""

LOGIN_TIMEOUT_S = 20.0
ACKNOWLEDGE_TIMEOUT_S = 60.0
"""Without any acknowledgement while some are due, the connection is given up and made again."""

STEADY_S = 30.0
"""A connection that lasted so long, or delivered something, ends a series of failures."""

IDLE_S = 1.0
"""Longest wait for the network, so that pings are sent in time."""

FAREWELL_S = 2.0
"""At a stop, time for the last acknowledgements; the rest waits on disk."""

SUSPECT_TRIES = 3
GIVE_UP_TRIES = 8
"""Connections that broke over one message before that is said, and before a snapshot is given up
(too large for this broker); an alert never is."""

COMMANDS_MAX = 16
_ANNOUNCED = "home_assistant_topics"
_log = logging.getLogger(__name__)


class LinkState(StrEnum):
    """How the connection stands."""

    DISABLED = "disabled"
    CONNECTING = "connecting"
    ONLINE = "online"
    WAITING = "waiting"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """How the publisher stands.

    Attributes:
        link: the connection.
        connections: logins that the broker accepted.
        delivered: alerts and snapshots that the broker acknowledged, since the start.
        commands_refused: commands that were not carried out, since the start.
        last_error: why the link is not online, or why it was not the last time; empty if never.
    """

    link: LinkState
    connections: int
    delivered: int
    commands_refused: int
    last_error: str


class Publisher:
    """The way to the broker.

    Args:
        config: the broker's section.
        outbox: holds what waits; must stay open until :meth:`stop` has returned.
        device: who we are; ``device.id`` is already filled in.
        clock: stamps state messages.
        environment: for systemd's credentials.

    Raises:
        ConfigError: a credential file or a topic is wrong.
    """

    def __init__(
        self,
        config: MqttConfig,
        outbox: Outbox,
        *,
        device: DeviceConfig,
        clock: Clock,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.topics = Topics(config.topic_prefix, device.id)
        self.commands: queue.Queue[Command] = queue.Queue(COMMANDS_MAX)
        self._config = config
        self._device = device
        self._outbox = outbox
        self._clock = clock
        self._environment = environment
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._state: bytes | None = None
        self._state_due = False
        self._picture: bytes | None = None
        self._announce_due = False
        self._failure: Exception | None = None
        self._bucket = TokenBucket(burst=BURST, every_s=EVERY_S)
        self._link = LinkState.DISABLED
        self._connections = 0
        self._delivered = 0
        self._commands_refused = 0
        self._last_error = ""
        self._suspect = (0, 0)  # position, connections that broke over it
        self._short_lived = 0
        if config.enabled:
            credentials.load(config, environment)
            if config.username_file is not None and not config.tls and not _is_local(config.host):
                _log.warning("mqtt.tls is off: the password crosses the network in the clear")

    @property
    def snapshot_max_bytes(self) -> int:
        """Most bytes of a snapshot for this broker."""
        limit = self._config.snapshot_max_bytes
        if self._config.host.endswith(AWS_HOST_SUFFIXES):
            limit = min(limit, AWS_PUBLISH_MAX_BYTES - PUBLISH_OVERHEAD_BYTES)
        return limit

    def start(self) -> None:
        """Starts the thread; does nothing where MQTT is switched off."""
        if self._config.enabled and self._thread is None:
            self._link = LinkState.CONNECTING
            self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 4.0) -> None:
        """Says goodbye to the broker and ends the thread; what was not delivered stays on disk.

        Args:
            timeout_s: longest wait. A thread that still waits for the network then, e.g. for a
                name server, is left behind; it holds nothing that matters.
        """
        self._stop.set()
        self._ring()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                _log.warning("mqtt: still waits for the network, left behind")
        self._link = LinkState.STOPPED

    def check(self) -> None:
        """Raises what ended the thread, if something did that should not.

        Raises:
            Exception: a bug; alerts then pile up in the outbox, so the process should end.
        """
        if self._failure is not None:
            raise self._failure

    def publish_event(
        self, event: AlertEvent, snapshot_jpeg: bytes | None, stamp: Stamp
    ) -> Receipt:
        """Puts an event, and its picture if there is one, into the outbox and has them sent.

        The alert is sent before its snapshot: it is small, and must not wait behind a picture on
        a slow link. Both are stored in one transaction, so neither comes without the other.

        Args:
            event: the event.
            snapshot_jpeg: at most :attr:`snapshot_max_bytes`; a larger one is left out.
            stamp: when the event's frame was taken.
        """
        topic = self.topics.snapshot(event.event_id)
        if snapshot_jpeg is not None and len(snapshot_jpeg) > self.snapshot_max_bytes:
            _log.warning(
                "event %s: its snapshot of %d bytes is left out, at most %d are allowed",
                event.event_id,
                len(snapshot_jpeg),
                self.snapshot_max_bytes,
            )
            snapshot_jpeg = None
        reference = None if snapshot_jpeg is None else SnapshotReference.of(snapshot_jpeg, topic)

        def drafts(sequence: int) -> list[Draft]:
            alert = messages.alert_payload(
                event,
                device_id=self.topics.device_id,
                stamp=stamp,
                sequence=sequence,
                snapshot=reference,
            )
            pictures = [] if snapshot_jpeg is None else [Draft(topic, snapshot_jpeg)]
            return [Draft(self.topics.alert, alert), *pictures]

        receipt = self._outbox.put(drafts, expendable=event.type is EventType.UPDATE)
        self._ring()
        return receipt

    def publish_state(self, state: DeviceState) -> None:
        """Publishes the state, retained; only the newest is kept while the broker is away."""
        payload = messages.state_payload(
            state, device_id=self.topics.device_id, stamp=self._clock.stamp()
        )
        with self._mutex:
            self._state = payload
            self._state_due = True
        self._ring()

    def publish_requested_snapshot(self, jpeg: bytes) -> bool:
        """Publishes the answer to the command ``snapshot``, at once or never.

        Returns:
            Whether the broker is there and the picture is not too large.
        """
        if self._link is not LinkState.ONLINE or len(jpeg) > self.snapshot_max_bytes:
            return False
        with self._mutex:
            self._picture = jpeg
        self._ring()
        return True

    def reload(self, config: MqttConfig) -> None:
        """Takes over what may change while running; the caller has checked what may."""
        with self._mutex:
            self._config = config
            self._announce_due = True
        self._ring()

    def status(self) -> PublisherStatus:
        """How it stands."""
        return PublisherStatus(
            link=self._link,
            connections=self._connections,
            delivered=self._delivered,
            commands_refused=self._commands_refused,
            last_error=self._last_error,
        )

    def _ring(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        backoff = Backoff()
        try:
            while not self._stop.is_set():
                self._outbox.maintain()
                self._link = LinkState.CONNECTING
                connection_began_s = self._clock.monotonic_s()
                delivered = self._delivered
                try:
                    self._one_connection()
                except ConfigError as error:  # a credential file has vanished or changed
                    backoff, refused = backoff.failed(), True
                    self._report(error)
                except BrokerError as error:
                    lasted_s = self._clock.monotonic_s() - connection_began_s
                    if self._delivered > delivered or lasted_s > STEADY_S:
                        backoff = Backoff()
                    backoff = backoff.failed()
                    refused = not isinstance(error, BrokerUnreachableError)
                    self._report(error)
                else:
                    return
                self._link = LinkState.REFUSED if refused else LinkState.WAITING
                self._stop.wait(backoff.delay_s(refused=refused, jitter=random.random()))
        except Exception as error:
            self._failure = error
            self._last_error = f"the MQTT thread has ended: {error!r}"
            raise

    def _report(self, error: BrokerError | ConfigError) -> None:
        if str(error) != self._last_error:  # said once, not with every try
            _log.error("%s", error)
        self._last_error = str(error)

    def _one_connection(self) -> None:
        """Connects and serves until the connection ends, which raises, or until we stop."""
        config = self._config
        connection = Connection(
            config.host,
            config.port,
            client_id=config.client_id or f"sitewatch-{self.topics.device_id}",
            keepalive_s=config.keepalive_s,
            will=Will(self.topics.availability, messages.OFFLINE),
            credentials=credentials.load(config, self._environment),
        )
        delivery = Delivery(self._outbox, one_by_one=self._suspect[1] > 0)
        try:
            connection.open()
            self._await_login(connection)
            self._connections += 1
            try:
                self._serve(connection, delivery)
            except BrokerUnreachableError as error:
                raise self._judge(error, delivery) from error
            finally:
                delivery.settle()
            connection.close(politely=True)
        finally:
            connection.close(politely=False)

    def _await_login(self, connection: Connection) -> None:
        deadline_s = self._clock.monotonic_s() + LOGIN_TIMEOUT_S
        while not connection.accepted:
            self._drain()
            connection.step(IDLE_S, self._wake)
            if self._clock.monotonic_s() > deadline_s:
                raise BrokerUnreachableError(
                    f"does not answer the login within {LOGIN_TIMEOUT_S:.0f} s",
                    where=connection.where,
                    hint="Is it an MQTT broker, and does it expect TLS?",
                )

    def _serve(self, connection: Connection, delivery: Delivery) -> None:
        connection.publish(self.topics.availability, messages.ONLINE, retain=True)
        connection.subscribe(self.topics.command)
        self._link = LinkState.ONLINE
        _log.info("%s: online", connection.where)
        with self._mutex:
            self._state_due = self._state is not None
            self._announce_due = True
        clearing: set[int] = set()
        progress_s = self._clock.monotonic_s()
        while not self._stop.is_set():
            self._drain()
            self._send_live(connection, clearing)
            delivery.send(connection.publish)
            connection.step(IDLE_S, self._wake)
            if connection.acknowledged or connection.sending or not delivery.in_flight:
                progress_s = self._clock.monotonic_s()
            self._settle(connection, delivery, clearing)
            if not delivery.in_flight:
                self._outbox.maintain()
            if self._clock.monotonic_s() - progress_s > ACKNOWLEDGE_TIMEOUT_S:
                raise BrokerUnreachableError(
                    f"acknowledges nothing for {ACKNOWLEDGE_TIMEOUT_S:.0f} s",
                    where=connection.where,
                )
        self._say_goodbye(connection, delivery, clearing)

    def _send_live(self, connection: Connection, clearing: set[int]) -> None:
        """Sends what is not worth keeping on disk: the newest state, a picture asked for."""
        with self._mutex:
            state = self._state if self._state_due else None
            picture, self._picture = self._picture, None
            announce, self._announce_due = self._announce_due, False
            self._state_due = False
            config = self._config
        if announce:
            self._announce(connection, config, clearing)
        if state is not None:
            connection.publish(self.topics.state, state, retain=True)
        if picture is not None:
            connection.publish(self.topics.requested_snapshot, picture)

    def _announce(self, connection: Connection, config: MqttConfig, clearing: set[int]) -> None:
        """Tells Home Assistant of us, and takes back what we told it before and is not so now.

        What was announced is remembered across restarts; a broker on which nothing ever was gets
        no message (AWS IoT Core closes the connection over a topic that the policy lacks).
        """
        wanted: dict[str, bytes] = {}
        if config.home_assistant:
            wanted = homeassistant.announcements(
                self.topics,
                device_name=self._device.name or self._device.id,
                prefix=config.home_assistant_prefix,
                software_version=VERSION,
            )
        announced = json.loads(self._outbox.note(_ANNOUNCED) or "[]")
        known = sorted({*announced, *wanted})
        if known != announced:
            self._outbox.keep_note(_ANNOUNCED, json.dumps(known))
        for topic, payload in wanted.items():
            connection.publish(topic, payload, retain=True)
        clearing.update(
            connection.publish(topic, b"", retain=True) for topic in known if topic not in wanted
        )

    def _settle(self, connection: Connection, delivery: Delivery, clearing: set[int]) -> None:
        """Handles what the broker has acknowledged and sent."""
        before = delivery.delivered
        for message_id in connection.acknowledged:
            delivery.acknowledge(message_id)
            if message_id in clearing:
                clearing.discard(message_id)
                if not clearing:
                    self._outbox.keep_note(_ANNOUNCED, self._announced_now())
        connection.acknowledged.clear()
        delivery.settle()
        self._delivered += delivery.delivered - before
        for received in connection.received:
            self._take_command(received)
        connection.received.clear()

    def _announced_now(self) -> str:
        if not self._config.home_assistant:
            return "[]"
        wanted = homeassistant.announcements(
            self.topics,
            device_name="",
            prefix=self._config.home_assistant_prefix,
            software_version="",
        )
        return json.dumps(sorted(wanted))

    def _take_command(self, received: Received) -> None:
        if received.topic != self.topics.command:
            return
        try:
            if received.retained:
                raise CommandRefusedError("retained; it would be repeated with each connection")
            if not self._bucket.take(self._clock.monotonic_s()):
                raise CommandRefusedError(f"more than {BURST} at once or one every {EVERY_S:g} s")
            command = parse(received.payload)
            self.commands.put_nowait(command)
        except CommandRefusedError as error:
            self._commands_refused += 1
            _log.warning("a command is refused: %s", error)
        except queue.Full:
            self._commands_refused += 1
            _log.warning("a command is refused: %d wait already", COMMANDS_MAX)
        else:
            _log.info("command: %s", command)

    def _say_goodbye(self, connection: Connection, delivery: Delivery, clearing: set[int]) -> None:
        """Waits a moment for what is on its way, then goes offline in order."""
        offline = connection.publish(self.topics.availability, messages.OFFLINE, retain=True)
        deadline_s = self._clock.monotonic_s() + FAREWELL_S
        gone = False
        while self._clock.monotonic_s() < deadline_s and (delivery.in_flight or not gone):
            self._drain()
            connection.step(0.1, self._wake)
            gone = gone or offline in connection.acknowledged
            self._settle(connection, delivery, clearing)

    def _judge(self, error: BrokerUnreachableError, delivery: Delivery) -> BrokerError:
        """Whether a lost connection was bad luck, or breaks over the same message each time."""
        oldest = delivery.oldest
        if oldest is None or delivery.delivered:
            self._suspect = (0, 0)
            return error
        position, tries = self._suspect
        tries = tries + 1 if position == oldest.position else 1
        self._suspect = (oldest.position, tries)
        if tries < SUSPECT_TRIES:
            return error
        if oldest.is_snapshot and tries >= GIVE_UP_TRIES:
            self._outbox.give_up(oldest.position)
            self._suspect = (0, 0)
        return BrokerError(
            f"the connection broke {tries} times over a message of {len(oldest.payload)} bytes to "
            f"{oldest.topic}",
            where=f"{self._config.host}:{self._config.port}",
            hint="May this client publish there, and does the broker take such a size "
            "(mqtt.snapshot_max_bytes)?",
        )

    def _drain(self) -> None:
        """Forgets the wake-ups so far; what they were for is looked at after this."""
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return


def _is_local(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"
