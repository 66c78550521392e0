"""A small HTTP proxy in front of a server, which does to chosen requests what networks do.

Requests are numbered from 0. For each, a fault may be set: an answer of its own instead of the
server's, a connection cut while the request is read, before or after the server has had it, or an
answer cut short or changed. Everything else passes through unchanged, so signatures stay valid.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.http_server import Asked

STATUS_BYTES = len("HTTP/1.1 200")


class Cut(Enum):
    """When the connection is cut."""

    IN_REQUEST = auto()
    BEFORE_SERVER = auto()
    AFTER_SERVER = auto()
    IN_ANSWER = auto()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the proxy's own."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def s3_error(status: int, code: str, message: str = "as told", **headers: str) -> Reply:
    """An error as S3 would send it."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, body.encode(), {"Content-Type": "application/xml", **named})


Fault = Cut | Reply | Callable[[Reply], Reply] | None
"""The last but one changes the server's answer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the proxy has seen of a request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body_bytes: int


class FaultyProxy:
    """The proxy, in threads of this process.

    It may also be used as a proxy proper, which is asked for whole addresses.

    Args:
        upstream: address of the real server.
        tls: certificate and key, for https.

    Attributes:
        url: what clients are told.
        fault: asked for each request with its number; None lets it pass.
        reached: told when a request reaches a point: its number and the point's name (``head``,
            ``half``, ``body``, ``stored``, ``answered``).
        asked: head of every request so far, by its number.
        seen: every request of which the whole has come.
    """

    def __init__(self, upstream: str, tls: tuple[Path, Path] | None = None) -> None:
        self.fault: Callable[[int], Fault] = lambda _: None
        self.reached: Callable[[int, str], object] = lambda _, __: None
        self.asked: list[Asked] = []
        self.seen: list[Seen] = []
        self._upstream = urlsplit(upstream)
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def reset(self) -> None:
        """Numbers start at 0 again, without faults."""
        with self._lock:
            self.asked = []
            self.seen = []
        self.fault = lambda _: None
        self.reached = lambda _, __: None

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> FaultyProxy:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def number(self, asked: Asked) -> int:
        """Of a request that comes in."""
        with self._lock:
            self.asked.append(asked)
            return len(self.asked) - 1

    def forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Asks the real server."""
        assert self._upstream.hostname is not None
        connection = http.client.HTTPConnection(
            self._upstream.hostname, self._upstream.port, timeout=60
        )
        with contextlib.closing(connection):
            target = urlsplit(path)
            connection.putrequest(
                method,
                f"{target.path}?{target.query}" if target.query else target.path,
                skip_host=True,
                skip_accept_encoding=True,
            )
            for name, value in headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            if len(body) < int(headers.get("Content-Length", 0)):
                # The client is gone, and the server shall know.
                connection.sock.shutdown(socket.SHUT_WR)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), dict(answer.getheaders()))


class _Handler(BaseHTTPRequestHandler):
    owner: FaultyProxy
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = self.owner.number(Asked(self.command, self.path, headers))
        fault = self.owner.fault(number)
        length = int(self.headers.get("Content-Length", 0))
        self.owner.reached(number, "head")
        if isinstance(fault, Reply) and self.headers.get("Expect"):
            length = 0  # as S3 does: refused before the body is sent
        elif self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(length // 2)
        if fault is Cut.IN_REQUEST:
            return self._cut()
        self.owner.reached(number, "half")
        body += self.rfile.read(length - len(body))
        self.owner.reached(number, "body")
        self.owner.seen.append(Seen(self.command, self.path, dict(self.headers), len(body)))
        if fault is Cut.BEFORE_SERVER:
            return self._cut()
        reply = fault
        if not isinstance(reply, Reply):
            reply = self.owner.forward(self.command, self.path, dict(self.headers), body)
        if callable(fault):
            reply = fault(reply)
        self.owner.reached(number, "stored")
        if fault is Cut.AFTER_SERVER:
            return self._cut()
        self._answer(reply, cut=fault is Cut.IN_ANSWER)
        self.owner.reached(number, "answered")
        return None

    def do_HEAD(self) -> None:
        self.do_PUT()

    do_GET = do_POST = do_DELETE = do_PUT  # noqa: N815

    def handle_expect_100(self) -> bool:
        return True  # answered by do_PUT, which knows whether the body is wanted

    def _answer(self, reply: Reply, *, cut: bool) -> None:
        lines = [f"HTTP/1.1 {reply.status} As Told"]
        skipped = {"content-length", "connection", "transfer-encoding"}
        lines += [f"{n}: {v}" for n, v in reply.headers.items() if n.lower() not in skipped]
        lines += [f"Content-Length: {len(reply.body)}", "Connection: close", "", ""]
        data = "\r\n".join(lines).encode("latin-1") + (b"" if self._is_head() else reply.body)
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data[:STATUS_BYTES] if cut else data)

    def _is_head(self) -> bool:
        return self.command == "HEAD"

    def _cut(self) -> None:
        """Closes at once, with a reset where data is waiting to be read."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: object) -> None:
        """Says nothing."""
