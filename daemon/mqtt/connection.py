"""One connection to the broker: all that is known of paho-mqtt stands here.

paho 1.6 (Debian 12) and 2.x (Debian 13) are both served. Of paho the protocol is used, not its
queue, its thread or its reconnecting: its queue lives in memory and its order after a reconnect is
its own affair. A connection is used once; what was not acknowledged is sent again by the next one.
"""

from __future__ import annotations

import logging
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import paho.mqtt.client as paho

from daemon.mqtt.credentials import Credentials
from updater.errors import BrokerError

CERTIFICATE_NOT_YET_VALID = 9
CERTIFICATE_EXPIRED = 10
"""X509_V_ERR_CERT_NOT_YET_VALID and …_HAS_EXPIRED, openssl/x509_vfy.h."""

INCOMING_MAX_BYTES = 65_536
"""A command has a few hundred bytes; paho itself would take in 256 MB."""

RECEIVE_BUFFER_BYTES = 65_536
"""paho reads from the socket up to 100 times before it comes back to us. With a small buffer that
is 13 MB at most (Linux doubles the value: socket(7), SO_RCVBUF), and then the size is checked."""

_UNAVAILABLE = "the broker is not available now"
_REFUSALS = {  # CONNACK codes of MQTT 3.1.1, section 3.2.2.3, and paho 2's names for them
    1: "it does not speak MQTT 3.1.1",
    132: "it does not speak MQTT 3.1.1",
    2: "it rejects the client id",
    133: "it rejects the client id",
    3: _UNAVAILABLE,
    136: _UNAVAILABLE,
    4: "user name or password is wrong",
    134: "user name or password is wrong",
    5: "this client is not authorised",
    135: "this client is not authorised",
}
_log = logging.getLogger(__name__)


class BrokerUnreachableError(BrokerError):
    """The broker cannot be reached, or the connection is lost: waiting may mend it."""


class FloodedError(BrokerUnreachableError):
    """Somebody sends us more than any command has."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that the broker sent us."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone."""

    topic: str
    payload: bytes


class _Paho(Protocol):
    """What is used of ``paho.mqtt.client.Client``, the same in 1.6 and 2.x."""

    on_connect: Any
    on_disconnect: Any
    on_publish: Any
    on_message: Any
    on_log: Any

    def will_set(self, topic: str, payload: bytes, qos: int, retain: bool) -> None: ...
    def username_pw_set(self, username: str, password: str | None) -> None: ...
    def tls_set_context(self, context: ssl.SSLContext) -> None: ...
    def max_inflight_messages_set(self, inflight: int) -> None: ...
    def connect(self, host: str, port: int, keepalive: int) -> int: ...
    def socket(self) -> socket.socket | ssl.SSLSocket | None: ...
    def want_write(self) -> bool: ...
    def loop_read(self) -> int: ...
    def loop_write(self) -> int: ...
    def loop_misc(self) -> int: ...
    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> Any: ...
    def subscribe(self, topic: str, qos: int) -> tuple[int, int | None]: ...
    def disconnect(self) -> int: ...


