"""A small HTTP proxy in front of a server, which does to chosen requests what networks do.

Requests are numbered from 0. For each, a fault may be set: an answer of its own instead of the
server's, a connection cut while the request is read, before or after the server has had it, or an
answer cut short. Everything else passes through unchanged, so signatures stay valid.
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


Fault = Cut | Reply | None


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
            ``body``, ``stored``, ``answered``).
        seen: every request so far.
    """

    def __init__(self, upstream: str, tls: tuple[Path, Path] | None = None) -> None:
        self.fault: Callable[[int], Fault] = lambda _: None
        self.reached: Callable[[int, str], object] = lambda _, __: None
        self.seen: list[Seen] = []
        self._upstream = urlsplit(upstream)
        self._lock = threading.Lock()
        self._count = 0
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
            self._count = 0
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

    def number(self) -> int:
        """The next request's."""
        with self._lock:
            self._count += 1
            return self._count - 1

    def forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Asks the real server."""
        assert self._upstream.hostname is not None
        connection = http.client.HTTPConnection(
            self._upstream.hostname, self._upstream.port, timeout=60
        )
        with contextlib.closing(connection):
            connection.putrequest(
                method, urlsplit(path).path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), dict(answer.getheaders()))


class _Handler(BaseHTTPRequestHandler):
    owner: FaultyProxy
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        number = self.owner.number()
        fault = self.owner.fault(number)
        length = int(self.headers.get("Content-Length", 0))
        self.owner.reached(number, "head")
        if isinstance(fault, Reply) and self.headers.get("Expect"):
            length = 0  # as S3 does: refused before the body is sent
        elif self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        if fault is Cut.IN_REQUEST:
            self.rfile.read(length // 2)
            return self._cut()
        body = self.rfile.read(length)
        self.owner.reached(number, "body")
        self.owner.seen.append(Seen(self.command, self.path, dict(self.headers), len(body)))
        if fault is Cut.BEFORE_SERVER:
            return self._cut()
        reply = fault
        if not isinstance(reply, Reply):
            reply = self.owner.forward(self.command, self.path, dict(self.headers), body)
        self.owner.reached(number, "stored")
        if fault is Cut.AFTER_SERVER:
            return self._cut()
        self._answer(reply, cut=fault is Cut.IN_ANSWER)
        self.owner.reached(number, "answered")
        return None

    def do_HEAD(self) -> None:
        self.do_PUT()

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
