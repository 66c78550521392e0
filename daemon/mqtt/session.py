"""One connection's life: log in, say online, deliver, take commands, say goodbye."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from daemon.config import MqttConfig
from daemon.mqtt import messages
from daemon.mqtt.announcer import Announcer
from daemon.mqtt.commands import CommandInbox
from daemon.mqtt.connection import BrokerUnreachableError, Connection
from daemon.mqtt.delivery import Delivery
from daemon.mqtt.live import LiveMessages
from daemon.mqtt.topics import Topics
from daemon.mqtt.wakeup import Wakeup
from daemon.outbox.outbox import Outbox

LOGIN_TIMEOUT_S = 20.0
ACKNOWLEDGE_TIMEOUT_S = 60.0
"""Without any acknowledgement while some are due, the connection is given up and made again."""

IDLE_S = 1.0
"""Longest wait for the network, so that pings go out in time."""

FAREWELL_S = 2.0
"""At a stop, time for the last acknowledgements; the rest waits on disk."""

_log = logging.getLogger(__name__)


class Session:
    """Serves one connection. For one thread.

    Args:
        connection: not yet open.
        delivery: of this connection.
        topics: of the device.
        outbox: maintained when nothing is to be done.
        live: messages that are not worth keeping.
        announcer: keeps Home Assistant informed.
        inbox: takes the commands.
        wakeup: rung when there is something to send.
        stopping: set when the session is to end.
        monotonic_s: a clock that never goes back, seconds.
    """

    def __init__(
        self,
        connection: Connection,
        delivery: Delivery,
        *,
        topics: Topics,
        outbox: Outbox,
        live: LiveMessages,
        announcer: Announcer,
        inbox: CommandInbox,
        wakeup: Wakeup,
        stopping: threading.Event,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._delivery = delivery
        self._topics = topics
        self._outbox = outbox
        self._live = live
        self._announcer = announcer
        self._inbox = inbox
        self._wakeup = wakeup
        self._stopping = stopping
        self._monotonic_s = monotonic_s

    def log_in(self) -> None:
        """Connects and waits until the broker accepts us, or until we stop.

        Raises:
            BrokerUnreachableError: nobody answers.
            BrokerError: the broker refuses us.
        """
        self._connection.open()
        deadline_s = self._monotonic_s() + LOGIN_TIMEOUT_S
        while not (self._connection.accepted or self._stopping.is_set()):
            self._wakeup.silence()
            self._connection.step(IDLE_S, self._wakeup.descriptor)
            if self._monotonic_s() > deadline_s:
                raise BrokerUnreachableError(
                    f"does not answer the login within {LOGIN_TIMEOUT_S:.0f} s",
                    where=self._connection.where,
                    hint="Is it an MQTT broker, and does it expect TLS?",
                )

    def serve(self, config: Callable[[], MqttConfig], *, take_commands: bool) -> None:
        """Delivers until we stop, and then says goodbye.

        Args:
            config: the section as it is now.
            take_commands: whether to subscribe to the command topic.

        Raises:
            BrokerUnreachableError: the connection is lost.
        """
        try:
            self._publish_retained(self._topics.availability, messages.ONLINE)
            if take_commands:
                self._connection.subscribe(self._topics.command)
            self._live.begin_connection()
            self._deliver(config)
            self._say_goodbye()
        finally:
            self._settle()  # acknowledgements that came with the connection's last bytes

    def _deliver(self, config: Callable[[], MqttConfig]) -> None:
        connection, delivery = self._connection, self._delivery
        progress_s = self._monotonic_s()
        while not self._stopping.is_set():
            self._wakeup.silence()
            self._send_live(config())
            delivery.send(connection.publish)
            connection.step(IDLE_S, self._wakeup.descriptor)
            if connection.acknowledged or connection.sending or not delivery.in_flight:
                progress_s = self._monotonic_s()
            self._settle()
            if not delivery.in_flight:
                self._outbox.maintain()
            if self._monotonic_s() - progress_s > ACKNOWLEDGE_TIMEOUT_S:
                raise BrokerUnreachableError(
                    f"acknowledges nothing for {ACKNOWLEDGE_TIMEOUT_S:.0f} s",
                    where=connection.where,
                )

    def _send_live(self, config: MqttConfig) -> None:
        live = self._live.take()
        if live.announce:
            self._announcer.announce(config, self._publish_retained)
        if live.state is not None:
            self._publish_retained(self._topics.state, live.state)
        if live.picture is not None:
            self._connection.publish(self._topics.requested_snapshot, live.picture)

    def _publish_retained(self, topic: str, payload: bytes) -> int:
        return self._connection.publish(topic, payload, retain=True)

    def _settle(self) -> None:
        """Handles what the broker has acknowledged and sent."""
        for message_id in self._connection.acknowledged:
            self._delivery.acknowledge(message_id)
            self._announcer.acknowledge(message_id)
        self._connection.acknowledged.clear()
        self._delivery.settle()
        for received in self._connection.received:
            if received.topic == self._topics.command:
                self._inbox.take(
                    received.payload, retained=received.retained, now_s=self._monotonic_s()
                )
        self._connection.received.clear()

    def _say_goodbye(self) -> None:
        """Waits a moment for what is on its way, then goes offline in good order."""
        connection = self._connection
        offline = self._publish_retained(self._topics.availability, messages.OFFLINE)
        said = False
        deadline_s = self._monotonic_s() + FAREWELL_S
        while (self._delivery.in_flight or not said) and self._monotonic_s() < deadline_s:
            self._wakeup.silence()
            connection.step(0.1, self._wakeup.descriptor)
            said = said or offline in connection.acknowledged
            self._settle()
        connection.close(politely=True)