class _TlsSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho leaves to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class Connection:
    """A connection, from the first packet to its end. For one thread.

    Args:
        host: of the broker.
        port: of the broker.
        client_id: ours.
        keepalive_s: seconds between pings on an idle connection.
        will: what the broker publishes, retained, if we vanish.
        credentials: how we prove who we are.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str,
        keepalive_s: int,
        will: Will,
        credentials: Credentials,
    ) -> None:
        self.where = f"{host}:{port}"
        self.acknowledged: list[int] = []
        """Message ids acknowledged since the caller last emptied the list."""
        self.received: list[Received] = []
        """Messages received since the caller last emptied the list."""
        self.accepted = False
        """Whether the broker has accepted the login."""
        self._host = host
        self._port = port
        self._keepalive_s = keepalive_s
        self._ended: BrokerError | None = None
        self._complaint = ""
        self._client = _client(client_id)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_log = self._on_log
        self._client.max_inflight_messages_set(0)  # ours is the only window
        self._client.will_set(will.topic, will.payload, qos=1, retain=True)
        if credentials.username:
            self._client.username_pw_set(credentials.username, credentials.password or None)
        if credentials.tls is not None:
            credentials.tls.sslsocket_class = _TlsSocket
            self._client.tls_set_context(credentials.tls)

    def open(self) -> None:
        """Connects and sends the login; the answer comes with :meth:`step`.

        Raises:
            BrokerUnreachableError: nobody answers.
            BrokerError: TLS fails in a way that waiting does not mend.
        """
        try:
            self._client.connect(self._host, self._port, self._keepalive_s)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in (CERTIFICATE_NOT_YET_VALID, CERTIFICATE_EXPIRED):
                raise BrokerUnreachableError(
                    f"the broker's certificate does not hold at this time: {error.verify_message}",
                    where=self.where,
                    hint="Is the device's clock right? It may not be synchronised yet.",
                ) from error
            raise BrokerError(
                f"the broker's certificate is not trusted: {error.verify_message}",
                where=self.where,
                hint="Check mqtt.ca_file, and that mqtt.host is the name in the certificate.",
            ) from error
        except ssl.SSLEOFError as error:
            raise BrokerUnreachableError(
                "the broker closed the connection while TLS began", where=self.where
            ) from error
        except ssl.SSLError as error:
            raise BrokerError(
                f"TLS failed: {error.reason or error}",
                where=self.where,
                hint="Does the broker speak TLS on this port, and know our certificate?",
            ) from error
        except (OSError, UnicodeError, ValueError) as error:
            raise BrokerUnreachableError(
                f"cannot be reached: {getattr(error, 'strerror', None) or error}", where=self.where
            ) from error
        transport = self._client.socket()
        if transport is not None:
            # An alert is small and must not wait for the acknowledgement of the one before.
            transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Sends a message with QoS 1.

        Returns:
            The id that :attr:`acknowledged` will name.

        Raises:
            BrokerError: the connection has ended.
        """
        self._check()
        with self._wrapped():
            info = self._client.publish(topic, payload, qos=1, retain=retain)
        self._check()
        return int(info.mid)

    def subscribe(self, topic: str) -> None:
        """Asks for the messages of a topic.

        Raises:
            BrokerError: the connection has ended.
        """
        self._check()
        with self._wrapped():
            self._client.subscribe(topic, qos=1)
        self._check()

    @property
    def sending(self) -> bool:
        """Whether bytes wait for the network to take them."""
        return self._client.want_write()

    def step(self, timeout_s: float, wake: int) -> None:
        """Waits for the network, or for ``wake``, and handles what came.

        Args:
            timeout_s: longest wait.
            wake: a descriptor that ends the wait when it becomes readable; it is not read.

        Raises:
            BrokerUnreachableError: the connection has ended.
            BrokerError: the broker refuses us.
        """
        transport = self._client.socket()
        if transport is not None:
            poll = select.poll()
            poll.register(wake, select.POLLIN)
            descriptor = transport.fileno()
            poll.register(
                descriptor, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0)
            )
            # TLS may have decrypted more than was read: poll would not tell.
            buffered = isinstance(transport, ssl.SSLSocket) and transport.pending() > 0
            events = dict(poll.poll(0 if buffered else timeout_s * 1000))
            with self._wrapped():
                if buffered or events.get(descriptor, 0) & ~select.POLLOUT:
                    self._client.loop_read()
                    self._refuse_huge()
                if events.get(descriptor, 0) & select.POLLOUT:
                    self._client.loop_write()
                self._client.loop_misc()
        self._check()

    def close(self, *, politely: bool) -> None:
        """Ends the connection.

        Args:
            politely: whether to say goodbye, which makes the broker forget our last will.
        """
        if politely and self._ended is None:
            with suppress(BrokerError), self._wrapped():
                self._client.disconnect()
        transport = self._client.socket()
        if transport is not None:
            transport.close()
        client = self._client
        client.on_connect = client.on_disconnect = client.on_publish = None
        client.on_message = client.on_log = None

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # paho 1.6 lets those of TLS through, 2.x ends the connection
            self._complaint = str(error)
            self._ended = self._ended or self._lost()
            raise self._ended from error

    def _check(self) -> None:
        if self._ended is not None:
            raise self._ended
        if self._client.socket() is None:
            self._ended = self._lost()
            raise self._ended

    def _refuse_huge(self) -> None:
        packet = getattr(self._client, "_in_packet", {})  # the same in paho 1.6 and 2.x
        if packet.get("remaining_length", 0) > INCOMING_MAX_BYTES:
            self._ended = FloodedError(
                f"sends a message of more than {INCOMING_MAX_BYTES} bytes",
                where=self.where,
                hint="Somebody publishes nonsense to our command topic; limit who may.",
            )

    def _lost(self) -> BrokerError:
        reason = f": {self._complaint}" if self._complaint else ""
        if not self.accepted and "alert" in self._complaint.lower():
            # With TLS 1.3 the broker's verdict on our certificate comes after the handshake.
            return BrokerError(
                f"the broker refuses our TLS certificate{reason}",
                where=self.where,
                hint="Check mqtt.certificate_file and mqtt.key_file.",
            )
        return BrokerUnreachableError(f"the connection is lost{reason}", where=self.where)

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, answer: Any, *_: Any) -> None:
        code = int(getattr(answer, "value", answer))
        if code == 0:
            self.accepted = True
            return
        words = _REFUSALS.get(code, f"it answers with code {code}")
        if words is _UNAVAILABLE:
            self._ended = BrokerUnreachableError(words, where=self.where)
        else:
            self._ended = BrokerError(
                f"the broker refuses the login: {words}",
                where=self.where,
                hint="Check mqtt.username_file, mqtt.password_file, mqtt.client_id "
                "and the broker's list of users.",
            )

    def _on_disconnect(self, *_: Any) -> None:
        if self._ended is None:
            self._ended = self._lost()

    def _on_publish(self, _client: Any, _userdata: Any, message_id: int, *_: Any) -> None:
        self.acknowledged.append(message_id)

    def _on_message(self, _client: Any, _userdata: Any, message: Any) -> None:
        self.received.append(
            Received(str(message.topic), bytes(message.payload), bool(message.retain))
        )

    def _on_log(self, _client: Any, _userdata: Any, level: int, text: str) -> None:
        if level in (paho.MQTT_LOG_ERR, paho.MQTT_LOG_WARNING):
            self._complaint = text
        _log.debug("paho: %s", text)


def _client(client_id: str) -> _Paho:
    if hasattr(paho, "CallbackAPIVersion"):  # 2.x
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False
        )
    else:
        old_client: Any = paho.Client
        client = old_client(client_id=client_id, reconnect_on_failure=False)
    return cast(_Paho, client)
