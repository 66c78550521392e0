"""Commands in a machine, by the guest agent of qemu.

Its protocol: https://www.qemu.org/docs/master/interop/qemu-ga-ref.html
"""

from __future__ import annotations

import base64
import json
import random
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

POLL_S, LONGEST_POLL_S = 0.1, 1.0
"""Each question is a line in the machine's log, so they grow rarer."""
REPLY_TIMEOUT_S = 30.0
SYNC_TIMEOUT_S = 2.0


class NoAnswerError(Exception):
    """The machine does not answer: it does not run yet, or no more."""


class Agent:
    """The agent behind a socket of qemu's.

    Args:
        path: of the socket.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._received = b""

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def is_there(self) -> bool:
        """Whether it answers."""
        number = random.randrange(1 << 31)
        try:
            self._send("guest-sync", id=number)
            self._socket.settimeout(SYNC_TIMEOUT_S)
            while self._read() != number:
                pass  # the answer to an earlier attempt
        except NoAnswerError:
            return False
        return True

    def run(self, command: str, *, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Runs a shell command as root, and waits for its end.

        Raises:
            NoAnswerError: the machine has gone.
            subprocess.TimeoutExpired: it takes too long; it goes on.
        """
        pid = self.start(command)
        until_s, pause_s = time.monotonic() + timeout_s, POLL_S
        while time.monotonic() < until_s:
            status = self._ask("guest-exec-status", pid=pid)
            if status["exited"]:
                code = int(status.get("exitcode", -int(status.get("signal", 0))))
                out, err = (_decoded(status.get(f"{name}-data", "")) for name in ("out", "err"))
                return subprocess.CompletedProcess(command, code, out, err)
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, LONGEST_POLL_S)
        raise subprocess.TimeoutExpired(command, timeout_s)

    def start(self, command: str) -> int:
        """Starts a shell command as root; its process id.

        Raises:
            NoAnswerError: the machine has gone.
        """
        arguments = {"path": "/bin/bash", "arg": ["-c", command], "capture-output": True}
        environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
                       "DEBIAN_FRONTEND=noninteractive"]  # fmt: skip
        return int(self._ask("guest-exec", **arguments, env=environment)["pid"])

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self._send(command, **arguments)
        self._socket.settimeout(REPLY_TIMEOUT_S)
        answer = self._read()
        if not isinstance(answer, dict):
            raise NoAnswerError(f"{command}: {answer}")
        return answer

    def _send(self, command: str, **arguments: Any) -> None:
        line = json.dumps({"execute": command, "arguments": arguments})
        try:
            self._socket.sendall(line.encode() + b"\n")
        except OSError as error:
            raise NoAnswerError(str(error)) from error

    def _read(self) -> Any:
        while b"\n" not in self._received:
            try:
                part = self._socket.recv(1 << 16)
            except OSError as error:
                raise NoAnswerError(str(error)) from error
            if not part:
                raise NoAnswerError("the connection has ended")
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise NoAnswerError(answer["error"]["desc"])
        return answer["return"]


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode(errors="replace")
