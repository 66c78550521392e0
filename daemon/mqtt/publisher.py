"""Publishes events, state and pictures from a thread of its own, and takes in commands.

An event goes into the outbox, on disk, before :meth:`Publisher.publish_event` returns; the thread
is woken at once and sends it. The camera loop therefore never waits for the network, only for the
disk, and only when there is an alert.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from daemon.alerts.events import AlertEvent, EventType
from daemon.clock import Clock, Stamp
from daemon.config import DeviceConfig, MqttConfig
from daemon.mqtt import credentials, messages
from daemon.mqtt.announcer import Announcer
from daemon.mqtt.backoff import Backoff
from daemon.mqtt.commands import Command, CommandInbox
from daemon.mqtt.connection import BrokerUnreachableError, Connection, FloodedError, Will
from daemon.mqtt.delivery import Delivery
from daemon.mqtt.live import LiveMessages
from daemon.mqtt.messages import DeviceState, SnapshotReference
from daemon.mqtt.session import Session
from daemon.mqtt.suspicion import Suspicion
from daemon.mqtt.topics import Topics
from daemon.mqtt.wakeup import Wakeup
from daemon.outbox.outbox import Draft, Outbox, Receipt
from updater.errors import BrokerError, ConfigError

AWS_HOST_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn")
AWS_PUBLISH_MAX_BYTES = 131_072
"""Topic, header and payload together; over more AWS IoT Core closes the connection ("AWS IoT Core
message broker and protocol limits")."""

PUBLISH_OVERHEAD_BYTES = 300
"""Fixed header and a topic of up to 256 bytes."""

STEADY_S = 30.0
"""A connection that lasted so long, or delivered something, ends a series of failures."""

DEAF_S = 3600.0
"""No commands are taken for so long after somebody has sent a huge one: retained, it would come
back with each connection and end it."""

SHORT_LIVED_TRIES = 3
"""Logins accepted and soon broken one after another before a likely cause is named."""

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
        jitter: a number from 0 to 1 for the waits between tries.

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
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.topics = Topics(config.topic_prefix, device.id)
        self._config = config
        self._outbox = outbox
        self._clock = clock
        self._environment = environment
        self._jitter = jitter
        self._live = LiveMessages()
        self._inbox = CommandInbox()
        self._announcer = Announcer(self.topics, device, outbox)
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._link = LinkState.DISABLED
        self._connections = 0
        self._delivered = 0
        self._last_error = ""
        self._suspicion = Suspicion()
        self._short_lived = 0
        self._deaf_until_s = float("-inf")
        if config.enabled:
            credentials.load(config, environment)
            if config.password_file is not None and not config.tls and not _is_local(config.host):
                _log.warning("mqtt.tls is off: the password crosses the network in the clear")

    @property
    def commands(self) -> queue.Queue[Command]:
        """Commands to carry out, checked; read with ``get_nowait``."""
        return self._inbox.queue

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
        self._stopping.set()
        self._wakeup.ring()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._thread is not None and self._thread.is_alive():
            _log.warning("mqtt: still waits for the network, left behind")
        else:
            self._wakeup.close()
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
        self._wakeup.ring()
        return receipt

    def publish_state(self, state: DeviceState) -> None:
        """Publishes the state, retained; only the newest is kept while the broker is away."""
        payload = messages.state_payload(
            state, device_id=self.topics.device_id, stamp=self._clock.stamp()
        )
        self._live.put_state(payload)
        self._wakeup.ring()

    def publish_requested_snapshot(self, jpeg: bytes) -> bool:
        """Publishes the answer to the command ``snapshot``, at once or never.

        Returns:
            Whether the broker is there and the picture is not too large.
        """
        if self._link is not LinkState.ONLINE or len(jpeg) > self.snapshot_max_bytes:
            return False
        self._live.put_picture(jpeg)
        self._wakeup.ring()
        return True

    def reload(self, config: MqttConfig) -> None:
        """Takes over what may change while running; the caller has checked what may."""
        self._config = config
        self._live.announce()
        self._wakeup.ring()

    def status(self) -> PublisherStatus:
        """How it stands."""
        return PublisherStatus(
            link=self._link,
            connections=self._connections,
            delivered=self._delivered,
            commands_refused=self._inbox.refused,
            last_error=self._last_error,
        )

    def _run(self) -> None:
        backoff = Backoff()
        try:
            while not self._stopping.is_set():
                self._link = LinkState.CONNECTING
                began_s = self._clock.monotonic_s()
                delivered = self._delivered
                try:
                    self._one_connection()
                    continue
                except (BrokerError, ConfigError) as error:  # a credential file may have vanished
                    refused = not isinstance(error, BrokerUnreachableError)
                    self._report(error)
                steady = self._clock.monotonic_s() - began_s > STEADY_S
                if steady or self._delivered > delivered:
                    backoff = Backoff()
                backoff = backoff.failed()
                self._link = LinkState.REFUSED if refused else LinkState.WAITING
                self._outbox.maintain()
                self._stopping.wait(backoff.delay_s(refused=refused, jitter=self._jitter()))
        except Exception as error:
            self._failure = error
            self._last_error = f"the MQTT thread has ended: {error!r}"
            raise

    def _one_connection(self) -> None:
        """Connects and serves until we stop; a connection that ends before raises."""
        config = self._config
        connection = Connection(
            config.host,
            config.port,
            client_id=self._client_id,
            keepalive_s=config.keepalive_s,
            will=Will(self.topics.availability, messages.OFFLINE),
            credentials=credentials.load(config, self._environment),
        )
        delivery = Delivery(
            self._outbox, one_by_one=self._suspicion.one_by_one, on_delivered=self._count_delivered
        )
        session = Session(
            connection,
            delivery,
            topics=self.topics,
            outbox=self._outbox,
            live=self._live,
            announcer=self._announcer,
            inbox=self._inbox,
            wakeup=self._wakeup,
            stopping=self._stopping,
            monotonic_s=self._clock.monotonic_s,
        )
        began_s = self._clock.monotonic_s()
        try:
            session.log_in()
            if not connection.accepted:
                return
            self._connections += 1
            self._link = LinkState.ONLINE
            _log.info("%s: online", connection.where)
            try:
                session.serve(
                    lambda: self._config,
                    take_commands=self._clock.monotonic_s() >= self._deaf_until_s,
                )
            except FloodedError:
                self._deaf_until_s = self._clock.monotonic_s() + DEAF_S
                _log.error("%s: no commands are taken for an hour", self.topics.command)
                raise
            except BrokerUnreachableError as error:
                lasted_s = self._clock.monotonic_s() - began_s
                raise self._judge(error, delivery, lasted_s) from error
        finally:
            connection.close(politely=False)

    def _judge(
        self, error: BrokerUnreachableError, delivery: Delivery, lasted_s: float
    ) -> BrokerError:
        """Whether a lost connection was bad luck, or comes from us."""
        oldest = delivery.oldest
        self._suspicion = self._suspicion.ended(
            None if oldest is None else oldest.position, delivered=delivery.delivered
        )
        short_lived = lasted_s < STEADY_S and not delivery.delivered
        self._short_lived = self._short_lived + 1 if short_lived else 0
        if oldest is not None and self._suspicion.confirmed:
            tries = self._suspicion.tries
            if oldest.is_snapshot and self._suspicion.hopeless:
                self._outbox.give_up(oldest.position)
                self._suspicion = Suspicion()
            return BrokerError(
                f"the connection broke {tries} times over a message of {len(oldest.payload)} "
                f"bytes to {oldest.topic}",
                where=error.where,
                hint="May this client publish there, and does the broker take such a size "
                "(mqtt.snapshot_max_bytes)?",
            )
        if self._short_lived >= SHORT_LIVED_TRIES:
            return BrokerError(
                f"the broker accepts the login and ends the connection soon after: {error.what}",
                where=error.where,
                hint=f"Does another client use the id {self._client_id!r}, or may this one not "
                f"publish below {self.topics.prefix}/{self.topics.device_id}?",
            )
        return error

    def _count_delivered(self) -> None:
        self._delivered += 1

    def _report(self, error: BrokerError | ConfigError) -> None:
        if str(error) != self._last_error:  # said once, not with every try
            away = isinstance(error, BrokerUnreachableError)
            _log.log(logging.WARNING if away else logging.ERROR, "%s", error)
        self._last_error = str(error)

    @property
    def _client_id(self) -> str:
        return self._config.client_id or f"sitewatch-{self.topics.device_id}"


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
