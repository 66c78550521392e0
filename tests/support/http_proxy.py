"""A small real HTTP proxy: forwards plain requests and opens tunnels, for those it lets in."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
from typing import Any
from urllib.parse import urlsplit

from tests.support.http_server import FileHandler, Server

PIECE_BYTES = 65536


class _Handler(FileHandler):
    def do_GET(self) -> None:  # noqa: N802
        if not self._is_let_in():
            return
        parts = urlsplit(self.path)
        target = parts._replace(scheme="", netloc="").geturl() or "/"
        lines = [f"GET {target} HTTP/1.1"]
        lines += [
            f"{name}: {value}"
            for name, value in self.headers.items()
            if not name.lower().startswith("proxy-") and name.lower() != "connection"
        ]
        head = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as server:
            server.sendall(head)
            while piece := server.recv(PIECE_BYTES):
                self.wfile.write(piece)
        self.close_connection = True

    def do_CONNECT(self) -> None:  # noqa: N802
        if not self._is_let_in():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection(self.owner.detour or (host, int(port))) as server:
            self.send_response(200, "Connection established")
            self.end_headers()
            self._tunnel(server)
        self.close_connection = True

    def _is_let_in(self) -> bool:
        wanted = self.owner.authorization
        if wanted is None or self.headers.get("Proxy-Authorization") == wanted:
            return True
        self.close_connection = True
        self.reply(407, headers={"Proxy-Authenticate": 'Basic realm="proxy"'})
        return False

    def _tunnel(self, server: socket.socket) -> None:
        ways: dict[Any, socket.socket] = {self.connection: server, server: self.connection}
        with contextlib.suppress(OSError):
            while True:
                for source in select.select(list(ways), [], [])[0]:
                    piece = source.recv(PIECE_BYTES)
                    if not piece:
                        return
                    ways[source].sendall(piece)


class HttpProxy(Server):
    """The proxy; what it was asked for is in ``asked``.

    Attributes:
        detour: where tunnels lead, whatever they were asked for; None leads them there.

    Args:
        login: user and password that it wants, with a colon between; None lets everybody in.
    """

    handler = _Handler

    def __init__(self, login: str | None = None) -> None:
        super().__init__()
        self.detour: tuple[str, int] | None = None
        self.authorization = (
            None if login is None else f"Basic {base64.b64encode(login.encode()).decode()}"
        )
