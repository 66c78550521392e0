"""What the HTTP servers of the tests share: threads, a list of what came in, files with ranges."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

CHUNK_BYTES = 64 * 1024
LINGER_S = 2.0
_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came in.

    Attributes:
        method: of HTTP.
        target: path and query as sent.
        headers: by lower-case name.
    """

    method: str
    target: str
    headers: Mapping[str, str]


class Server:
    """An HTTP server in threads of this process; a context in which it serves.

    Attributes:
        asked: what came in, in order.
        url: its address, without a slash at the end.
    """

    handler: ClassVar[type[BaseHTTPRequestHandler]]

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class FileHandler(BaseHTTPRequestHandler):
    """Notes requests and sends files, whole or in parts."""

    protocol_version = "HTTP/1.1"

    def parse_request(self) -> bool:
        """Notes each request."""
        understood = super().parse_request()
        if understood:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.owner.asked.append(Asked(self.command, self.path, headers))
        return understood

    def log_message(self, *args: Any) -> None:
        """Nothing: tests read what was noted."""

    @property
    def owner(self) -> Any:
        """The :class:`Server` that this request came to."""
        return self.server.owner  # type: ignore[attr-defined]

    def reply(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Sends a short answer."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answers, whatever of the request is still to come, and ends the connection.

        Says so, as a client would use the connection again otherwise; and reads the rest, since
        closing over unread bytes resets the connection, perhaps before the answer was read.
        """
        self.close_connection = True
        self.reply(status, body, {**(headers or {}), "Connection": "close"})
        self.wfile.flush()
        with suppress(OSError):  # the client may have gone first
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER_S)
            while self.connection.recv(CHUNK_BYTES):
                pass

    def send_file(self, path: Path, etag: str, headers: Mapping[str, str]) -> None:
        """Answers a GET or HEAD: whole, a range, or that nothing has changed."""
        size = path.stat().st_size
        common = {"Accept-Ranges": "bytes", **({"ETag": etag} if etag else {}), **headers}
        if etag and self.headers.get("If-None-Match") == etag:
            self.send_response(304)
            self._end(common)
            return
        first, last, status = 0, size - 1, 200
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range", etag) == etag and any(asked.groups()):
            status = 206
            if not asked[1]:
                first = max(0, size - int(asked[2]))
            else:
                first = int(asked[1])
                last = min(last, int(asked[2])) if asked[2] else last
            if first > last:
                self.reply(416, headers={**common, "Content-Range": f"bytes */{size}"})
                return
            common["Content-Range"] = f"bytes {first}-{last}/{size}"
        self.send_response(status)
        self._end({**common, "Content-Length": str(last + 1 - first)})
        if self.command == "GET":
            with path.open("rb") as file, suppress(ConnectionError):
                file.seek(first)
                self._copy(file, last + 1 - first)

    def _end(self, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _copy(self, file: BinaryIO, count: int) -> None:
        while count > 0:
            piece = file.read(min(CHUNK_BYTES, count))
            self.wfile.write(piece)
            count -= len(piece)
