"""A real Mosquitto for tests, on a free port of its own: with users or TLS where asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.processes import free_port

START_TIMEOUT_S = 20.0
_PLACES = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin"


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """What a broker with TLS needs.

    Attributes:
        ca: certificates by which it judges clients.
        certificate: its own.
        key: of its certificate.
        ask_clients: whether a client must show a certificate.
    """

    ca: Path
    certificate: Path
    key: Path
    ask_clients: bool = False


class Mosquitto:
    """A broker in a process of its own; can be stopped and started again on the same port.

    Args:
        folder: for its files; it keeps its messages there across a stop.
        users: passwords by name; None lets everybody in.
        tls: for an encrypted port; None for one in the clear.
        lines: more lines for its configuration.
        host: address to listen on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        tls: BrokerTls | None = None,
        lines: tuple[str, ...] = (),
        host: str = "127.0.0.1",
    ) -> None:
        self.host = host
        self.port = free_port()
        self._program = find_program("mosquitto")
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        self._database = folder / "mosquitto.db"
        settings = [
            f"listener {self.port} {self.host}",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            "max_inflight_messages 0",
            "set_tcp_nodelay true",
            "user root",  # it would otherwise, started by root, become a user who cannot read here
            *lines,
        ]
        if users is None:
            settings.append("allow_anonymous true")
        else:
            passwords = folder / "passwords"
            passwords.touch(mode=0o600)
            for name, password in users.items():
                subprocess.run(
                    [find_program("mosquitto_passwd"), "-b", passwords, name, password],
                    check=True,
                    capture_output=True,
                )
            settings += ["allow_anonymous false", f"password_file {passwords}"]
        if tls is not None:
            settings += [
                f"cafile {tls.ca}",
                f"certfile {tls.certificate}",
                f"keyfile {tls.key}",
                f"require_certificate {'true' if tls.ask_clients else 'false'}",
            ]
        self._config.write_text("\n".join(settings) + "\n")

    def start(self) -> None:
        """Starts it and waits until it listens."""
        assert self._process is None, "it runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", self._config], stdout=log, stderr=log
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                raise AssertionError(f"mosquitto does not start:\n{self._log.read_text()}")
            time.sleep(0.02)

    def stop(self, *, deaf_s: float = 0.0) -> None:
        """Stops it in good order: it writes its messages to disk first.

        Args:
            deaf_s: seconds for which it is frozen before: what clients send meanwhile reaches its
                socket, but is never read.
        """
        assert self._process is not None, "it does not run"
        if deaf_s > 0:
            self._process.send_signal(signal.SIGSTOP)
            time.sleep(deaf_s)
            self._process.send_signal(signal.SIGTERM)  # seen first when it wakes up
            self._process.send_signal(signal.SIGCONT)
        self._end(signal.SIGTERM)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def save(self) -> None:
        """Has it write its sessions and messages to disk, and waits for that (mosquitto(8))."""
        before = self._saved()
        os.kill(self.pid, signal.SIGUSR1)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while self._saved() == before:
            assert time.monotonic() < deadline_s, "mosquitto does not save"
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self.stop()

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)
        self._process.wait(START_TIMEOUT_S)
        self._process = None

    def _saved(self) -> tuple[int, int] | None:
        try:
            found = self._database.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1.0):
            return True
        return False


def find_program(name: str, package: str = "mosquitto") -> str:
    """The path of a program; a test that needs it is skipped where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path=_PLACES)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt install {package})")
    return found
