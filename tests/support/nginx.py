"""A real nginx for tests: on a free port, all its files below one folder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.processes import free_port
from tests.support.mosquitto import find_program

START_TIMEOUT_S = 60.0
READY = "/nginx-is-ready"


class Nginx:
    """An nginx in a process of its own; serves ``root`` and keeps an access log.

    Args:
        folder: for its files.
        server: lines of its ``server`` section beside ``listen`` and ``root``; locations go here.
        http: lines of its ``http`` section.
        tls: certificate and key, for a port that speaks TLS.
        host: address to listen on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        server: Sequence[str] = (),
        http: Sequence[str] = (),
        tls: tuple[Path, Path] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.host = host
        self.port = free_port()
        self.root = folder / "root"
        self._folder = folder
        self._scheme = "https" if tls else "http"
        self._tls = tls
        self._program = find_program("nginx", package="nginx-light")
        self._process: subprocess.Popen[bytes] | None = None
        self.root.mkdir(parents=True, exist_ok=True)
        self._access = folder / "access.log"
        self._errors = folder / "error.log"
        self._config = folder / "nginx.conf"
        self.configure(server=server, http=http)

    def configure(self, *, server: Sequence[str] = (), http: Sequence[str] = ()) -> None:
        """Writes the configuration; takes effect at the next start, or by :meth:`reload`."""
        folders = [
            f"{name}_temp_path {self._folder}/temp;"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ]
        listen = f"listen {self.host}:{self.port}" + (" ssl" if self._tls else "")
        lines = [
            "daemon off;",
            "worker_processes 1;",
            "user root;"
            if os.getuid() == 0
            else "",  # a worker of another user could not read here
            f"pid {self._folder}/nginx.pid;",
            f"error_log {self._errors} warn;",
            "events { worker_connections 64; }",
            "http {",
            # One line a request, from which a test sees what was asked and sent.
            "log_format asked '$request_method $request_uri $status range=$http_range "
            "if_range=$http_if_range authorization=$http_authorization "
            "key=$http_x_jfrog_art_api host=$http_host sent=$body_bytes_sent';",
            f"access_log {self._access} asked;",
            *folders,
            *http,
            "server {",
            f"{listen};",
            f"root {self.root};",
            *([f"ssl_certificate {self._tls[0]};"] if self._tls else []),
            *([f"ssl_certificate_key {self._tls[1]};"] if self._tls else []),
            f"location = {READY} {{ access_log off; return 204; }}",
            *server,
            "}",
            "}",
        ]
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{self._scheme}://{self.host}:{self.port}"

    @property
    def asked(self) -> list[str]:
        """The requests that were answered to the end, or broken off: a line each."""
        return self._access.read_text().splitlines() if self._access.exists() else []

    def start(self) -> None:
        """Starts it and waits until it answers.

        Not only until it listens: a signal that comes before its workers are there is lost.
        """
        assert self._process is None, "it runs already"
        with self._errors.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-p", self._folder, "-c", self._config, "-e", self._errors],
                stdout=log,
                stderr=log,
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self._process.kill()
                self._process.wait()
                self._process = None
                raise AssertionError(f"nginx does not start:\n{self._errors.read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends it, and every connection with it; a start uses the same port."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(START_TIMEOUT_S)
        self._process = None

    def _answers(self) -> bool:
        """Whether a worker answers, whatever its certificate."""
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            connection = socket.create_connection((self.host, self.port), 5.0)
            stack.callback(connection.close)
            if self._tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                connection = stack.enter_context(context.wrap_socket(connection))
            connection.sendall(f"GET {READY} HTTP/1.0\r\n\r\n".encode())
            return connection.recv(4) == b"HTTP"
        return False

    def __enter__(self) -> Nginx:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self.stop()
